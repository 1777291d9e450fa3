// ICMP and ICMPv6 as a host speaks it: echo requests, and the port-unreachable errors by which the kernel says that the
// program behind a UDP flow is gone. Everything else is ignored: nothing here may be steered by errors about TCP.
import { get16, get32 } from '../wire/bytes.ts'
import { addBytes, fold, pseudoSum } from '../wire/checksum.ts'
import {
  ICMP_CODE,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HEADER,
  ICMP_ID,
  ICMP_SEQUENCE,
  ICMP_TYPE,
  ICMP_UNREACHABLE,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_UNREACHABLE,
  UNREACHABLE_PORT,
  UNREACHABLE6_PORT,
} from '../wire/icmp.ts'
import { IpView, PROTOCOL_ICMPV6, PROTOCOL_UDP } from '../wire/ip.ts'
import { IPV4_HEADER, IPV4_TOTAL_LENGTH } from '../wire/ipv4.ts'
import { IPV6_HEADER, IPV6_PAYLOAD_LENGTH } from '../wire/ipv6.ts'
import { UDP_HEADER } from '../wire/udp.ts'
import type { EchoRequest, Rejection, StackHandlers } from './api.ts'
import type { Core } from './core.ts'
import { emitIcmp } from './datagram.ts'
import { echoHeader, sendEchoRejection } from './errors.ts'
import { FlowKey } from './key.ts'
import type { UdpLayer } from './udp.ts'

class Echo implements EchoRequest {
  readonly id: number
  readonly sequence: number
  readonly payload: Uint8Array
  private readonly core: Core
  private readonly key: FlowKey

  constructor(core: Core, key: FlowKey, id: number, sequence: number, payload: Uint8Array) {
    this.core = core
    this.key = key
    this.id = id
    this.sequence = sequence
    this.payload = payload
  }

  get local() {
    return this.key.localAddress()
  }

  get remote() {
    return this.key.remoteAddress()
  }

  reply(): void {
    const type = this.key.version === 4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY
    emitIcmp(this.core, this.key, type, 0, (this.id << 16) | this.sequence, this.payload)
  }

  reject(reason: Rejection): void {
    const type = this.key.version === 4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST
    sendEchoRejection(this.core, this.key, reason, echoHeader(type, this.id, this.sequence))
  }
}

export class IcmpLayer {
  handlers: StackHandlers | null = null
  private readonly core: Core
  private readonly udp: UdpLayer

  constructor(core: Core, udp: UdpLayer) {
    this.core = core
    this.udp = udp
  }

  input(view: IpView, trusted: boolean): void {
    const { buffer, payload, end } = view
    if (end - payload < ICMP_HEADER || !(trusted || isIntact(view))) {
      this.core.counters.dropped++
      return
    }
    const type = buffer[payload + ICMP_TYPE]
    const v4 = view.version === 4
    if (type === (v4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST)) this.echo(view)
    else if (
      type === (v4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE) &&
      buffer[payload + ICMP_CODE] === (v4 ? UNREACHABLE_PORT : UNREACHABLE6_PORT)
    ) {
      this.portUnreachable(view)
    }
  }

  private echo(view: IpView): void {
    const { buffer, payload, end } = view
    const key = new FlowKey()
    key.fromPacket(view, false)
    const id = get16(buffer, payload + ICMP_ID)
    const sequence = get16(buffer, payload + ICMP_SEQUENCE)
    const request = new Echo(this.core, key, id, sequence, buffer.slice(payload + ICMP_HEADER, end))
    if (this.core.isOwn(key)) request.reply()
    else this.handlers?.onEcho(request)
  }

  /** The quoted packet must be one of ours: UDP, from the address the error was sent to, of a flow that exists. */
  private portUnreachable(view: IpView): void {
    const quote = quotedPacket(view.buffer, view.payload + ICMP_HEADER, view.end)
    if (quote === undefined || quote.protocol !== PROTOCOL_UDP || quote.version !== view.version) return
    const { buffer, payload } = quote
    if (quote.fragmented || quote.end - payload < UDP_HEADER) return
    // Turned round, it reads as a packet that came in.
    const ports = get32(buffer, payload)
    const { source } = quote
    quote.source = quote.destination
    quote.destination = source
    for (let i = 0; i < view.addressLength; i++) {
      if (buffer[quote.destination + i] !== view.buffer[view.destination + i]) return
    }
    const turned = new Uint8Array(4)
    turned.set(buffer.subarray(payload + 2, payload + 4), 0)
    turned.set(buffer.subarray(payload, payload + 2), 2)
    buffer.set(turned, payload)
    const key = new FlowKey()
    key.fromPacket(quote, true)
    if (key.ports === ports) this.udp.unreachable(key)
  }
}

/** A view of a quoted packet, whose length field may speak of more than was quoted; in a copy, where that is mended. */
function quotedPacket(buffer: Uint8Array, start: number, end: number): IpView | undefined {
  const copy = buffer.slice(start, end)
  if (copy.length < IPV4_HEADER) return undefined
  const view = new IpView()
  if (copy[0] >> 4 === 4) {
    const told = get16(copy, IPV4_TOTAL_LENGTH)
    if (told <= copy.length) return view.parse(copy, 0, copy.length) ? view : undefined
    const whole = new Uint8Array(told)
    whole.set(copy)
    if (!view.parse(whole, 0, told)) return undefined
    view.end = copy.length
    return view
  }
  if (copy.length < IPV6_HEADER) return undefined
  const whole = new Uint8Array(IPV6_HEADER + get16(copy, IPV6_PAYLOAD_LENGTH))
  whole.set(copy.subarray(0, whole.length))
  if (!view.parse(whole, 0, whole.length)) return undefined
  view.end = Math.min(whole.length, copy.length)
  return view
}

function isIntact(view: IpView): boolean {
  const { buffer, source, destination, addressLength, payload, end } = view
  const pseudo =
    view.version === 4 ? 0 : pseudoSum(buffer, source, destination, addressLength, PROTOCOL_ICMPV6, end - payload)
  return fold(addBytes(pseudo, buffer, payload, end)) === 0xffff
}
