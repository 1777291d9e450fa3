// Ports of the shadow that this side has claimed: frames 16 to 21 of docs/understand/agent-protocol.md, and the channels and flows of
// datagrams which the agent opens for them.
import { type Endpoint, IpAddress } from '../../wire/address.ts'
import type { ListenRequest } from '../agent-protocol/bodies.ts'
import { errnoOfFailure } from '../agent-protocol/failure.ts'
import type { FrameChannel } from '../agent-protocol/frame-channel.ts'
import { decodeAddress, FrameType } from '../agent-protocol/frames.ts'
import { TunnelError } from '../errors.ts'
import { OpenFailure, type OpenRequest } from '../ssh/internals.ts'
import type { ChannelMux } from '../ssh/mux.ts'
import type {
  DatagramHandler,
  DialFailure,
  IncomingDatagrams,
  IncomingStream,
  ListenHandler,
  ListenOptions,
  StreamHandler,
  TunnelDatagrams,
  TunnelListener,
  TunnelStream,
} from '../tunnel.ts'
import { MuxStream } from './stream.ts'

/** The agent may ask a former holder first, which takes a second. */
const LISTEN_TIMEOUT_MS = 15_000
/** Datagrams kept until the flow is taken. */
const MAX_WAITING = 16

interface Claim {
  id: number
  port: number
  protocol: 'TCP' | 'UDP'
  handler: ListenHandler
  settle(error: TunnelError | undefined): void
  /** The agent has said yes. */
  active: boolean
}

interface Flow {
  handler: DatagramHandler | undefined
  waiting: Buffer[]
}

export class Listeners {
  readonly #mux: ChannelMux
  readonly #frames: FrameChannel
  readonly #nextId: () => number
  readonly #accepted: () => void
  /** By `TCP 8080`. */
  readonly #claims = new Map<string, Claim>()
  readonly #flows = new Map<number, Flow>()
  #lost = false

  /** `accepted` is called for each stream that was taken. */
  constructor(mux: ChannelMux, frames: FrameChannel, nextId: () => number, accepted: () => void) {
    this.#mux = mux
    this.#frames = frames
    this.#nextId = nextId
    this.#accepted = accepted
    mux.onIncoming = (request) => this.#onOpen(request)
  }

  get flows(): number {
    return this.#flows.size
  }

