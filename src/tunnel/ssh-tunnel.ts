// What the tunnels to our agent and to any sshd have in common: streams over the mux, counters, and one end.
import type { Endpoint, IpAddress } from '../wire/address.ts'
import type {
  DatagramHandler,
  ListenHandler,
  ListenMatch,
  ShadowInfo,
  StreamHandler,
  Tunnel,
  TunnelClosed,
  TunnelDatagrams,
  TunnelListener,
  TunnelStats,
  TunnelStream,
} from './port.ts'
import type { Session } from './ssh/session.ts'
import { MuxStream } from './stream.ts'
import type { Transport } from './transport.ts'

export abstract class SshTunnel implements Tunnel {
  abstract readonly info: ShadowInfo
  readonly closed: Promise<TunnelClosed>
  /** What the server showed; to be pinned by the next connection when none was known. */
  readonly hostKey: string
  protected readonly session: Session
  protected readonly transport: Transport
  protected readonly now: () => number
  protected roundTripMs: number | undefined
  #streamsOpened = 0
  #expected = false
  #why: string | undefined

  constructor(session: Session, transport: Transport, now: () => number) {
    this.session = session
    this.transport = transport
    this.now = now
    this.hostKey = session.hostKey
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

  abstract openDatagrams(target: Endpoint, handler: DatagramHandler): TunnelDatagrams
  abstract listen(
    port: number,
    protocol: 'TCP' | 'UDP',
    handler: ListenHandler,
    match?: ListenMatch,
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
      const started = this.now()
      const timer = setTimeout(
        () => reject(new Error(`no answer through the tunnel within ${timeoutMs} ms`)),
        timeoutMs,
      )
      void this.closed.then(({ message }) => {
        clearTimeout(timer)
        reject(new Error(message))
      })
      this.beat(() => {
        clearTimeout(timer)
        const elapsed = this.now() - started
        this.measured(elapsed)
        resolve(elapsed)
      })
    })
  }

  async close(): Promise<void> {
    this.#expected = true
    this.session.mux.lose()
    this.session.client.end()
    // A far side that takes nothing any more must not keep us.
    const timer = setTimeout(() => this.transport.destroy(), 500)
    await this.closed
    clearTimeout(timer)
  }

  protected countStream(): void {
    this.#streamsOpened++
  }

  protected measured(milliseconds: number): void {
    this.roundTripMs = milliseconds
    const { budget } = this.session
    if (this.#fresh || milliseconds < budget.roundTripMs) budget.roundTripMs = milliseconds
    this.#fresh = false
  }

  #fresh = true

  /** Ends the tunnel from here because it is of no use. */
  protected fail(why: string): void {
    this.#why ??= why
    this.transport.destroy()
  }
}
