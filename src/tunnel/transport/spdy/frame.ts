// The little of SPDY/3.1 that a port-forward needs: two streams opened by us, data both ways, answers to pings. Header
// blocks are compressed by the protocol's rules with deflate blocks that are "stored": valid, and no compressor to keep.

/** Bytes of a frame's header. */
export const SPDY_HEADER = 8
/** Largest control frame that is read; what a server sends here has some hundred bytes. */
const MAX_CONTROL = 64 * 1024

const SYN_STREAM = 1
const RST_STREAM = 3
const PING = 6
const GOAWAY = 7
const FIN = 1

// RFC 1950: header of a zlib stream with a preset dictionary, and the Adler-32 of the dictionary that SPDY/3 prescribes.
const ZLIB_START = Buffer.from('7820e3c6a7c2', 'hex')
// RFC 1951 3.2.4: an empty stored block, which makes decoders hand out what they have (Z_SYNC_FLUSH).
const SYNC = Buffer.from('000000ffff', 'hex')

/** Writes SYN_STREAM frames; one a connection, since the header blocks are one zlib stream. */
export class StreamOpener {
  #started = false

  /** A frame that opens stream `id` (odd: the client's). `fin`: nothing will be sent on it. Names in lower case. */
  open(id: number, headers: [name: string, value: string][], fin: boolean): Buffer {
    const text = Buffer.concat([
      u32(headers.length),
      ...headers.flat().flatMap((one) => [u32(one.length), Buffer.from(one, 'latin1')]),
    ])
    const block = Buffer.concat([
      this.#started ? Buffer.alloc(0) : ZLIB_START,
      Buffer.from([0, text.length & 255, text.length >>> 8, ~text.length & 255, (~text.length >>> 8) & 255]),
      text,
      SYNC,
    ])
    this.#started = true
    const priority = Buffer.alloc(2)
    const payload = Buffer.concat([u32(id), u32(0), priority, block])
    return Buffer.concat([Buffer.from([0x80, 3, 0, SYN_STREAM]), lengthWord(fin ? FIN : 0, payload.length), payload])
  }
}

/** Writes the header of a data frame for `buffer[start .. end)` right in front of `start`; returns where it begins. */
export function sealData(stream: number, buffer: Uint8Array, start: number, end: number): number {
  const length = end - start
  const at = start - SPDY_HEADER
  buffer[at] = (stream >>> 24) & 0x7f
  buffer[at + 1] = stream >>> 16
  buffer[at + 2] = stream >>> 8
  buffer[at + 3] = stream
  buffer[at + 4] = 0
  buffer[at + 5] = length >>> 16
  buffer[at + 6] = length >>> 8
  buffer[at + 7] = length
  return at
}

export interface SpdyEvents {
  /** A piece of a data frame, as it came; valid during the call. */
  onData(stream: number, piece: Buffer): void
  /** The other side sends no more on this stream. */
  onFin(stream: number): void
  /** A ping to send back as it is. */
  onPing(frame: Buffer): void
  onReset(stream: number): void
  onGoAway(): void
}

/** Reads frames from a byte stream. Throws RangeError for control frames of absurd length. */
export class SpdyDecoder {
  readonly #events: SpdyEvents
  readonly #head = Buffer.alloc(SPDY_HEADER)
  #have = 0
  #left = 0
  #stream = 0
  #control: Buffer | undefined

  constructor(events: SpdyEvents) {
    this.#events = events
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#have < SPDY_HEADER) {
        this.#head[this.#have++] = chunk[at++]
        if (this.#have === SPDY_HEADER) this.#begin()
        continue
      }
      const end = Math.min(chunk.length, at + this.#left)
      this.#left -= end - at
      // Servers write headers and data separately, so a chunk is mostly data only.
      const piece = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end)
      at = end
      if (this.#control) piece.copy(this.#control, this.#control.length - this.#left - piece.length)
      else this.#events.onData(this.#stream, piece)
      if (this.#left === 0) this.#end()
    }
  }

  #begin(): void {
    this.#left = this.#head.readUIntBE(5, 3)
    this.#stream = this.#head.readUInt32BE(0) & 0x7fffffff
    this.#control = undefined
    if (this.#head[0] & 0x80) {
      if (this.#left > MAX_CONTROL) throw new RangeError(`a SPDY control frame of ${this.#left} bytes`)
      this.#control = Buffer.alloc(this.#left)
    }
    if (this.#left === 0) this.#end()
  }

  #end(): void {
    this.#have = 0
    const control = this.#control
    if (!control) {
      if (this.#head[4] & FIN) this.#events.onFin(this.#stream)
      return
    }
    const type = this.#head.readUInt16BE(2)
    if (type === PING) this.#events.onPing(Buffer.concat([this.#head, control]))
    else if (type === RST_STREAM && control.length >= 4) this.#events.onReset(control.readUInt32BE(0) & 0x7fffffff)
    else if (type === GOAWAY) this.#events.onGoAway()
    // SYN_REPLY, SETTINGS, WINDOW_UPDATE: nothing to do. Kubernetes' SPDY has no flow control of its own.
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function lengthWord(flags: number, length: number): Buffer {
  const bytes = u32(length)
  bytes[0] = flags
  return bytes
}
