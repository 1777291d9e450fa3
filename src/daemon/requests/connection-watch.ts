// Looks on as the bytes of one connection pass: finds out what it speaks, and has it read. Whatever happens here, the
// bytes are none of its business: a mistake, or bytes that are no HTTP, ends the reading and nothing else.
import { detect } from '../../wire/http/detect.ts'
import type { SpliceWatcher } from '../inbound/splice.ts'
import { Http1Watch } from './http1-watch.ts'
import { Http2Watch } from './http2-watch.ts'
import type { Reader, Sink } from './seen.ts'

/** What is kept of each side until it is known what they speak. */
const MOST_KEPT = 16 * 1024

export class ConnectionWatch implements SpliceWatcher {
  readonly #sink: Sink
  readonly #onOver: () => void
  #reader: Reader | undefined
  /** Before the protocol is known. */
  #fromCaller = Buffer.alloc(0)
  #fromProgram = Buffer.alloc(0)
  #over = false

  /** `onOver`: it reads nothing any more; called once. */
  constructor(sink: Sink, onOver: () => void) {
    this.#sink = sink
    this.#onOver = onOver
  }

  /** Nobody wants to know any more. */
  stop(): void {
    this.#end()
  }

  fromCaller(chunk: Uint8Array): void {
    this.#guard(() => {
      if (this.#reader) return this.#reader.fromCaller(chunk)
      this.#fromCaller = kept(this.#fromCaller, chunk)
      const protocol = detect(this.#fromCaller.toString('latin1'))
      if (protocol === 'other') throw new RangeError(otherWords(this.#fromCaller))
      if (protocol === undefined) {
        if (this.#fromCaller.length >= MOST_KEPT) throw new RangeError('what comes is not HTTP')
        return
      }
      this.#reader = protocol === 'http1' ? new Http1Watch(this.#sink) : new Http2Watch(this.#sink)
      const [caller, program] = [this.#fromCaller, this.#fromProgram]
      this.#forget()
      // The beginning of this chunk may have been cut off above.
      this.#reader.fromCaller(caller)
      if (program.length > 0) this.#reader.fromProgram(program)
    })
  }

  fromProgram(chunk: Uint8Array): void {
    this.#guard(() => {
      if (this.#reader) return this.#reader.fromProgram(chunk)
      // A server of HTTP/2 may send its settings first; one that greets, as SMTP's does, is none of HTTP.
      if (this.#fromProgram.length + chunk.length > MOST_KEPT) throw new RangeError('the local program speaks first')
      this.#fromProgram = kept(this.#fromProgram, chunk)
    })
  }

  programEnded(): void {
    this.#guard(() => this.#reader?.programEnded())
  }

  closed(): void {
    this.#guard(() => this.#reader?.closed())
    this.#end()
  }

  #guard(look: () => void): void {
    if (this.#over) return
    try {
      look()
      if (this.#reader?.finished) {
        this.#reader.closed()
        this.#end()
      }
    } catch (error) {
      const reader = this.#reader
      this.#end()
      try {
        reader?.closed() // what was under way is told as far as it was seen
      } catch {}
      this.#sink.over((error as Error).message)
    }
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#onOver()
    this.#reader = undefined
    this.#forget()
  }

  #forget(): void {
    this.#fromCaller = Buffer.alloc(0)
    this.#fromProgram = Buffer.alloc(0)
  }
}

function kept(before: Buffer, chunk: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([before, chunk])
}

/** RFC 8446 5.1: a handshake record; its version is 3.x. */
function otherWords(bytes: Uint8Array): string {
  return bytes[0] === 0x16 && bytes[1] === 0x03 ? 'it is encrypted (TLS)' : 'it is not HTTP'
}
