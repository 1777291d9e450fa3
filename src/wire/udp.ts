// The UDP header (RFC 768).
import { get16, put16, put32 } from './bytes.ts'

/** Bytes of the header. */
export const UDP_HEADER = 8

// Offsets within the header.
const UDP_LENGTH = 4
export const UDP_CHECKSUM = 6

/** Where the datagram at `at` ends, or 0 if it does not fit into `bytes[at .. end)`. Bytes behind it are padding. */
export function udpEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < UDP_HEADER) return 0
  const length = get16(bytes, at + UDP_LENGTH)
  return length < UDP_HEADER || length > end - at ? 0 : at + length
}

/** Writes the header; `length` counts it too. `ports` is source << 16 | destination, `checksum` is stored as it is. */
export function writeUdp(bytes: Uint8Array, at: number, ports: number, length: number, checksum: number): void {
  put32(bytes, at, ports)
  put16(bytes, at + UDP_LENGTH, length)
  put16(bytes, at + UDP_CHECKSUM, checksum)
}
