// UDP. A flow is kept until it is idle. Addresses of our own (DNS) have responders, which answer without a flow.
import type { Endpoint } from '../wire/address.ts'
import { get16 } from '../wire/bytes.ts'
import { addBytes, fold, pseudoSum } from '../wire/checksum.ts'
import { type IpView, PROTOCOL_UDP } from '../wire/ip.ts'
import { UDP_CHECKSUM, UDP_HEADER, udpEnd } from '../wire/udp.ts'
import type { DatagramResponder, Rejection, StackHandlers, UdpFlow, UdpFlowHandler } from './api.ts'
import type { Core } from './core.ts'
import { emitUdp } from './datagram.ts'
import { sendUdpRejection } from './errors.ts'
import { FlowTable } from './flows.ts'
import { FlowKey } from './key.ts'

const IDLE = 120_000 // RFC 4787 4.3: not before two minutes
const IDLE_DNS = 30_000 // RFC 4787 4.3 allows less for well-known ports
const DNS_PORT = 53

const NO_HANDLER: UdpFlowHandler = { onDatagram() {}, onClose() {} }

class Flow extends FlowKey implements UdpFlow {
  readonly protocol = 'udp'
  readonly id: number
  private readonly layer: UdpLayer
  private readonly began: number
  lastUsed = 0
  bytesReceived = 0
  bytesSent = 0
  handler: UdpFlowHandler = NO_HANDLER
  closed = false
  /** Used since the last `flush`, which knows the time. */
  stampOwed = false
  lastSize = 0
  // Flows in the order of their last use: the first one makes room for a new one.
  older: Flow | null = null
  newer: Flow | null = null
  deadline = 0
  timerTime = 0
  timerIndex = -1

  constructor(layer: UdpLayer) {
    super()
    this.layer = layer
    this.id = layer.core.nextFlowId()
    this.began = layer.core.now
  }

  get openedAt(): number {
    return this.layer.core.callersTime(this.began)
  }

  get usedAt(): number {
    return this.layer.core.callersTime(this.lastUsed)
  }

  get local(): Endpoint {
    return { address: this.localAddress(), port: this.localPort }
  }

  get remote(): Endpoint {
    return { address: this.remoteAddress(), port: this.remotePort }
  }

  get idleLimit(): number {
    return this.localPort === DNS_PORT ? IDLE_DNS : IDLE
  }

  send(payload: Uint8Array): void {
    if (this.closed) return
    this.layer.used(this)
    this.layer.stampLater(this)
    this.bytesSent += payload.length
    emitUdp(this.layer.core, this, payload)
  }

  reject(reason: Rejection): void {
    if (this.closed) return
    sendUdpRejection(this.layer.core, this, reason, this.lastSize)
    this.close()
  }

  close(): void {
    this.layer.remove(this)
  }

  onDeadline(now: number): void {
    if (now - this.lastUsed >= this.idleLimit) this.close()
    else this.deadline = this.lastUsed + this.idleLimit
  }
}

interface Listener {
  readonly key: FlowKey
  readonly responder: DatagramResponder
}

export class UdpLayer {
  readonly core: Core
  handlers: StackHandlers | null = null
  private readonly table = new FlowTable<Flow>()
  private readonly key = new FlowKey()
  private readonly listeners: Listener[] = []
  private oldest: Flow | null = null
  private newest: Flow | null = null
  // The list has a count of its own, because shortening an array frees its memory and each flush would allocate it again.
  private readonly stamps: (Flow | null)[] = []
  private stampCount = 0

  constructor(core: Core) {
    this.core = core
  }

  input(view: IpView, trusted: boolean): void {
    const { buffer, payload } = view
    const end = udpEnd(buffer, payload, view.end)
    if (end === 0 || !(trusted || isIntact(view, end))) {
      this.core.counters.dropped++
      return
    }
    const { key } = this
    key.fromPacket(view, true)
    const start = payload + UDP_HEADER
    for (const listener of this.listeners) {
      if (sameLocal(listener.key, key)) {
        this.respond(listener.responder, buffer, start, end)
        return
      }
    }
    const flow = this.table.find(key) ?? this.open(end - start)
    if (flow === null) return
    this.used(flow)
    flow.lastSize = end - start
    flow.bytesReceived += end - start
    flow.handler.onDatagram(buffer, start, end)
  }

