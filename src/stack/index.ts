// The TCP/IP stack: frames in, frames out, flows in between. This file says what happens to a frame; TCP, UDP and ICMP
// are layers beside each other that share one core (arena, timers, limits). See api.ts for what it promises.
import type { Endpoint } from '../wire/address.ts'
import { IpView, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts'
import { NEXT_NONE } from '../wire/ipv6.ts'
import { VNET_F_DATA_VALID, VNET_F_NEEDS_CSUM, VNET_FLAGS, VNET_HDR_LEN } from '../wire/vnet.ts'
import type {
  DatagramResponder,
  Stack,
  StackCounters,
  StackHandlers,
  StackOptions,
  TcpFlow,
  TcpFlowHandler,
  UdpFlow,
} from './api.ts'
import { Core, isNoise } from './core.ts'
import { sendUnknownProtocol } from './errors.ts'
import { IcmpLayer } from './icmp.ts'
import { FlowKey } from './key.ts'
import { Reassembly } from './reassembly.ts'
import { TcpLayer } from './tcp/layer.ts'
import { UdpLayer } from './udp.ts'

export type * from './api.ts'

/** Makes a stack. It does nothing but what its methods are called for. */
export function createStack(options: StackOptions): Stack {
  return new TcpIpStack(options)
}

class TcpIpStack implements Stack {
  private readonly core: Core
  private readonly tcp: TcpLayer
  private readonly udp: UdpLayer
  private readonly icmp: IcmpLayer
  private readonly reassembly: Reassembly
  private readonly view = new IpView()

  constructor(options: StackOptions) {
    this.core = new Core(options)
    this.tcp = new TcpLayer(this.core)
    this.udp = new UdpLayer(this.core)
    this.icmp = new IcmpLayer(this.core, this.udp)
    this.reassembly = new Reassembly(this.core)
  }

  get counters(): Readonly<StackCounters> {
    const { counters, arena } = this.core
    counters.packetsOut = arena.packets
    counters.bytesOut = arena.bytes
    return counters
  }

  setHandlers(handlers: StackHandlers): void {
    this.tcp.handlers = this.udp.handlers = this.icmp.handlers = handlers
  }

  input(buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number, now: number): void {
    const { core, view } = this
    core.setTime(now)
    const { counters } = core
    for (let i = 0; i < count; i++) {
      const start = offsets[i]
      const end = start + lengths[i]
      counters.packetsIn++
      if (end > buffer.length || lengths[i] < VNET_HDR_LEN || !view.parse(buffer, start + VNET_HDR_LEN, end)) {
        counters.dropped++
        continue
      }
      counters.bytesIn += view.end - view.start
      if (isNoise(view)) continue
      if (!core.isExpected(view)) {
        counters.foreign++
        continue
      }
      this.packet((buffer[start + VNET_FLAGS] & (VNET_F_NEEDS_CSUM | VNET_F_DATA_VALID)) !== 0)
    }
  }

  /** What the view shows is for us. */
  private packet(trusted: boolean): void {
    const { view } = this
    if (view.fragmented) {
      const whole = this.reassembly.input(view)
      if (whole === undefined || !view.parse(whole, 0, whole.length) || view.fragmented) return
      trusted = false
    }
    const { protocol, version } = view
    if (protocol === PROTOCOL_TCP) this.tcp.input(view, trusted)
    else if (protocol === PROTOCOL_UDP) this.udp.input(view, trusted)
    else if (protocol === (version === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) this.icmp.input(view, trusted)
    else if (!(version === 6 && protocol === NEXT_NONE)) {
      const key = new FlowKey()
      key.fromPacket(view, false)
      sendUnknownProtocol(this.core, key, view)
    }
  }

  flush(now: number): void {
    this.core.setTime(now)
    this.send()
  }

  nextDeadline(): number {
    return this.core.nextDeadline()
  }

  tick(now: number): void {
    this.core.setTime(now)
    this.core.timers.expire(this.core.now)
    this.send()
  }

  private send(): void {
    this.tcp.flush(this.core.now)
    this.udp.flush(this.core.now)
    this.core.arena.flush()
  }

  listenUdp(local: Endpoint, responder: DatagramResponder): void {
    this.udp.listen(local, responder)
  }

  listenTcp(local: Endpoint, accept: (flow: TcpFlow) => TcpFlowHandler | undefined): void {
    this.tcp.listen(local, accept)
  }

  connect(local: Endpoint, remote: Endpoint, handler: TcpFlowHandler & { onOpen(): void }): TcpFlow {
    return this.tcp.connect(local, remote, handler)
  }

  flows(): Iterable<TcpFlow | UdpFlow> {
    return [...this.tcp.live(), ...this.udp.live()]
  }

  close(): void {
    this.tcp.close()
    this.udp.close()
    this.reassembly.clear()
    this.core.arena.flush()
  }
}
