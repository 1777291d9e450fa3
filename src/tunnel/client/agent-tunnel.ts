// The tunnel to our agent: docs/understand/agent-protocol.md, the client's side.
import type { Clock } from '../../base/clock.ts'
import type { Endpoint, IpAddress } from '../../wire/address.ts'
import { type AgentHello, readAgentHello } from '../agent-protocol/bodies.ts'
import { failureOfErrno } from '../agent-protocol/failure.ts'
import { FRAME_CHANNEL_WINDOW, FrameChannel } from '../agent-protocol/frame-channel.ts'
import {
  AGENT_ID,
  encodeAddress,
  FRAME_CHANNEL,
  FrameType,
  PROTOCOL_VERSION,
  uint32,
} from '../agent-protocol/frames.ts'
import { TunnelError, UnsupportedError } from '../errors.ts'
import type { LineClient } from '../line/client.ts'
import { TELL_REST_MS } from '../ssh/flight.ts'
import type { Session } from '../ssh/ssh-session.ts'
import type { Transport } from '../transport/transport.ts'
import type {
  DatagramHandler,
  ListenHandler,
  ListenOptions,
  ShadowInfo,
  TunnelDatagrams,
  TunnelListener,
} from '../tunnel.ts'
import { Listeners } from './listen.ts'
import { SshTunnel } from './ssh-tunnel.ts'

const WARM_UP_PROBES = 4

export class AgentTunnel extends SshTunnel {
  line: LineClient | undefined
  info: ShadowInfo = {
    kind: 'agent',
    version: 'unknown',
    capabilities: { udp: false, ping: false, reset: true },
    addresses: [],
    resolvConf: undefined,
  }
  readonly #frames: FrameChannel
  readonly #listeners: Listeners
  readonly #datagrams = new Map<number, DatagramHandler>()
  readonly #probes = new Map<number, () => void>()
  readonly #pings = new Map<number, (answered: boolean) => void>()
  #next = 1
  #answersEmpty = false
  #greeted: ((hello: AgentHello | string) => void) | undefined

