// The frames of a line, docs/understand/line.md: written with room for the path's own header in front, read from a byte stream cut
// anywhere. Payloads of DATA are handed on in the pieces they arrive in, so that nothing is gathered.

/** What a path of a line begins with, instead of SSH's identification. */
export const GREETING = Buffer.from('KTLINE1\n')

/** The other end has broken the protocol. */
export class ProtocolError extends RangeError {}

export const LineFrame = {
  open: 1,
  opened: 2,
  resume: 3,
  resumed: 4,
  refused: 5,
  data: 6,
  ack: 7,
  probe: 8,
  probed: 9,
  end: 10,
  join: 11,
  joined: 12,
  pathAck: 13,
} as const

/** Why a path is refused: the first byte of REFUSED. */
export const Refusal = { unknown: 1, unproven: 2, crowded: 3, malformed: 4 } as const

/** Type and length in front of every body. */
const HEADER = 4
/** Of an offset in a stream: 256 TiB. */
export const OFFSET = 6
/** Everything in front of the payload of DATA. */
export const DATA_HEADER = HEADER + 2 * OFFSET
/** Payload of one DATA frame at most: a gatherer's slab is less. */
export const MAX_PAYLOAD = 1024 * 1024
/** Body of every other frame at most. */
export const MAX_BODY = 512
/** Paths need at most this in front of a message: a WebSocket's header and the channel byte. */
export const PATH_HEADROOM = 16

/** Writes the header of a DATA frame whose payload is `slab[start .. end)` in front of `start`; returns where it begins. */
export function sealLineData(slab: Buffer, start: number, end: number, offset: number, received: number): number {
  const begin = start - DATA_HEADER
  const length = 2 * OFFSET + end - start
  slab[begin] = LineFrame.data
  slab[begin + 1] = length >>> 16
  slab[begin + 2] = length >>> 8
  slab[begin + 3] = length
  putOffset(slab, begin + HEADER, offset)
  putOffset(slab, begin + HEADER + OFFSET, received)
  return begin
}

/** A frame that is not DATA, with PATH_HEADROOM free bytes in front. */
export function lineFrame(type: number, ...parts: Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  const frame = Buffer.alloc(PATH_HEADROOM + HEADER + size)
  frame[PATH_HEADROOM] = type
  frame.writeUIntBE(size, PATH_HEADROOM + 1, 3)
  let p = PATH_HEADROOM + HEADER
  for (const part of parts) {
    frame.set(part, p)
    p += part.length
  }
  return frame
}

/** The first message of a path: the greeting, then `frame`, which `lineFrame` made. */
export function greeted(frame: Buffer): Buffer {
  return Buffer.concat([frame.subarray(0, PATH_HEADROOM), GREETING, frame.subarray(PATH_HEADROOM)])
}

// Byte by byte, since every message has two of them, and Buffer's own functions check and convert each time.
function putOffset(bytes: Buffer, p: number, offset: number): void {
  const high = Math.floor(offset / 2 ** 32)
  bytes[p] = high >>> 8
  bytes[p + 1] = high
  bytes[p + 2] = offset >>> 24
  bytes[p + 3] = offset >>> 16
  bytes[p + 4] = offset >>> 8
  bytes[p + 5] = offset
}

function takeOffset(bytes: Buffer, p: number): number {
  const high = (bytes[p] << 8) | bytes[p + 1]
  return high * 2 ** 32 + (((bytes[p + 2] << 24) | (bytes[p + 3] << 16) | (bytes[p + 4] << 8) | bytes[p + 5]) >>> 0)
}

export function offsetBytes(offset: number): Buffer {
  const bytes = Buffer.alloc(OFFSET)
  putOffset(bytes, 0, offset)
  return bytes
}

/** The offset at `p` of a body; undefined if the body is too short. */
export function offsetAt(body: Buffer, p: number): number | undefined {
  return body.length >= p + OFFSET ? takeOffset(body, p) : undefined
}

export interface LineFrames {
  /** A piece of a DATA frame: where in the stream it begins. The piece is valid during the call only. */
  onData(offset: number, piece: Buffer): void
  /** What the other side has received, as a DATA frame says in front of its payload. */
  onReceived(received: number): void
  /** Any other frame; the body is valid during the call only. */
  onFrame(type: number, body: Buffer): void
}

function frameLength(bytes: Buffer, p: number): number {
  return (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3]
}

/** Reads frames from a byte stream cut anywhere. Throws ProtocolError on a frame that is too long or too short. */
export class LineDecoder {
  readonly #frames: LineFrames
  readonly #head = Buffer.alloc(DATA_HEADER)
  #have = 0
  #body: Buffer | undefined
  #filled = 0
  /** Payload of DATA that is still to come, and where it belongs. */
  #left = 0
  #offset = 0

  constructor(frames: LineFrames) {
    this.#frames = frames
  }

  push(chunk: Buffer): void {
    for (let p = 0; p < chunk.length; ) {
      if (this.#left > 0) {
        const end = Math.min(chunk.length, p + this.#left)
        const piece = p === 0 && end === chunk.length ? chunk : chunk.subarray(p, end)
        const offset = this.#offset
        this.#left -= end - p
        this.#offset += end - p
        p = end
        this.#frames.onData(offset, piece)
      } else if (this.#body) {
        const size = Math.min(this.#body.length - this.#filled, chunk.length - p)
        this.#body.set(chunk.subarray(p, p + size), this.#filled)
        this.#filled += size
        p += size
        if (this.#filled === this.#body.length) this.#finish()
      } else if (this.#have === 0 && chunk[p] === LineFrame.data && chunk.length - p >= DATA_HEADER) {
        // The whole header is there, as it nearly always is.
        this.#beginData(chunk, p)
        p += DATA_HEADER
      } else {
        this.#head[this.#have++] = chunk[p++]
        if (this.#have === this.#headLength()) this.#begin()
      }
    }
  }

  #headLength(): number {
    return this.#have >= HEADER && this.#head[0] === LineFrame.data ? DATA_HEADER : HEADER
  }

  /** The header of a DATA frame is at `p`. */
  #beginData(bytes: Buffer, p: number): void {
    const length = frameLength(bytes, p)
    const payload = length - 2 * OFFSET
    if (payload < 0 || payload > MAX_PAYLOAD) throw new ProtocolError(`a DATA frame of ${length} bytes`)
    this.#left = payload
    this.#offset = takeOffset(bytes, p + HEADER)
    this.#have = 0
    this.#frames.onReceived(takeOffset(bytes, p + HEADER + OFFSET))
  }

  #begin(): void {
    const type = this.#head[0]
    if (type === LineFrame.data) {
      this.#beginData(this.#head, 0)
      return
    }
    const length = frameLength(this.#head, 0)
    if (length > MAX_BODY) throw new ProtocolError(`a frame of type ${type} with ${length} bytes`)
    this.#body = Buffer.alloc(length)
    this.#filled = 0
    if (length === 0) this.#finish()
  }

  #finish(): void {
    const [type] = this.#head
    const body = this.#body!
    this.#body = undefined
    this.#have = 0
    this.#frames.onFrame(type, body)
  }
}
