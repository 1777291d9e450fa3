// RFC 6455 frames as a client needs them, without a buffer a message: headers are written in front of bytes that are in place
// already, and payloads are handed on in the pieces they arrive in.

/** RFC 6455 5.2 */
export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const FIN = 0x80
const MASKED = 0x80
/** Longest header of a masked frame: 2 bytes, 8 of length, 4 of mask. */
export const MAX_HEADER = 14
/** RFC 6455 5.5: control frames carry no more. */
const MAX_CONTROL = 125

/**
 * Writes the header of a final, masked frame whose payload is `buffer[start .. end)` right in front of `start`; returns
 * where it begins. The mask is zero: masking protects proxies that see the bytes (RFC 6455 10.3), which TLS hides from them, and it costs
 * a pass over all bytes. In clear text give a `mask`, and the payload is changed in place.
 */
export function sealFrame(opcode: number, buffer: Buffer, start: number, end: number, mask?: Uint8Array): number {
  const length = end - start
  let p = start - 4
  if (mask) {
    buffer.set(mask, p)
    for (let i = 0; i < length; i++) buffer[start + i] ^= mask[i & 3]
  } else {
    buffer.fill(0, p, start)
  }
  if (length <= MAX_CONTROL) {
    buffer[--p] = MASKED | length
  } else if (length <= 0xffff) {
    buffer.writeUInt16BE(length, (p -= 2))
    buffer[--p] = MASKED | 126
  } else {
    buffer.writeUInt32BE(length, (p -= 4))
    buffer.writeUInt32BE(0, (p -= 4))
    buffer[--p] = MASKED | 127
  }
  buffer[--p] = FIN | opcode
  return p
}

export interface FrameEvents {
  /** A piece of a data message: views of what was pushed. `first` on the first piece of a message. */
  onPiece(piece: Buffer, first: boolean): void
  onPing(payload: Buffer): void
  /** A close frame: status code (1005 if none, RFC 6455 7.1.5) and reason. */
  onClose(code: number, reason: string): void
}

/** RFC 6455 7.4.1: says within a program that a close frame had no status, and is never sent. */
const NO_STATUS = 1005

/** RFC 6455 7.4: which status a close frame may carry. */
function mayBeSent(code: number): boolean {
  return code >= 1000 && code < 5000 && code !== 1004 && code !== NO_STATUS && code !== 1006 && code !== 1015
}

/** The body that answers a close frame with this status: RFC 6455 5.5.1. */
export function closeAnswer(code: number): Uint8Array {
  return code === NO_STATUS ? new Uint8Array() : Uint8Array.of(code >>> 8, code & 255)
}

/** What a server says is no WebSocket. */
export class FrameError extends Error {}

/** Reads frames of a server from a byte stream cut anywhere. Throws FrameError on a violation of RFC 6455. */
export class FrameDecoder {
  readonly #events: FrameEvents
  readonly #header = Buffer.alloc(MAX_HEADER)
  #have = 0
  #left = 0
  #opcode = 0
  #inPayload = false
  #inMessage = false
  #first = false
  #control: Buffer = Buffer.alloc(0)

  constructor(events: FrameEvents) {
    this.#events = events
  }

  push(chunk: Buffer): void {
    let p = 0
    while (p < chunk.length) {
      if (!this.#inPayload) {
        this.#header[this.#have++] = chunk[p++]
        if (this.#have >= 2 && this.#have === this.#headerLength()) this.#begin()
        continue
      }
      const end = Math.min(chunk.length, p + this.#left)
      const piece = p === 0 && end === chunk.length ? chunk : chunk.subarray(p, end)
      this.#left -= end - p
      p = end
      this.#take(piece)
      if (this.#left === 0) this.#end()
    }
  }

  #headerLength(): number {
    const short = this.#header[1] & 0x7f
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0)
  }

  #begin(): void {
    const header = this.#header
    if (header[0] & 0x70) throw new FrameError('WebSocket: reserved bits are set')
    if (header[1] & MASKED) throw new FrameError('WebSocket: the server masks its frames')
    this.#opcode = header[0] & 0x0f
    const final = (header[0] & FIN) !== 0
    const short = header[1] & 0x7f
    this.#left = short
    if (short === 126) this.#left = header.readUInt16BE(2)
    if (short === 127) this.#left = header.readUInt32BE(2) * 2 ** 32 + header.readUInt32BE(6)
    this.#have = 0
    this.#inPayload = true
    if (this.#opcode >= Opcode.close) {
      if (!final || this.#left > MAX_CONTROL) throw new FrameError('WebSocket: a control frame that is too long')
      this.#control = Buffer.alloc(0)
    } else {
      if ((this.#opcode === Opcode.continuation) !== this.#inMessage)
        throw new FrameError('WebSocket: frames out of order')
      if (this.#opcode > Opcode.binary) throw new FrameError('WebSocket: an unknown kind of frame')
      // An empty first frame leaves it to the next one to be the first piece.
      if (!this.#inMessage) this.#first = true
      this.#inMessage = !final
    }
    if (this.#left === 0) this.#end()
  }

  #take(piece: Buffer): void {
    if (this.#opcode >= Opcode.close) {
      this.#control = Buffer.concat([this.#control, piece])
      return
    }
    const first = this.#first
    this.#first = false
    this.#events.onPiece(piece, first)
  }

  #end(): void {
    this.#inPayload = false
    if (this.#opcode === Opcode.ping) this.#events.onPing(this.#control)
    else if (this.#opcode === Opcode.close) {
      const body = this.#control
      if (body.length === 1) throw new FrameError('WebSocket: a close frame with half a status')
      const code = body.length >= 2 ? body.readUInt16BE(0) : NO_STATUS
      if (body.length >= 2 && !mayBeSent(code)) throw new FrameError(`WebSocket: a close frame with the status ${code}`)
      this.#events.onClose(code, body.subarray(2).toString())
    }
  }
}