  constructor(session: Session, transport: Transport, clock: Clock) {
    super(session, transport, clock)
    this.#frames = new FrameChannel(session.mux, {
      onFrame: (type, id, body) => this.#onFrame(type, id, body),
      onGone: (why) => this.fail(why),
    })
    this.#listeners = new Listeners(
      session.mux,
      this.#frames,
      () => this.#id(),
      () => this.countStream(),
    )
    this.#frames.attach(session.mux.openChannel(FRAME_CHANNEL, this.#frames, undefined, FRAME_CHANNEL_WINDOW))
  }

  /** Asks the agent who it is. Rejects with TunnelError. */
  greet(client: string, timeoutMs: number, line?: LineClient): Promise<void> {
    const key = line?.newKey()
    return new Promise((resolve, reject) => {
      const started = this.clock.now()
      const cancel = this.clock.after(timeoutMs, () => {
        this.fail('no answer')
        reject(
          new TunnelError(
            'timeout',
            'the agent in the shadow said nothing',
            '`kubectl logs` of the shadow may say why',
          ),
        )
      })
      this.#greeted = (said) => {
        cancel()
        if (typeof said === 'string') {
          reject(
            new TunnelError(
              'protocol',
              `the agent in the shadow: ${said}`,
              '`kt down`, then `kt up` makes a new shadow',
            ),
          )
          this.fail(said)
          return
        }
        this.measured(this.clock.now() - started, true)
        const { agent: version, capabilities, addresses, resolvConf, arrivals } = said
        this.#answersEmpty = capabilities.answersEmpty === true
        this.info = { kind: 'agent', version, capabilities, addresses, resolvConf }
        if (arrivals !== undefined) {
          this.session.mux.flight.peerTellsAfter = arrivals
          this.session.mux.arrivals.tell = (total) => this.#frames.send(FrameType.arrived, 0, uint32(total))
        }
        if (line && key && said.line === true) {
          line.secure(key, said.paths ?? 1)
          this.line = line
        }
        this.#warmUp(WARM_UP_PROBES)
        resolve()
      }
      void this.closed.then(({ message }) => {
        cancel()
        reject(new TunnelError('lost', `the shadow: ${message}`, 'try again; `kt logs` has more'))
      })
      this.#frames.send(
        FrameType.hello,
        0,
        Buffer.from(
          JSON.stringify({
            protocol: PROTOCOL_VERSION,
            client,
            arrivals: TELL_REST_MS,
            line: key?.toString('base64'),
          }),
        ),
      )
    })
  }

  /** The agent sizes its windows by the round trip, which only we can measure; and first measurements are slow ones. */
  #warmUp(rounds: number): void {
    const started = this.clock.now()
    this.beat(() => {
      this.measured(this.clock.now() - started, true)
      if (rounds > 0) this.#warmUp(rounds - 1)
    })
  }

  openDatagrams(target: Endpoint, handler: DatagramHandler): TunnelDatagrams {
    if (!this.info.capabilities.udp) throw new UnsupportedError('UDP')
    const id = this.#id()
    this.#datagrams.set(id, handler)
    const address = encodeAddress(target.address)
    const port = Uint8Array.of(target.port >>> 8, target.port)
    let opened = false
    return {
      send: (payload) => {
        if (!this.#datagrams.has(id)) return
        if (opened) this.#frames.sendNow(FrameType.udpData, id, payload)
        else opened = this.#frames.sendNow(FrameType.udpOpen, id, address, port, payload)
      },
      close: () => {
        if (this.#datagrams.delete(id) && opened) this.#frames.send(FrameType.udpClose, id)
      },
    }
  }

  listen(
    port: number,
    protocol: 'TCP' | 'UDP',
    handler: ListenHandler,
    options?: ListenOptions,
  ): Promise<TunnelListener> {
    return this.#listeners.listen(port, protocol, handler, options)
  }

  override release(): void {
    this.#frames.send(FrameType.release, 0)
  }

  override answerEmpty(bytes: Uint8Array): boolean {
    if (!this.#answersEmpty) return false
    this.#frames.send(FrameType.answerEmpty, 0, bytes)
    return true
  }

  ping(target: IpAddress, payload: Uint8Array, timeoutMs: number): Promise<boolean> {
    if (!this.info.capabilities.ping) return Promise.resolve(false)
    return new Promise((resolve) => {
      const id = this.#id()
      // The agent always answers; the margin is for the way there and back.
      const cancel = this.clock.after(timeoutMs + 2000, () => this.#pinged(id, false))
      this.#pings.set(id, (answered) => {
        cancel()
        resolve(answered)
      })
      const length = Uint8Array.of(payload.length >>> 8, payload.length)
      this.#frames.send(FrameType.ping, id, uint32(timeoutMs), length, encodeAddress(target))
    })
  }

  protected beat(answered: () => void): void {
    const id = this.#id()
    this.#probes.set(id, answered)
    this.#frames.send(FrameType.probe, id, uint32(Math.round(1000 * (this.session.budget.roundTripMs ?? 0))))
  }

  protected datagramFlows(): number {
    return this.#datagrams.size + this.#listeners.flows
  }

  protected ownChannels(): number {
    return 1
  }

  protected whenOver(): void {
    this.#probes.clear()
    const handlers = [...this.#datagrams.values()]
    this.#datagrams.clear()
    for (const handler of handlers) handler.onFail('lost')
    this.#listeners.lose()
    for (const id of [...this.#pings.keys()]) this.#pinged(id, false)
  }

  #id(): number {
    const id = this.#next
    this.#next = id === AGENT_ID - 1 ? 1 : id + 1
    return id
  }

  #pinged(id: number, answered: boolean): void {
    const settle = this.#pings.get(id)
    this.#pings.delete(id)
    settle?.(answered)
  }

  #onFrame(type: number, id: number, body: Buffer): void {
    if (id >= AGENT_ID || (type >= FrameType.listen && type <= FrameType.udpTaken)) {
      if (type === FrameType.probe) this.#frames.send(FrameType.probed, id)
      else this.#listeners.onFrame(type, id, body)
      return
    }
    switch (type) {
      case FrameType.arrived:
        if (body.length >= 4) this.session.mux.arrived(body.readUInt32BE(0))
        break
      case FrameType.udpData:
        this.#datagrams.get(id)?.onDatagram(body)
        break
      case FrameType.probed: {
        const answered = this.#probes.get(id)
        this.#probes.delete(id)
        answered?.()
        break
      }
      case FrameType.udpError:
      case FrameType.udpClose: {
        const handler = this.#datagrams.get(id)
        this.#datagrams.delete(id)
        handler?.onFail(type === FrameType.udpClose ? 'timeout' : failureOfErrno(body.toString()))
        break
      }
      case FrameType.leaving:
        this.isLeaving()
        break
      case FrameType.pinged:
        this.#pinged(id, body[0] === 1)
        break
      case FrameType.hello:
        this.#greeted?.(readHello(body))
        this.#greeted = undefined
        break
    }
  }
}

/** What the agent says of itself, or what is wrong with that. */
function readHello(bytes: Buffer): AgentHello | string {
  const read = readAgentHello(bytes)
  if ('wrong' in read) return `its greeting cannot be read: ${read.wrong}`
  return read.body.error === undefined ? read.body : `it refused this client: ${read.body.error}`
}
