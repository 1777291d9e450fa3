// What the tunnels to our agent and to any sshd have in common: streams over the mux, counters, and one end.
import type { Clock } from '../../base/clock.ts'
import type { Endpoint, IpAddress } from '../../wire/address.ts'
import type { Session } from '../ssh/ssh-session.ts'
import type { Transport } from '../transport/transport.ts'
import type {
  DatagramHandler,
  ListenHandler,
  ListenOptions,
  ShadowInfo,
  StreamHandler,
  Tunnel,
  TunnelClosed,
  TunnelDatagrams,
  TunnelListener,
  TunnelStats,
  TunnelStream,
} from '../tunnel.ts'
import { MuxStream } from './stream.ts'

/** Between two measurements of one heartbeat. By then the queue is as short as `Flight` keeps it. */
const QUEUES_EMPTY_MS = 100
/** Heartbeats whose least counts as the line's. Where nothing empties the queues (sshd) a busy minute has one quiet moment. */
const HEARTBEATS_KEPT = { agent: 4, sshd: 12 }

export abstract class SshTunnel implements Tunnel {
  abstract readonly info: ShadowInfo
  readonly closed: Promise<TunnelClosed>
  readonly leaving: Promise<void>
  protected isLeaving: () => void = () => {}
  /** What the server showed; to be pinned by the next connection when none was known. */
  readonly hostKey: string
  protected readonly session: Session
  protected readonly transport: Transport
  protected readonly clock: Clock
  protected roundTripMs: number | undefined
  #streamsOpened = 0
  #expected = false
  #why: string | undefined

  constructor(session: Session, transport: Transport, clock: Clock) {
    this.session = session
    this.transport = transport
    this.clock = clock
    this.hostKey = session.hostKey
    this.leaving = new Promise((resolve) => {
      this.isLeaving = resolve
    })
    this.closed = session.over.then((message) => {
      this.whenOver()
      return this.#expected ? { expected: true, message: 'closed' } : { expected: false, message: this.#why ?? message }
    })
  }

  get stats(): TunnelStats {
    const { mux } = this.session
    const datagramFlows = this.datagramFlows()
    return {
      streams: mux.size - this.ownChannels(),
      streamsOpened: this.#streamsOpened,
      datagramFlows,
      bytesIn: mux.bytesIn,
      bytesOut: mux.bytesOut,
      queued: this.transport.buffered,
      roundTripMs: this.roundTripMs,
    }
  }

  openStream(target: Endpoint, origin: Endpoint, handler: StreamHandler): TunnelStream {
    this.countStream()
    return MuxStream.dial(this.session.mux, target, origin, handler)
  }

  release(): void {}

  answerEmpty(_bytes: Uint8Array): boolean {
    return false
  }

  abstract openDatagrams(target: Endpoint, handler: DatagramHandler): TunnelDatagrams
  abstract listen(
    port: number,
    protocol: 'TCP' | 'UDP',
    handler: ListenHandler,
    options?: ListenOptions,
  ): Promise<TunnelListener>
  abstract ping(target: IpAddress, payload: Uint8Array, timeoutMs: number): Promise<boolean>
  /** One heartbeat; `answered` once, or never. */
  protected abstract beat(answered: () => void): void
  protected abstract datagramFlows(): number
  /** Channels of the mux that are not streams. */
  protected abstract ownChannels(): number
  protected abstract whenOver(): void

  probe(timeoutMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const cancel = this.clock.after(timeoutMs, () =>
        reject(new Error(`no answer through the tunnel within ${timeoutMs} ms`)),
      )
      void this.closed.then(({ message }) => {
        cancel()
        reject(new Error(message))
      })
      // The first finds the queues as they are, and empties them; the second finds the line.
      this.#time((first) => {
        cancel()
        if (this.#recent.length === 0) this.measured(first)
        const again = () => this.#time((second) => this.measured(Math.min(first, second)))
        this.clock.after(QUEUES_EMPTY_MS, again, 'alone')
        resolve(first)
      })
    })
  }

  #time(answered: (milliseconds: number) => void): void {
    const started = this.clock.now()
    this.session.mux.flight.quiet()
    this.beat(() => answered(this.clock.now() - started))
  }

  async close(): Promise<void> {
    this.#expected = true
    this.session.mux.lose()
    this.session.client.end()
    // A far side that takes nothing any more must not keep us.
    const cancel = this.clock.after(500, () => this.transport.destroy())
    await this.closed
    cancel()
  }

  protected countStream(): void {
    this.#streamsOpened++
  }

  /** One measurement of the round trip; `warmUp` while the code on the way is cold. */
  protected measured(milliseconds: number, warmUp = false): void {
    this.roundTripMs = milliseconds
    const recent = this.#recent
    if (warmUp && recent.length > 0) recent[0] = Math.min(recent[0], milliseconds)
    else recent.unshift(milliseconds)
    // Not the least ever: a laptop goes from a cable to a hotel's network, and its windows must follow.
    if (recent.length > HEARTBEATS_KEPT[this.info.kind]) recent.pop()
    this.session.budget.roundTripMs = Math.min(...recent)
  }

  readonly #recent: number[] = []

  /** Ends the tunnel from here because it is of no use. */
  protected fail(why: string): void {
    this.#why ??= why
    this.transport.destroy()
  }
}
