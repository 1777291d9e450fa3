// The frames of the frame channel (docs/understand/agent-protocol.md). They are written whole, and read from a byte stream
// that may be cut anywhere.
import { IpAddress } from '../../wire/address.ts'

export const FRAME_CHANNEL = 'control@kt'
/** The agent's SSH identification after `SSH-2.0-`. */
export const AGENT_IDENT = 'kt_agent'
export const PROTOCOL_VERSION = 1

export const FrameType = {
  hello: 1,
  probe: 2,
  probed: 3,
  udpOpen: 4,
  udpData: 5,
  udpClose: 6,
  udpError: 7,
  ping: 8,
  pinged: 9,
  arrived: 10,
  listen: 16,
  listening: 17,
  listenFailed: 18,
  unlisten: 19,
  udpIncoming: 20,
  udpTaken: 21,
  leaving: 22,
  release: 23,
  answerEmpty: 24,
} as const

/** Bytes in front of a body. */
export const FRAME_HEADER = 9
/** There is room for an address with its family, a port, and the largest UDP payload (65,507 bytes over IPv4). */
export const MAX_FRAME = 65_600

/** This bit is set in the ids of flows that the agent begins, and clear in those of the client. */
export const AGENT_ID = 0x8000_0000

/** Encodes a frame into one buffer. The body is the concatenation of `parts`. */
export function encodeFrame(type: number, id: number, ...parts: Uint8Array[]): Buffer {
  const frame = Buffer.allocUnsafe(frameSize(parts))
  putFrame(frame, 0, type, id, parts)
  return frame
}

/** Bytes of a frame whose body is `parts`. */
export function frameSize(parts: readonly Uint8Array[]): number {
  let size = FRAME_HEADER
  for (const part of parts) size += part.length
  return size
}

/** Writes a frame at `p`, where there must be room for it, and returns where the frame ends. */
export function putFrame(buffer: Buffer, p: number, type: number, id: number, parts: readonly Uint8Array[]): number {
  const size = frameSize(parts)
  buffer.writeUInt32BE(size - 4, p)
  buffer[p + 4] = type
  buffer.writeUInt32BE(id, p + 5)
  p += FRAME_HEADER
  for (const part of parts) {
    buffer.set(part, p)
    p += part.length
  }
  return p
}

export function encodeAddress(address: IpAddress): Uint8Array {
  const bytes = new Uint8Array(1 + address.bytes.length)
  bytes[0] = address.family
  bytes.set(address.bytes, 1)
  return bytes
}

/** Reads the address at `offset` and where it ends; undefined if there is none. */
export function decodeAddress(body: Uint8Array, offset: number): { address: IpAddress; end: number } | undefined {
  const family = body[offset]
  if (family !== 4 && family !== 6) return undefined
  const end = offset + 1 + (family === 4 ? 4 : 16)
  if (end > body.length) return undefined
  return { address: IpAddress.from(body, offset + 1, family), end }
}

export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}

/** The body is valid during the call only. */
export type FrameSink = (type: number, id: number, body: Buffer) => void

/** Cuts a byte stream into frames. Throws RangeError on a frame that is too long or too short. */
export class FrameReader {
  readonly #sink: FrameSink
  #partial: Buffer | undefined
  #have = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  push(chunk: Buffer): void {
    let p = 0
    while (p < chunk.length) {
      if (!this.#partial) {
        const available = chunk.length - p
        const length = available >= 4 ? frameLength(chunk, p) : undefined
        if (length !== undefined && available >= length) {
          this.#emit(chunk, p)
          p += length
          continue
        }
        this.#partial = Buffer.allocUnsafe(length ?? FRAME_HEADER)
        this.#have = 0
      }
      const wanted = this.#have < 4 ? 4 : this.#partial.length
      const size = Math.min(wanted - this.#have, chunk.length - p)
      this.#partial.set(chunk.subarray(p, p + size), this.#have)
      this.#have += size
      p += size
      if (this.#have === 4) {
        const length = frameLength(this.#partial, 0)
        if (length !== this.#partial.length) {
          const whole = Buffer.allocUnsafe(length)
          whole.set(this.#partial.subarray(0, 4))
          this.#partial = whole
        }
      }
      if (this.#have >= FRAME_HEADER && this.#have === this.#partial.length) {
        const frame = this.#partial
        this.#partial = undefined
        this.#emit(frame, 0)
      }
    }
  }

  #emit(buffer: Buffer, p: number): void {
    this.#sink(buffer[p + 4], buffer.readUInt32BE(p + 5), buffer.subarray(p + FRAME_HEADER, p + frameLength(buffer, p)))
  }
}

/** Bytes of the whole frame at `p`. */
function frameLength(buffer: Buffer, p: number): number {
  const length = 4 + buffer.readUInt32BE(p)
  if (length < FRAME_HEADER || length > MAX_FRAME) throw new RangeError(`a control frame of ${length} bytes`)
  return length
}
