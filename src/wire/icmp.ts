// ICMP (RFC 792) and ICMPv6 (RFC 4443): the types kt knows, and the eight bytes all messages begin with.
import { put16, put32 } from './bytes.ts'

/** Bytes of type, code, checksum and the four bytes that depend on the type. */
export const ICMP_HEADER = 8

// Offsets within the header.
export const ICMP_TYPE = 0
export const ICMP_CODE = 1
export const ICMP_CHECKSUM = 2
export const ICMP_ID = 4
export const ICMP_SEQUENCE = 6

export const ICMP_ECHO_REPLY = 0
export const ICMP_UNREACHABLE = 3
export const ICMP_ECHO_REQUEST = 8

export const ICMPV6_UNREACHABLE = 1
export const ICMPV6_PARAMETER_PROBLEM = 4
export const ICMPV6_ECHO_REQUEST = 128
export const ICMPV6_ECHO_REPLY = 129

// Codes of ICMP_UNREACHABLE: RFC 792, RFC 1812 5.2.7.1.
export const UNREACHABLE_NET = 0
export const UNREACHABLE_HOST = 1
export const UNREACHABLE_PROTOCOL = 2
export const UNREACHABLE_PORT = 3
export const UNREACHABLE_PROHIBITED = 13

// Codes of ICMPV6_UNREACHABLE: RFC 4443 3.1.
export const UNREACHABLE6_NO_ROUTE = 0
export const UNREACHABLE6_PROHIBITED = 1
export const UNREACHABLE6_ADDRESS = 3
export const UNREACHABLE6_PORT = 4

/** Writes the first eight bytes; `rest` are the four that depend on the type. */
export function writeIcmp(
  bytes: Uint8Array,
  at: number,
  type: number,
  code: number,
  checksum: number,
  rest: number,
): void {
  bytes[at] = type
  bytes[at + 1] = code
  put16(bytes, at + ICMP_CHECKSUM, checksum)
  put32(bytes, at + 4, rest)
}
