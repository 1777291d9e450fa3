// Cuts one direction of an HTTP/2 connection (RFC 9113 4.1) into frames. The content of DATA is told and not kept;
// header blocks are put together from HEADERS, PUSH_PROMISE and CONTINUATION.

const DATA = 0x0
const HEADERS = 0x1
const RST_STREAM = 0x3
const PUSH_PROMISE = 0x5
const CONTINUATION = 0x9
const END_STREAM = 0x1
const END_HEADERS = 0x4
const PADDED = 0x8
const PRIORITY = 0x20
const HEADER_BYTES = 9
const MAX_BLOCK = 64 * 1024
const NOTHING = new Uint8Array()

export interface FrameEvents {
  /** A whole header block. `promised`: of a push, which is no message of this direction's streams. */
  onHeaders(stream: number, block: Uint8Array, end: boolean, promised: boolean): void
  /** Bytes of a body, perhaps none, to be read during the call only; `end` with the last of them. */
  onData(stream: number, content: Uint8Array, end: boolean): void
  onReset(stream: number): void
}

export class FrameReader {
  readonly #events: FrameEvents
  readonly #head = new Uint8Array(HEADER_BYTES)
  #headBytes = 0
  /** Of the frame under way. */
  #type = 0
  #flags = 0
  #stream = 0
  #left = 0
  /** Of DATA: what its padding leaves; undefined until the first byte, which may be the padding's length. */
  #content: number | undefined
  /** Its payload, where that is needed. */
  #kept = NOTHING
  /** A header block that CONTINUATION frames go on with. */
  #block: { stream: number; end: boolean; promised: boolean; parts: Uint8Array[]; bytes: number } | undefined

  constructor(events: FrameEvents) {
    this.#events = events
  }

  /** Throws RangeError for what is not HTTP/2, or too large to follow; nothing can be read after that. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#headBytes < HEADER_BYTES) {
        this.#head[this.#headBytes++] = chunk[at++]
        if (this.#headBytes === HEADER_BYTES) this.#begin()
      } else {
        const part = chunk.subarray(at, at + this.#left)
        at += part.length
        this.#left -= part.length
        this.#payload(part)
      }
      if (this.#headBytes === HEADER_BYTES && this.#left === 0) this.#end()
    }
  }

  #begin(): void {
    const [a, b, c, type, flags, d, e, f, g] = this.#head
    this.#left = (a << 16) | (b << 8) | c
    this.#type = type
    this.#flags = flags
    this.#stream = ((d & 0x7f) << 24) | (e << 16) | (f << 8) | g
    this.#content = undefined
    // RFC 9113 6.10: nothing comes between the frames of a header block.
    if (this.#block !== undefined && (type !== CONTINUATION || this.#stream !== this.#block.stream))
      throw new RangeError('a header block that is interrupted')
    if (this.#isBlock && this.#left + (this.#block?.bytes ?? 0) > MAX_BLOCK)
      throw new RangeError('headers that are too long')
    if (this.#isBlock) this.#kept = new Uint8Array(this.#left)
  }

  get #isBlock(): boolean {
    return this.#type === HEADERS || this.#type === PUSH_PROMISE || this.#type === CONTINUATION
  }

  #payload(part: Uint8Array): void {
    if (this.#isBlock) this.#kept.set(part, this.#kept.length - this.#left - part.length)
    else if (this.#type === DATA && part.length > 0) {
      let content = part
      if (this.#content === undefined) {
        this.#content = this.#left + part.length
        // The padding and its length are no part of the body (RFC 9113 6.1).
        if (this.#flags & PADDED) {
          this.#content -= part[0] + 1
          content = part.subarray(1)
          if (this.#content < 0) throw new RangeError('padding that is longer than its frame')
        }
      }
      content = content.subarray(0, this.#content)
      this.#content -= content.length
      this.#events.onData(this.#stream, content, false)
    }
  }

  #end(): void {
    this.#headBytes = 0
    if (this.#type === DATA) {
      if (this.#flags & END_STREAM) this.#events.onData(this.#stream, NOTHING, true)
    } else if (this.#type === RST_STREAM) this.#events.onReset(this.#stream)
    else if (this.#isBlock) this.#endOfBlock()
  }

  #endOfBlock(): void {
    const payload = this.#kept
    this.#kept = NOTHING
    if (this.#type === CONTINUATION) {
      if (!this.#block) throw new RangeError('a CONTINUATION of nothing')
      this.#block.parts.push(payload)
      this.#block.bytes += payload.length
      // Empty ones cost nothing on the wire and something here.
      if (this.#block.parts.length > MAX_BLOCK / 1024) throw new RangeError('headers in too many pieces')
    } else {
      const fragment = withoutExtras(payload, this.#flags, this.#type === PUSH_PROMISE)
      const end = (this.#flags & END_STREAM) !== 0
      const promised = this.#type === PUSH_PROMISE
      this.#block = { stream: this.#stream, end, promised, parts: [fragment], bytes: fragment.length }
    }
    if ((this.#flags & END_HEADERS) === 0) return
    const { stream, end, promised, parts } = this.#block
    this.#block = undefined
    this.#events.onHeaders(stream, Buffer.concat(parts), end, promised)
  }
}

/** Without padding, priority and the promised stream's number (RFC 9113 6.2, 6.6). */
function withoutExtras(payload: Uint8Array, flags: number, promised: boolean): Uint8Array {
  const padding = flags & PADDED ? (payload[0] ?? 0) : 0
  const from = (flags & PADDED ? 1 : 0) + (promised ? 4 : flags & PRIORITY ? 5 : 0)
  if (from + padding > payload.length) throw new RangeError('padding that is longer than its frame')
  return payload.subarray(from, payload.length - padding)
}
