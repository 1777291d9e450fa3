// The IPv4 header (RFC 791 3.1): where its fields are, and how it is written.
import { put16, put32 } from './bytes.ts'
import { addWord, finish } from './checksum.ts'

/** Bytes of a header without options. */
export const IPV4_HEADER = 20

// Offsets within the header.
export const IPV4_TOTAL_LENGTH = 2
export const IPV4_ID = 4
export const IPV4_FRAGMENT = 6
export const IPV4_PROTOCOL = 9
export const IPV4_CHECKSUM = 10
export const IPV4_SOURCE = 12
export const IPV4_DESTINATION = 16

// The 16 bits at IPV4_FRAGMENT.
export const IPV4_DONT_FRAGMENT = 0x4000
export const IPV4_MORE_FRAGMENTS = 0x2000
export const IPV4_OFFSET_MASK = 0x1fff // in units of 8 bytes

/** RFC 1700's recommended default. */
export const DEFAULT_TTL = 64

/**
 * Writes a 20-byte header with its checksum at `at`. `fragment` are the flags and the offset, addresses are 32-bit words.
 */
export function writeIpv4(
  bytes: Uint8Array,
  at: number,
  totalLength: number,
  protocol: number,
  source: number,
  destination: number,
  id: number,
  fragment: number,
): void {
  const first = 0x45000000 | totalLength
  const second = ((id & 0xffff) << 16) | fragment
  const third = (DEFAULT_TTL << 24) | (protocol << 16)
  let sum = addWord(0, first)
  sum = addWord(sum, second)
  sum = addWord(sum, third)
  sum = addWord(sum, source)
  sum = addWord(sum, destination)
  put32(bytes, at, first)
  put32(bytes, at + 4, second)
  put32(bytes, at + 8, third)
  put16(bytes, at + IPV4_CHECKSUM, finish(sum))
  put32(bytes, at + IPV4_SOURCE, source)
  put32(bytes, at + IPV4_DESTINATION, destination)
}
