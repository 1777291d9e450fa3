// The TCP header and its options (RFC 9293 3.1 and 3.2, RFC 7323, RFC 2018): offsets, flags, a bounded option reader
// that fills one reusable object, and writers.
import { get16, get32, put16, put32 } from './bytes.ts'

/** Bytes of a header without options. */
export const TCP_HEADER = 20

// Offsets within the header.
export const TCP_SEQUENCE = 4
export const TCP_ACKNOWLEDGMENT = 8
const TCP_DATA_OFFSET = 12
export const TCP_FLAGS = 13
export const TCP_WINDOW = 14
export const TCP_CHECKSUM = 16

export const FIN = 1
export const SYN = 2
export const RST = 4
export const PSH = 8
export const ACK = 16

// Option kinds.
const END = 0
const NOP = 1
const MSS = 2
const WINDOW_SCALE = 3
const SACK_PERMITTED = 4
const SACK = 5
const TIMESTAMPS = 8

/** RFC 7323 2.3: a larger shift count counts as this. */
const MAX_WINDOW_SCALE = 14
/** Blocks that fit into 40 bytes of options. */
export const MAX_SACK_BLOCKS = 4

/** Bytes of the header at `at` with its options, or 0 if it does not fit into `bytes[at .. end)`. */
export function tcpHeaderLength(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < TCP_HEADER) return 0
  const length = (bytes[at + TCP_DATA_OFFSET] >> 4) << 2
  return length < TCP_HEADER || length > end - at ? 0 : length
}

/** The options of one segment. Reused; `read` sets every field. */
export class TcpOptions {
  /** 0 if absent. */
  mss = 0
  /** -1 if absent. */
  windowScale = -1
  sackPermitted = false
  sackCount = 0
  /** Edges: left, right, left, right, ... as sequence numbers. */
  readonly sack = new Int32Array(2 * MAX_SACK_BLOCKS)
  hasTimestamps = false
  timestamp = 0
  timestampEcho = 0

  /** Reads `bytes[start .. end)`; a malformed option ends the walk, and what came before it counts. */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.mss = 0
    this.windowScale = -1
    this.sackPermitted = false
    this.sackCount = 0
    this.hasTimestamps = false
    let at = start
    while (at < end) {
      const kind = bytes[at]
      if (kind === END) return
      if (kind === NOP) {
        at++
        continue
      }
      if (at + 1 >= end) return
      const length = bytes[at + 1]
      if (length < 2 || at + length > end) return
      if (kind === MSS && length === 4) this.mss = get16(bytes, at + 2)
      else if (kind === WINDOW_SCALE && length === 3) this.windowScale = Math.min(bytes[at + 2], MAX_WINDOW_SCALE)
      else if (kind === SACK_PERMITTED && length === 2) this.sackPermitted = true
      else if (kind === SACK && (length - 2) % 8 === 0) {
        this.sackCount = Math.min((length - 2) >> 3, MAX_SACK_BLOCKS)
        for (let i = 0; i < 2 * this.sackCount; i++) this.sack[i] = get32(bytes, at + 2 + 4 * i)
      } else if (kind === TIMESTAMPS && length === 10) {
        this.hasTimestamps = true
        this.timestamp = get32(bytes, at + 2)
        this.timestampEcho = get32(bytes, at + 6)
      }
      at += length
    }
  }
}

/** Writes a header of `headerLength` bytes (options follow separately). `checksum` goes into its field as it is. */
export function writeTcp(
  bytes: Uint8Array,
  at: number,
  ports: number,
  sequence: number,
  acknowledgment: number,
  headerLength: number,
  flags: number,
  window: number,
  checksum: number,
): void {
  put32(bytes, at, ports)
  put32(bytes, at + TCP_SEQUENCE, sequence)
  put32(bytes, at + TCP_ACKNOWLEDGMENT, acknowledgment)
  put32(bytes, at + TCP_DATA_OFFSET, (headerLength << 26) | (flags << 16) | window)
  put32(bytes, at + TCP_CHECKSUM, checksum << 16)
}

/** Bytes that `writeSynOptions` writes. */
export function synOptionsLength(windowScale: number, sackPermitted: boolean): number {
  return 4 + (windowScale >= 0 ? 4 : 0) + (sackPermitted ? 4 : 0)
}

/** MSS, and where wanted window scale (-1: none) and SACK permitted, padded to multiples of four bytes. */
export function writeSynOptions(
  bytes: Uint8Array,
  at: number,
  mss: number,
  windowScale: number,
  sackPermitted: boolean,
): void {
  bytes[at] = MSS
  bytes[at + 1] = 4
  put16(bytes, at + 2, mss)
  at += 4
  if (windowScale >= 0) {
    put32(bytes, at, (NOP << 24) | (WINDOW_SCALE << 16) | (3 << 8) | windowScale)
    at += 4
  }
  if (sackPermitted) put32(bytes, at, (NOP << 24) | (NOP << 16) | (SACK_PERMITTED << 8) | 2)
}

/** Bytes that `writeSackOption` writes for `count` blocks. */
export function sackOptionLength(count: number): number {
  return count === 0 ? 0 : 4 + 8 * count
}

/** Two NOPs and `count` blocks, given as edges. */
export function writeSackOption(bytes: Uint8Array, at: number, edges: Int32Array, count: number): void {
  put32(bytes, at, (NOP << 24) | (NOP << 16) | (SACK << 8) | (2 + 8 * count))
  for (let i = 0; i < 2 * count; i++) put32(bytes, at + 4 + 4 * i, edges[i])
}
