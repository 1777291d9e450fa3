// Finds the end of a body in bytes that pass by, without keeping them, and says which of the bytes are its content.
import { type Framing, HttpError } from './head.ts'

/** Length of a line within a chunked body: a size with extensions, or a trailer. */
const MAX_LINE = 16 * 1024
const MAX_TRAILERS = 64 * 1024

/** Is given the content of a body, piece by piece. A piece is its to read during the call only. */
export interface BodyTaker {
  add(part: Uint8Array): void
}

/** Follows one body. */
export interface BodyEnd {
  readonly done: boolean
  /**
   * How many of the bytes are the body's; fewer than all only when it is done. `content` is given those that are not its
   * framing. Throws HttpError.
   */
  take(chunk: Uint8Array, content?: BodyTaker): number
}

export function bodyEnd(framing: Framing): BodyEnd {
  switch (framing.kind) {
    case 'none':
      return new CountedBody(0)
    case 'length':
      return new CountedBody(framing.bytes)
    case 'chunked':
      return new ChunkedBody()
    case 'close':
      return new CountedBody(Number.POSITIVE_INFINITY)
  }
}

class CountedBody implements BodyEnd {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  get done(): boolean {
    return this.#left === 0
  }

  take(chunk: Uint8Array, content?: BodyTaker): number {
    const taken = Math.min(this.#left, chunk.length)
    this.#left -= taken
    content?.add(taken === chunk.length ? chunk : chunk.subarray(0, taken))
    return taken
  }
}

const CR = 13
const LF = 10

/** RFC 9112 7.1: `SIZE[;extensions] CRLF data CRLF` ..., `0 CRLF trailers CRLF`. */
class ChunkedBody implements BodyEnd {
  done = false
  #in: 'size' | 'data' | 'after' | 'trailers' = 'size'
  #line = ''
  /** Bytes of data left of this chunk. */
  #left = 0
  #trailerBytes = 0

  take(chunk: Uint8Array, content?: BodyTaker): number {
    let at = 0
    while (at < chunk.length && !this.done) {
      if (this.#in === 'data') {
        const part = Math.min(this.#left, chunk.length - at)
        content?.add(chunk.subarray(at, at + part))
        at += part
        this.#left -= part
        if (this.#left === 0) this.#in = 'after'
      } else at = this.#takeLine(chunk, at)
    }
    return at
  }

  /** Lines are short, or are refused. */
  #takeLine(chunk: Uint8Array, start: number): number {
    const end = chunk.indexOf(LF, start)
    const stop = end < 0 ? chunk.length : end + 1
    if (this.#line.length + stop - start > MAX_LINE) throw new HttpError(431, 'a line of a chunked body is too long')
    for (let i = start; i < stop; i++) {
      const byte = chunk[i]
      if (this.#line.endsWith('\r') !== (byte === LF)) throw new HttpError(400, 'a bare CR or LF in a chunked body')
      if (byte < 0x20 && byte !== CR && byte !== LF && byte !== 9) throw new HttpError(400, 'a control character')
      this.#line += String.fromCharCode(byte)
    }
    if (end >= 0) {
      const line = this.#line.slice(0, -2)
      this.#line = ''
      this.#endOfLine(line)
    }
    return stop
  }

  #endOfLine(line: string): void {
    if (this.#in === 'after') {
      if (line !== '') throw new HttpError(400, 'a chunk that is longer than its size')
      this.#in = 'size'
    } else if (this.#in === 'size') {
      const size = /^([0-9a-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line)
      if (!size) throw new HttpError(400, 'a chunk size that is not one')
      this.#left = Number.parseInt(size[1], 16)
      this.#in = this.#left === 0 ? 'trailers' : 'data'
    } else if (line === '') this.done = true
    else {
      this.#trailerBytes += line.length
      if (this.#trailerBytes > MAX_TRAILERS) throw new HttpError(431, 'the trailers are too long')
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:/.test(line)) throw new HttpError(400, 'a trailer that is not one')
    }
  }
}
