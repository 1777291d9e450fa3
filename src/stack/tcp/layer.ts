// All TCP connections of a stack. It finds the connection that a segment belongs to, opens one for a SYN (the owner dials
// before it answers), and answers a segment that belongs to none with a RST. It also keeps the list of connections that
// `flush` has to look at.
import type { Endpoint } from '../../wire/address.ts'
import { get32 } from '../../wire/bytes.ts'
import { addBytes, fold, pseudoSum } from '../../wire/checksum.ts'
import { type IpView, PROTOCOL_TCP } from '../../wire/ip.ts'
import { ACK, RST, SYN } from '../../wire/tcp.ts'
import type { StackHandlers, TcpFlow, TcpFlowHandler } from '../api.ts'
import type { Core } from '../core.ts'
import { FlowTable } from '../flows.ts'
import { FlowKey } from '../key.ts'
import { Connection } from './connection.ts'
import { emitReset } from './emit.ts'
import { adoptSyn, segmentArrives } from './input.ts'
import { Segment } from './segment.ts'
import { transmit } from './send.ts'
import { CLOSED, TIME_WAIT } from './states.ts'
import { abandon, NO_HANDLER, release, type Tcb, type TcpHost } from './tcb.ts'

type Accept = (flow: TcpFlow) => TcpFlowHandler | undefined

interface Listener {
  readonly local: Endpoint
  readonly accept: Accept
}

export class TcpLayer implements TcpHost {
  readonly core: Core
  handlers: StackHandlers | null = null
  private readonly table = new FlowTable<Connection>()
  private readonly key = new FlowKey()
  private readonly segment = new Segment()
  private readonly listeners: Listener[] = []
  // Lists with separate counts, because shortening an array frees its memory, and each flush would allocate it again.
  private awake: (Tcb | null)[] = []
  private flushing: (Tcb | null)[] = []
  private awakeCount = 0

  constructor(core: Core) {
    this.core = core
  }

  /** Processes a TCP packet. If `trusted`, its checksum need not be verified. */
  input(view: IpView, trusted: boolean): void {
    const { segment, core, key } = this
    if (!segment.read(view) || !(trusted || isIntact(view))) {
      core.counters.dropped++
      return
    }
    key.fromPacket(view, true)
    const found = this.table.find(key)
    if (found === null) this.arrivesNowhere(core.random() | 0)
    else if ((segment.flags & (SYN | ACK | RST)) === SYN) this.synArrives(found)
    else segmentArrives(found, segment, core.now)
  }

  /** A SYN for a connection that exists: a repetition, a new attempt from the same port, or nonsense. */
  private synArrives(found: Connection): void {
    const { segment, core } = this
    if (found.pending) {
      if (segment.seq === found.irs) {
        found.heardSyn()
        return
      }
      // The program closed its socket in SYN-SENT, which sends nothing, and now tries again from the same port.
      abandon(found, 'reset')
      this.arrivesNowhere(core.random() | 0)
    } else if (found.stateCode === TIME_WAIT && ((segment.seq - found.rcvNxt) | 0) > 0) {
      // RFC 9293 3.6.1: a higher sequence number begins a new connection, ours above what the old one used.
      const iss = (found.sndMax + 64000 + (core.random() & 0xffff)) | 0
      release(found)
      this.arrivesNowhere(iss)
    } else segmentArrives(found, segment, core.now)
  }

  /** RFC 9293 3.10.7.1 and 3.10.7.2: no connection, perhaps a listener. */
  private arrivesNowhere(iss: number): void {
    const { segment, core, key } = this
    const { flags } = segment
    if ((flags & RST) !== 0) return
    if ((flags & ACK) !== 0) {
      emitReset(core, key, segment.ack, 0, false)
      return
    }
    if ((flags & SYN) === 0 || key.localPort === 0 || key.remotePort === 0) return
    const accept = this.listenerFor(key)
    if (accept === undefined) {
      emitReset(core, key, 0, (segment.seq + segment.length) | 0, true)
      return
    }
    const { tcpFlows } = core.limits
    if (core.counters.tcpFlows >= tcpFlows || this.table.size >= 2 * tcpFlows) {
      core.counters.dropped++
      return
    }
    const flow = this.create(key)
    adoptSyn(flow, segment)
    flow.beginPending(iss)
    const handler = accept(flow)
    if (handler !== undefined) flow.handler = handler
    else if (flow.pending) flow.discard()
    else flow.reset()
  }

  private create(key: FlowKey): Connection {
    const flow = new Connection(this)
    flow.copyFrom(key)
    flow.lastHeard = this.core.now
    this.table.add(flow)
    this.core.counters.tcpFlows++
    return flow
  }

  /** Who accepts a SYN to this address and port; undefined if it must be refused. */
  private listenerFor(key: FlowKey): Accept | undefined {
    for (const { local, accept } of this.listeners) if (isLocal(key, local)) return accept
    if (this.core.isOwn(key)) return undefined
    const { handlers } = this
    return (flow) => handlers?.onTcp(flow)
  }

  listen(local: Endpoint, accept: Accept): void {
    this.listeners.push({ local, accept })
  }

  connect(local: Endpoint, remote: Endpoint, handler: TcpFlowHandler & { onOpen(): void }): TcpFlow {
    const key = new FlowKey()
    key.fromEndpoints(local, remote)
    if (this.table.find(key) !== null) throw new Error('this connection exists already')
    const flow = this.create(key)
    flow.handler = handler
    flow.onOpen = () => handler.onOpen()
    flow.beginConnect(this.core.random() | 0)
    return flow
  }

  wake(tcb: Tcb): void {
    if (tcb.awake) return
    tcb.awake = true
    this.awake[this.awakeCount++] = tcb
  }

  flush(now: number): void {
    const list = this.awake
    const count = this.awakeCount
    this.awake = this.flushing
    this.awakeCount = 0
    this.flushing = list
    for (let i = 0; i < count; i++) {
      const tcb = list[i] as Tcb
      list[i] = null // otherwise the list would keep closed connections in memory
      tcb.awake = false
      if (tcb.stateCode !== CLOSED) transmit(tcb, now)
    }
  }

  forget(tcb: Tcb): void {
    this.table.remove(tcb as Connection)
  }

  ended(_tcb: Tcb): void {
    this.core.counters.tcpFlows--
  }

  /** The flows whose owner does not know yet that they have ended. */
  live(): Connection[] {
    return this.table.list().filter((flow) => !flow.over)
  }

  close(): void {
    for (const flow of this.table.list()) {
      if (flow.over) release(flow)
      else flow.reset()
    }
    for (const flow of this.table.list()) {
      flow.handler = NO_HANDLER
      release(flow)
    }
  }
}

/** Whether the key's local side is this address and port. */
function isLocal(key: FlowKey, { address, port }: Endpoint): boolean {
  const { bytes, family } = address
  if (port !== key.localPort || family !== key.version || get32(bytes, 0) !== key.local0) return false
  if (family === 4) return true
  return get32(bytes, 4) === key.local1 && get32(bytes, 8) === key.local2 && get32(bytes, 12) === key.local3
}

function isIntact(view: IpView): boolean {
  const { buffer, source, destination, addressLength, payload, end } = view
  const sum = pseudoSum(buffer, source, destination, addressLength, PROTOCOL_TCP, end - payload)
  return fold(addBytes(sum, buffer, payload, end)) === 0xffff
}
