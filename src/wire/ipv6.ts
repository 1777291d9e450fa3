// The IPv6 header and its fragment header (RFC 8200 3 and 4.5): where fields are, and how they are written.
import { put16, put32 } from './bytes.ts'
import { DEFAULT_TTL } from './ipv4.ts'

/** Bytes of the fixed header. */
export const IPV6_HEADER = 40
/** Bytes of a fragment header. */
export const FRAGMENT_HEADER = 8

// Offsets within the fixed header.
export const IPV6_PAYLOAD_LENGTH = 4
export const IPV6_NEXT_HEADER = 6
export const IPV6_SOURCE = 8
export const IPV6_DESTINATION = 24

// Next-header values of extension headers.
export const NEXT_HOP_BY_HOP = 0
export const NEXT_ROUTING = 43
export const NEXT_FRAGMENT = 44
export const NEXT_NONE = 59
export const NEXT_DESTINATION_OPTIONS = 60

/** Writes the fixed header at `at`; addresses are four 32-bit words each. */
export function writeIpv6(
  bytes: Uint8Array,
  at: number,
  payloadLength: number,
  next: number,
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
): void {
  put32(bytes, at, 0x60000000)
  put32(bytes, at + IPV6_PAYLOAD_LENGTH, (payloadLength << 16) | (next << 8) | DEFAULT_TTL)
  put32(bytes, at + 8, s0)
  put32(bytes, at + 12, s1)
  put32(bytes, at + 16, s2)
  put32(bytes, at + 20, s3)
  put32(bytes, at + 24, d0)
  put32(bytes, at + 28, d1)
  put32(bytes, at + 32, d2)
  put32(bytes, at + 36, d3)
}

/** Writes a fragment header: `offset` in bytes, a multiple of 8. */
export function writeFragmentHeader(
  bytes: Uint8Array,
  at: number,
  next: number,
  offset: number,
  more: boolean,
  id: number,
): void {
  bytes[at] = next
  bytes[at + 1] = 0
  put16(bytes, at + 2, offset | (more ? 1 : 0))
  put32(bytes, at + 4, id)
}
