// Datagrams on the wire: UDP in one frame with the checksum left to the kernel; what exceeds the MTU, and ICMP, whole
// with its checksum and cut into fragments where it must be (RFC 791 3.2, RFC 8200 4.5).
import { copyBytes, put16 } from '../wire/bytes.ts'
import { addBytes, finish, fold } from '../wire/checksum.ts'
import { ICMP_CHECKSUM, ICMP_HEADER, writeIcmp } from '../wire/icmp.ts'
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP } from '../wire/ip.ts'
import { IPV4_HEADER, IPV4_MORE_FRAGMENTS, writeIpv4 } from '../wire/ipv4.ts'
import { FRAGMENT_HEADER, IPV6_HEADER, NEXT_FRAGMENT, writeFragmentHeader } from '../wire/ipv6.ts'
import { UDP_CHECKSUM, UDP_HEADER, writeUdp } from '../wire/udp.ts'
import type { Core } from './core.ts'
import { type FlowKey, writeIp } from './key.ts'

/** Of UDP over IPv4 (RFC 768 and the 16 bits of RFC 791's total length). */
const LARGEST_DATAGRAM = 65535 - IPV4_HEADER - UDP_HEADER

/** Sends `payload` from the key's local to its remote side. False, and nothing sent, if it is too large for any IP packet. */
export function emitUdp(core: Core, key: FlowKey, payload: Uint8Array): boolean {
  const size = payload.length
  if (size > LARGEST_DATAGRAM) return false
  const length = UDP_HEADER + size
  const ipHeader = key.ipHeader
  const sum = key.addressSum() + PROTOCOL_UDP + length
  if (ipHeader + length <= core.mtu) {
    const at = core.arena.frame(ipHeader + length, ipHeader, UDP_CHECKSUM, 0, 0, 0)
    const { buffer } = core.arena
    writeIp(buffer, at, key, PROTOCOL_UDP, length)
    writeUdp(buffer, at + ipHeader, key.ports, length, fold(sum))
    copyBytes(buffer, at + ipHeader + UDP_HEADER, payload, 0, size)
    return true
  }
  const bytes = new Uint8Array(length)
  writeUdp(bytes, 0, key.ports, length, 0)
  bytes.set(payload, UDP_HEADER)
  // RFC 768: a sum that is zero is sent as all ones, since zero says that there is none.
  put16(bytes, UDP_CHECKSUM, finish(addBytes(sum, bytes, 0, length)) || 0xffff)
  emitFragments(core, key, PROTOCOL_UDP, bytes)
  return true
}

/** Sends an ICMP or ICMPv6 message: type and code of the key's family, the four bytes `rest`, and what follows. */
export function emitIcmp(core: Core, key: FlowKey, type: number, code: number, rest: number, body: Uint8Array): void {
  const v4 = key.version === 4
  const protocol = v4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6
  const bytes = new Uint8Array(ICMP_HEADER + body.length)
  writeIcmp(bytes, 0, type, code, 0, rest)
  bytes.set(body, ICMP_HEADER)
  const pseudo = v4 ? 0 : key.addressSum() + protocol + bytes.length // RFC 4443 2.3
  put16(bytes, ICMP_CHECKSUM, finish(addBytes(pseudo, bytes, 0, bytes.length)))
  if (key.ipHeader + bytes.length > core.mtu) {
    emitFragments(core, key, protocol, bytes)
    return
  }
  const at = core.arena.frame(key.ipHeader + bytes.length, 0, 0, 0, 0, 0)
  writeIp(core.arena.buffer, at, key, protocol, bytes.length)
  copyBytes(core.arena.buffer, at + key.ipHeader, bytes, 0, bytes.length)
}

function emitFragments(core: Core, key: FlowKey, protocol: number, bytes: Uint8Array): void {
  const v4 = key.version === 4
  const header = v4 ? IPV4_HEADER : IPV6_HEADER + FRAGMENT_HEADER
  const most = (core.mtu - header) & ~7
  const id = core.random() | 0
  const { arena } = core
  for (let offset = 0; offset < bytes.length; offset += most) {
    const size = Math.min(most, bytes.length - offset)
    const more = offset + size < bytes.length
    const at = arena.frame(header + size, 0, 0, 0, 0, 0)
    if (v4) {
      const field = (offset >> 3) | (more ? IPV4_MORE_FRAGMENTS : 0)
      writeIpv4(arena.buffer, at, header + size, protocol, key.local0, key.remote0, id, field)
    } else {
      writeIp(arena.buffer, at, key, NEXT_FRAGMENT, FRAGMENT_HEADER + size)
      writeFragmentHeader(arena.buffer, at + IPV6_HEADER, protocol, offset, more, id)
    }
    copyBytes(arena.buffer, at + header, bytes, offset, size)
  }
}