  private respond(responder: DatagramResponder, buffer: Uint8Array, start: number, end: number): void {
    const { core } = this
    const to = new FlowKey()
    to.copyFrom(this.key)
    responder(buffer, start, end, (payload) => {
      emitUdp(core, to, payload)
    })
  }

  private open(size: number): Flow | null {
    const { core, key, handlers } = this
    if (key.localPort === 0 || key.remotePort === 0) return null
    if (core.isOwn(key)) {
      sendUdpRejection(core, key, 'refused', size)
      return null
    }
    if (handlers === null) return null
    if (this.table.size >= core.limits.udpFlows && this.oldest !== null) this.remove(this.oldest)
    const flow = new Flow(this)
    flow.copyFrom(key)
    flow.lastSize = size
    this.table.add(flow)
    core.counters.udpFlows++
    this.link(flow)
    const handler = handlers.onUdp(flow)
    if (handler === undefined) {
      this.remove(flow)
      return null
    }
    if (flow.closed) return null
    flow.handler = handler
    flow.deadline = core.now + flow.idleLimit
    core.timers.schedule(flow)
    return flow
  }

  /** Moves a flow to the end of the list, so that it makes room last. */
  used(flow: Flow): void {
    flow.lastUsed = this.core.now
    if (this.newest === flow) return
    this.unlink(flow)
    this.link(flow)
  }

  /** The owner of a flow sends without telling the time. */
  stampLater(flow: Flow): void {
    if (flow.stampOwed) return
    flow.stampOwed = true
    this.stamps[this.stampCount++] = flow
  }

  flush(now: number): void {
    const { stamps } = this
    for (let i = 0; i < this.stampCount; i++) {
      const flow = stamps[i] as Flow
      stamps[i] = null
      flow.stampOwed = false
      flow.lastUsed = now
    }
    this.stampCount = 0
  }

  private link(flow: Flow): void {
    flow.lastUsed = this.core.now
    flow.older = this.newest
    flow.newer = null
    if (this.newest === null) this.oldest = flow
    else this.newest.newer = flow
    this.newest = flow
  }

  private unlink(flow: Flow): void {
    if (flow.older === null) this.oldest = flow.newer
    else flow.older.newer = flow.newer
    if (flow.newer === null) this.newest = flow.older
    else flow.newer.older = flow.older
  }

  remove(flow: Flow): void {
    if (flow.closed) return
    flow.closed = true
    this.table.remove(flow)
    this.unlink(flow)
    this.core.timers.remove(flow)
    this.core.counters.udpFlows--
    flow.handler.onClose()
  }

  /** The kernel says that the program's socket is gone: what `key` names ends, if it is there. */
  unreachable(key: FlowKey): void {
    const flow = this.table.find(key)
    if (flow !== null) this.remove(flow)
  }

  listen(local: Endpoint, responder: DatagramResponder): void {
    const key = new FlowKey()
    key.fromEndpoints(local, local)
    this.listeners.push({ key, responder })
  }

  live(): UdpFlow[] {
    return this.table.list()
  }

  close(): void {
    for (const flow of this.table.list()) this.remove(flow)
  }
}

function sameLocal(a: FlowKey, b: FlowKey): boolean {
  return (
    a.localPort === b.localPort &&
    a.local0 === b.local0 &&
    a.version === b.version &&
    a.local3 === b.local3 &&
    a.local2 === b.local2 &&
    a.local1 === b.local1
  )
}

function isIntact(view: IpView, end: number): boolean {
  const { buffer, source, destination, addressLength, payload } = view
  // A checksum is optional over IPv4 (RFC 768) and required over IPv6 (RFC 8200 8.1).
  if (get16(buffer, payload + UDP_CHECKSUM) === 0) return view.version === 4
  const sum = pseudoSum(buffer, source, destination, addressLength, PROTOCOL_UDP, end - payload)
  return fold(addBytes(sum, buffer, payload, end)) === 0xffff
}
