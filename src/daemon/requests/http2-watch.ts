// Reads the requests and answers of one HTTP/2 connection (RFC 9113) as its bytes pass by, gRPC among them.
import { HTTP2_PREFACE } from '../../wire/http/detect.ts'
import { FrameReader } from '../../wire/http/frames.ts'
import { type HeaderField, HpackReader } from '../../wire/http/hpack.ts'
import type { Reader, SeenRequest, Sink } from './seen.ts'

/** Streams under way that are followed; those beyond it are not seen. */
const MOST_STREAMS = 1_000

export class Http2Watch implements Reader {
  readonly finished = false
  readonly #sink: Sink
  readonly #streams = new Map<number, { request: SeenRequest; answered: boolean }>()
  readonly #callerHeaders = new HpackReader()
  readonly #programHeaders = new HpackReader()
  #prefaceLeft = HTTP2_PREFACE.length

  readonly #caller = new FrameReader({
    onHeaders: (stream, block) => {
      // Every block is read: those to come refer to it.
      const headers = this.#callerHeaders.read(block)
      const method = headerOf(headers, ':method')
      if (method === undefined || this.#streams.has(stream) || this.#streams.size === MOST_STREAMS) return
      const request = this.#sink.begin(this.#sink.now(), {
        protocol: 'HTTP/2',
        method,
        path: headerOf(headers, ':path') ?? '',
        host: headerOf(headers, ':authority') ?? headerOf(headers, 'host') ?? '',
        headers,
      })
      this.#streams.set(stream, { request, answered: false })
    },
    onData: (stream, content) => {
      const request = this.#streams.get(stream)?.request
      if (!request) return
      request.bytesIn += content.length
      request.bodyIn?.add(content)
    },
    onReset: (stream) => this.#end(stream, 'cancelled'),
  })

  readonly #program = new FrameReader({
    onHeaders: (stream, block, end, promised) => {
      const headers = this.#programHeaders.read(block)
      const seen = this.#streams.get(stream)
      if (promised || !seen) return
      const status = Number(headerOf(headers, ':status'))
      // RFC 9113 8.1: 1xx are not the answer yet; a block after the answer's is its trailers.
      if (seen.answered) this.#sink.answer(seen.request, undefined, headers)
      else if (status >= 200) {
        seen.answered = true
        this.#sink.answer(seen.request, status, headers)
      }
      if (end) this.#end(stream, 'answered')
    },
    onData: (stream, content, end) => {
      const seen = this.#streams.get(stream)
      if (!seen) return
      seen.request.bytesOut += content.length
      seen.request.bodyOut?.add(content)
      if (end) this.#end(stream, 'answered')
    },
    // With NO_ERROR after a whole answer the stream has ended already.
    onReset: (stream) => this.#end(stream, 'cancelled'),
  })

  constructor(sink: Sink) {
    this.#sink = sink
  }

  fromCaller(chunk: Uint8Array): void {
    // It has been recognized by its preface already.
    const skipped = Math.min(this.#prefaceLeft, chunk.length)
    this.#prefaceLeft -= skipped
    this.#caller.push(chunk.subarray(skipped))
  }

  fromProgram(chunk: Uint8Array): void {
    this.#program.push(chunk)
  }

  programEnded(): void {}

  closed(): void {
    for (const stream of [...this.#streams.keys()]) this.#end(stream, 'cut')
  }

  #end(stream: number, outcome: 'answered' | 'cancelled' | 'cut'): void {
    const seen = this.#streams.get(stream)
    if (!seen) return
    this.#streams.delete(stream)
    this.#sink.end(seen.request, outcome)
  }
}

function headerOf(headers: readonly HeaderField[], name: string): string | undefined {
  return headers.find(([one]) => one === name)?.[1]
}