  listen(
    port: number,
    protocol: 'TCP' | 'UDP',
    handler: ListenHandler,
    options: ListenOptions = {},
  ): Promise<TunnelListener> {
    const key = `${protocol} ${port}`
    if (this.#lost)
      return Promise.reject(
        new TunnelError('lost', 'the tunnel to the shadow is lost', 'try again; `kt logs` has more'),
      )
    if (this.#claims.has(key)) return Promise.reject(inUse(`${key} is claimed here already`))
    return new Promise((resolve, reject) => {
      const id = this.#nextId()
      const forget = () => {
        if (this.#claims.get(key) !== claim) return
        this.#claims.delete(key)
        this.#frames.send(FrameType.unlisten, id)
      }
      const cancel = this.#mux.clock.after(LISTEN_TIMEOUT_MS, () => {
        forget()
        claim.settle(new TunnelError('timeout', `the agent did not say whether ${key} is ours`, 'try again'))
      })
      const claim: Claim = {
        id,
        port,
        protocol,
        handler,
        active: false,
        settle(error) {
          cancel()
          if (error) reject(error)
          else resolve({ port, close: async () => forget() })
        },
      }
      this.#claims.set(key, claim)
      const { match, patienceMs: patience } = options
      const request: ListenRequest = { port, protocol, ...(match && { match }), ...(patience && { patience }) }
      this.#frames.send(FrameType.listen, id, Buffer.from(JSON.stringify(request)))
    })
  }

  onFrame(type: number, id: number, body: Buffer): void {
    switch (type) {
      case FrameType.listening: {
        const claim = this.#claim(id)
        if (!claim || claim.active) return
        claim.active = true
        claim.settle(undefined)
        break
      }
      case FrameType.listenFailed:
        this.#refused(id, body.toString())
        break
      case FrameType.udpIncoming:
        this.#onFlow(id, body)
        break
      case FrameType.udpData: {
        const flow = this.#flows.get(id)
        if (flow?.handler) flow.handler.onDatagram(body)
        else if (flow && flow.waiting.length < MAX_WAITING) flow.waiting.push(Buffer.from(body))
        break
      }
      case FrameType.udpClose: {
        const flow = this.#flows.get(id)
        this.#flows.delete(id)
        flow?.handler?.onFail('timeout')
        break
      }
    }
  }

  lose(): void {
    this.#lost = true
    const claims = [...this.#claims.values()]
    const flows = [...this.#flows.values()]
    this.#claims.clear()
    this.#flows.clear()
    for (const claim of claims)
      claim.settle(new TunnelError('lost', 'the tunnel was lost before the port was claimed', 'try again'))
    for (const { handler } of flows) handler?.onFail('lost')
  }

  #claim(id: number): Claim | undefined {
    for (const claim of this.#claims.values()) if (claim.id === id) return claim
    return undefined
  }

  #refused(id: number, words: string): void {
    const claim = this.#claim(id)
    if (!claim) return
    this.#claims.delete(`${claim.protocol} ${claim.port}`)
    const message = words.replace(/^[A-Z0-9]+: /, '')
    if (claim.active) claim.handler.onLost?.(message)
    else if (words.startsWith('EADDRINUSE')) claim.settle(inUse(message))
    else {
      const hint = words.startsWith('EINVAL')
        ? 'choose another `--version-mark`, or begin anew'
        : 'the shadow was started for other ports: begin anew'
      claim.settle(new TunnelError('no-port', message, hint))
    }
  }

  #onOpen(request: OpenRequest): boolean {
    if (request.type !== 'forwarded-tcpip') return false
    const { destPort = 0, srcIP = '', srcPort = 0 } = request.data
    const address = IpAddress.tryParse(srcIP)
    const claim = this.#claims.get(`TCP ${destPort}`)
    if (!address) this.#mux.refuse(request, OpenFailure.connectFailed, 'EINVAL: not an address')
    // Not claimed any more: the agent passes it to the original.
    else if (!claim?.active) this.#mux.refuse(request, OpenFailure.prohibited, 'this port is not claimed')
    else claim.handler.onStream(new Incoming(this.#mux, request, { address, port: srcPort }, this.#accepted))
    return true
  }

  #onFlow(id: number, body: Buffer): void {
    const port = body.length >= 2 ? body.readUInt16BE(0) : 0
    const from = decodeAddress(body, 2)
    const claim = this.#claims.get(`UDP ${port}`)
    if (this.#flows.has(id)) return
    if (!claim?.active || !from || from.end + 2 > body.length) {
      this.#frames.send(FrameType.udpClose, id)
      return
    }
    const flow: Flow = { handler: undefined, waiting: [Buffer.from(body.subarray(from.end + 2))] }
    this.#flows.set(id, flow)
    const incoming: IncomingDatagrams = {
      port,
      origin: { address: from.address, port: body.readUInt16BE(from.end) },
      accept: (handler) => this.#take(id, flow, handler),
      refuse: () => {
        if (!flow.handler) this.#closeFlow(id, flow)
      },
    }
    claim.handler.onDatagrams(incoming)
  }

  #take(id: number, flow: Flow, handler: DatagramHandler): TunnelDatagrams {
    if (flow.handler) throw new Error('these datagrams were taken before')
    const there = () => this.#flows.get(id) === flow
    queueMicrotask(() => {
      flow.handler = handler
      if (!there()) return handler.onFail('lost')
      for (const payload of flow.waiting.splice(0)) if (there()) handler.onDatagram(payload)
    })
    if (there()) this.#frames.send(FrameType.udpTaken, id)
    return {
      send: (payload) => {
        if (there()) this.#frames.sendNow(FrameType.udpData, id, payload)
      },
      close: () => this.#closeFlow(id, flow),
    }
  }

  #closeFlow(id: number, flow: Flow): void {
    if (this.#flows.get(id) !== flow) return
    this.#flows.delete(id)
    this.#frames.send(FrameType.udpClose, id)
  }
}

class Incoming implements IncomingStream {
  readonly port: number
  readonly origin: Endpoint
  readonly #mux: ChannelMux
  readonly #request: OpenRequest
  readonly #accepted: () => void
  #answered = false

  constructor(mux: ChannelMux, request: OpenRequest, origin: Endpoint, accepted: () => void) {
    this.port = request.data.destPort!
    this.origin = origin
    this.#mux = mux
    this.#request = request
    this.#accepted = accepted
  }

  accept(handler: StreamHandler): TunnelStream {
    if (this.#answered) throw new Error('this connection was answered before')
    this.#answered = true
    this.#accepted()
    return MuxStream.accept(this.#mux, this.#request, handler)
  }

  refuse(reason: DialFailure, message: string): void {
    if (this.#answered) return
    this.#answered = true
    this.#mux.refuse(this.#request, OpenFailure.connectFailed, `${errnoOfFailure(reason)}: ${message}`)
  }

  decline(message: string): void {
    if (this.#answered) return
    this.#answered = true
    this.#mux.refuse(this.#request, OpenFailure.prohibited, message)
  }
}

function inUse(message: string): TunnelError {
  return new TunnelError('port-in-use', message, '`kt status` shows who holds it')
}
