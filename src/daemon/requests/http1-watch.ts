// Reads the requests and answers of one HTTP/1 connection as its bytes pass by: pipelined requests, chunked bodies, and
// the change to another protocol, at which the reading ends.
import { type BodyEnd, bodyEnd } from '../../wire/http/framing.ts'
import { parseRequestHead, parseResponseHead } from '../../wire/http/head.ts'
import type { Reader, SeenRequest, Sink } from './seen.ts'

/** Longer heads are not read, and end the reading. */
const MAX_HEAD = 32 * 1024
/** Requests that wait for their answers. */
const MOST_PENDING = 256
const END_OF_HEAD = '\r\n\r\n'
const EMPTY_LINES = /^(?:\r\n)*/

export class Http1Watch implements Reader {
  finished = false
  readonly #sink: Sink
  readonly #requests = new Heads()
  readonly #answers = new Heads()
  /** Oldest first: answers come in the order of the requests. */
  readonly #pending: SeenRequest[] = []
  /** Of the request whose body is under way, and of the answer. */
  #requestBody: { body: BodyEnd; request: SeenRequest } | undefined
  #answerBody: BodyEnd | undefined
  #untilEnd = false
  /** When the first byte of the head under way came. */
  #began: number | undefined

  constructor(sink: Sink) {
    this.#sink = sink
  }

  fromCaller(chunk: Uint8Array): void {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#requestBody) {
        const { body, request } = this.#requestBody
        const taken = body.take(rest, request.bodyIn)
        request.bytesIn += taken
        rest = rest.subarray(taken)
        if (body.done) this.#requestBody = undefined
        continue
      }
      this.#began ??= this.#sink.now()
      const head = this.#requests.take(rest)
      if (!head) return
      rest = rest.subarray(head.taken)
      // RFC 9112 2.2: an empty line or two before a request is nothing.
      this.#request(head.text.replace(EMPTY_LINES, ''))
    }
  }

  #request(text: string): void {
    const { method, startLine, fields, framing, header } = parseRequestHead(text)
    if (this.#pending.length === MOST_PENDING) throw new RangeError('too many requests wait for their answers')
    const request = this.#sink.begin(this.#began!, {
      protocol: startLine.endsWith('1.0') ? 'HTTP/1.0' : 'HTTP/1.1',
      method,
      path: startLine.slice(method.length + 1, startLine.lastIndexOf(' ')),
      host: header('host') ?? '',
      headers: fields.map(({ name, value }) => [name, value]),
    })
    this.#began = undefined
    this.#pending.push(request)
    const body = bodyEnd(framing)
    if (!body.done) this.#requestBody = { body, request }
  }

  fromProgram(chunk: Uint8Array): void {
    let rest = chunk
    while (rest.length > 0) {
      const request = this.#pending[0]
      if (!request) throw new RangeError('an answer to no request')
      if (!this.#answerBody) {
        const head = this.#answers.take(rest)
        if (!head) return
        rest = rest.subarray(head.taken)
        if (!this.#answer(head.text, request)) return
      } else {
        const taken = this.#answerBody.take(rest, request.bodyOut)
        request.bytesOut += taken
        rest = rest.subarray(taken)
      }
      if (this.#answerBody?.done) this.#finish()
    }
  }

  /** False when the connection is not HTTP/1 any more. */
  #answer(text: string, request: SeenRequest): boolean {
    const { status, fields, framing } = parseResponseHead(text, request.method)
    const headers = fields.map(({ name, value }) => [name, value] as const)
    if (status === 101 || (request.method === 'CONNECT' && status >= 200 && status < 300)) {
      this.#pending.shift()
      this.#sink.answer(request, status, headers)
      this.#sink.end(request, 'upgraded')
      this.finished = true
      return false
    }
    // RFC 9110 15.2: the answer itself is still to come.
    if (status < 200) return true
    this.#sink.answer(request, status, headers)
    this.#answerBody = bodyEnd(framing)
    this.#untilEnd = framing.kind === 'close'
    return true
  }

  #finish(): void {
    this.#answerBody = undefined
    const request = this.#pending.shift()!
    // An answer that came before the whole request: what still comes of its body counts no more.
    this.#sink.end(request, 'answered')
  }

  programEnded(): void {
    // An answer without a length ends with the connection (RFC 9112 6.3).
    if (this.#answerBody && this.#untilEnd) this.#finish()
  }

  closed(): void {
    for (const request of this.#pending.splice(0)) this.#sink.end(request, 'cut')
  }
}

/** Puts heads together from the pieces in which they come. */
class Heads {
  #text = ''

  /** The head that is complete with `chunk`, and how many of its bytes are the head's. Throws RangeError. */
  take(chunk: Uint8Array): { text: string; taken: number } | undefined {
    const before = this.#text.length
    const room = MAX_HEAD - before
    const piece = Buffer.from(chunk.buffer, chunk.byteOffset, Math.min(chunk.length, room)).toString('latin1')
    const text = this.#text + piece
    // Empty lines in front of a request end nothing.
    const start = EMPTY_LINES.exec(text)![0].length
    const end = text.indexOf(END_OF_HEAD, Math.max(start, before - END_OF_HEAD.length))
    if (end < 0) {
      if (text.length >= MAX_HEAD) throw new RangeError('a head that is too long')
      this.#text = text
      return undefined
    }
    this.#text = ''
    const length = end + END_OF_HEAD.length
    return { text: text.slice(0, length), taken: length - before }
  }
}
