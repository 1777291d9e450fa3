// What is common to IPv4 and IPv6: protocol numbers, and one reusable view that finds the addresses and the payload of
// a packet of either version. The view trusts no length field: every offset it reports lies inside the bytes it was given.

import { get16 } from './bytes.ts'
import { addBytes, fold } from './checksum.ts'
import {
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_ID,
  IPV4_MORE_FRAGMENTS,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
} from './ipv4.ts'
import {
  FRAGMENT_HEADER,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  NEXT_DESTINATION_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from './ipv6.ts'

// https://www.iana.org/assignments/protocol-numbers
export const PROTOCOL_ICMP = 1
export const PROTOCOL_TCP = 6
export const PROTOCOL_UDP = 17
export const PROTOCOL_ICMPV6 = 58

/** The most extension headers that are read. The kernel sends two or three. */
const MAX_EXTENSIONS = 8

/** Where the parts of one IP packet are. Reused from packet to packet; valid until the next `parse`. */
export class IpView {
  buffer: Uint8Array = new Uint8Array(0)
  /** First byte of the IP header. */
  start = 0
  /** Behind the last byte of the packet, as its length field says. */
  end = 0
  version = 4
  /** Protocol of the payload, extension headers skipped. */
  protocol = 0
  /** Offset of the field that named `protocol`. */
  protocolField = 0
  source = 0
  destination = 0
  addressLength = 4
  payload = 0
  /** The payload is a fragment. The next four fields describe it. */
  fragmented = false
  fragmentOffset = 0
  moreFragments = false
  /** IPv4: `ID`; IPv6: offset of the fragment header's identification. */
  fragmentId = 0

  /** Reads the packet in `buffer[start .. end)`. False if it is not one; then no field means anything. */
  parse(buffer: Uint8Array, start: number, end: number): boolean {
    this.buffer = buffer
    this.start = start
    this.fragmented = false
    if (end - start < IPV4_HEADER) return false
    const version = buffer[start] >> 4
    if (version === 4) return this.parse4(start, end)
    if (version === 6) return this.parse6(start, end)
    return false
  }

  private parse4(start: number, end: number): boolean {
    const buffer = this.buffer
    const headerLength = (buffer[start] & 15) << 2
    const total = get16(buffer, start + IPV4_TOTAL_LENGTH)
    if (headerLength < IPV4_HEADER || headerLength > total || total > end - start) return false
    if (fold(addBytes(0, buffer, start, start + headerLength)) !== 0xffff) return false
    this.version = 4
    this.end = start + total
    this.protocol = buffer[start + IPV4_PROTOCOL]
    this.protocolField = start + IPV4_PROTOCOL
    this.source = start + IPV4_SOURCE
    this.destination = start + IPV4_DESTINATION
    this.addressLength = 4
    this.payload = start + headerLength
    const fragment = get16(buffer, start + IPV4_FRAGMENT)
    if ((fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) !== 0) {
      this.fragmented = true
      this.fragmentOffset = (fragment & IPV4_OFFSET_MASK) << 3
      this.moreFragments = (fragment & IPV4_MORE_FRAGMENTS) !== 0
      this.fragmentId = start + IPV4_ID
    }
    return true
  }

  private parse6(start: number, end: number): boolean {
    const buffer = this.buffer
    if (end - start < IPV6_HEADER) return false
    const stop = start + IPV6_HEADER + get16(buffer, start + IPV6_PAYLOAD_LENGTH)
    if (stop > end) return false
    this.version = 6
    this.end = stop
    this.source = start + IPV6_SOURCE
    this.destination = start + IPV6_DESTINATION
    this.addressLength = 16
    let field = start + IPV6_NEXT_HEADER
    let at = start + IPV6_HEADER
    for (let walked = 0; walked <= MAX_EXTENSIONS; walked++) {
      const next = buffer[field]
      if (next === NEXT_FRAGMENT) {
        if (at + FRAGMENT_HEADER > stop) return false
        const fragment = get16(buffer, at + 2)
        field = at
        const header = at
        at += FRAGMENT_HEADER
        // RFC 6946: offset 0 and no more fragments is a whole packet.
        if ((fragment & 0xfff9) !== 0) {
          this.fragmented = true
          this.fragmentOffset = fragment & 0xfff8
          this.moreFragments = (fragment & 1) !== 0
          this.fragmentId = header + 4
          this.protocol = buffer[field]
          this.protocolField = field
          this.payload = at
          return true
        }
      } else if (
        next === NEXT_DESTINATION_OPTIONS ||
        next === NEXT_ROUTING ||
        (next === NEXT_HOP_BY_HOP && walked === 0)
      ) {
        if (at + 8 > stop) return false
        const length = (buffer[at + 1] + 1) << 3
        if (at + length > stop) return false
        // RFC 8200 4.4: a routing header with segments left is meant for another node.
        if (next === NEXT_ROUTING && buffer[at + 3] !== 0) return false
        field = at
        at += length
      } else {
        this.protocol = next
        this.protocolField = field
        this.payload = at
        return true
      }
    }
    return false
  }
}
