// One client connection that speaks HTTP/1.x: its requests one after the other, each to the side it is for. Heads are read
// and bodies pass as bytes. Pipelined requests wait for the answer of the one before, so answers keep their order.
import { type BodyEnd, bodyEnd } from '../../wire/http/framing.ts'
import {
  closingHead,
  forwardedHead,
  HttpError,
  MAX_REQUEST_HEAD,
  parseRequestHead,
  type RequestHead,
  type ResponseHead,
} from '../../wire/http/head.ts'
import { BadGateway, readAnswerHead, readHeadWithin } from './read-head.ts'
import type { HttpRouting } from './route.ts'
import { dialSide, original, type Side, sideOf, TRUSTED_MS } from './sides.ts'
import { CutOff, splice, Wire } from './wire.ts'

/** RFC 9110 9.2.2: may be sent again when a kept connection turns out to be closed. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'])

/** A connection that has been idle so long when the agent is to end has nobody about to use it. */
const IDLE_MS = 1000

const REASONS = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
}

/** `open` is a connection to the original that is there already. Never rejects. */
export async function serveHttp1(client: Wire, routing: HttpRouting, open: Wire | undefined): Promise<void> {
  await new Http1Connection(client, routing, open).serve()
}

class Http1Connection {
  readonly #client: Wire
  readonly #routing: HttpRouting
  /** Connections to the sides, idle but for `#current`. */
  readonly #kept = new Map<Side, Wire>()
  /** When they answered last. */
  readonly #answered = new WeakMap<Wire, number>()
  #current: Wire | undefined
  /** Nothing of a request has come since the last answer. */
  #idle = true
  /** The request under way has been read to its end. */
  #asked = false

  constructor(client: Wire, routing: HttpRouting, open: Wire | undefined) {
    this.#client = client
    this.#routing = routing
    client.onEnded = () => {
      // What the half-close of a caller means is the server's to decide.
      if (this.#asked && !client.readable) this.#current?.end()
    }
    client.onClosed = () => {
      if (!client.ended || !client.stream.writableFinished) this.#current?.reset()
    }
    if (open) this.#keep(original, open)
  }

  async serve(): Promise<void> {
    const { ending, clock } = this.#routing
    let cancel = () => {}
    const onEnding = () => {
      cancel = clock.after(IDLE_MS, () => this.#idle && this.#client.end())
    }
    ending.addEventListener('abort', onEnding)
    try {
      while (await this.#serveRequest());
      this.#client.end()
    } catch (error) {
      this.#current?.reset()
      if (error instanceof HttpError) await this.#refuse(error.status, error.message, false)
      else if (error instanceof BadGateway) await this.#refuse(502, error.message, false)
      else this.#client.reset()
    } finally {
      ending.removeEventListener('abort', onEnding)
      cancel()
      for (const wire of this.#kept.values()) wire.dismiss(this.#routing.clock)
      this.#client.dismiss(this.#routing.clock)
    }
  }

  /** True when another request may follow. */
  async #serveRequest(): Promise<boolean> {
    this.#asked = false
    this.#idle = true
    const first = await this.#client.read()
    if (!first) return false
    this.#idle = false
    this.#client.unread(first)
    const { headMs, heads, clock } = this.#routing
    const text = await readHeadWithin(headMs, clock, this.#client, MAX_REQUEST_HEAD, heads)
    if (text === undefined) return false
    const head = parseRequestHead(text)
    const body = bodyEnd(head.framing)
    for (let again = false; ; again = true) {
      const to = await this.#connection(head, again)
      if (typeof to === 'string') {
        // Behind a body that nobody reads, the next request cannot be found.
        const more = body.done && !head.close && !this.#routing.ending.aborted
        await this.#refuse(502, to, more, head.method)
        return more
      }
      this.#current = to.wire
      const answered = await this.#exchange(head, body, to.wire)
      this.#current = undefined
      this.#answered.set(to.wire, this.#routing.clock.now())
      if (answered !== 'unanswered') {
        if (answered === 'last') to.wire.dismiss(this.#routing.clock)
        return answered === 'more'
      }
      this.#kept.delete(to.side)
      // The server closed the kept connection while our request was on its way.
      if (to.fresh || again || head.framing.kind !== 'none' || !IDEMPOTENT.has(head.method))
        throw new CutOff('no answer')
    }
  }

  /** A connection for this request, or why there is none. */
  async #connection(head: RequestHead, anew: boolean): Promise<{ side: Side; wire: Wire; fresh: boolean } | string> {
    let side = sideOf(this.#routing, head.header)
    for (;;) {
      const kept = this.#usable(side)
      if (kept && !anew) return { side, wire: kept, fresh: false }
      const dialled = await dialSide(this.#routing, side)
      if (typeof dialled === 'string') return dialled
      if (dialled) {
        const wire = new Wire(dialled)
        if (this.#client.closed) {
          // The caller has gone, so its request is not begun.
          wire.reset()
          throw new CutOff('the caller is gone')
        }
        this.#keep(side, wire)
        return { side, wire, fresh: true }
      }
      side = original
    }
  }

  #usable(side: Side): Wire | undefined {
    const wire = this.#kept.get(side)
    if (!wire || wire.ended || wire.closed) return undefined
    const silentMs = this.#routing.clock.now() - (this.#answered.get(wire) ?? 0)
    return side === original || silentMs < TRUSTED_MS ? wire : undefined
  }

  #keep(side: Side, wire: Wire): void {
    this.#kept.get(side)?.dismiss(this.#routing.clock)
    this.#kept.set(side, wire)
    wire.onEnded = () => {
      if (this.#current === wire) return
      wire.end()
      if (this.#kept.get(side) !== wire) return
      this.#kept.delete(side)
      // A server that closes idle connections wants the caller to know.
      if (this.#idle && this.#kept.size === 0) this.#client.end()
    }
  }

  /** One request and its answer. `unanswered`: the server was gone before it said a word. */
  async #exchange(head: RequestHead, body: BodyEnd, server: Wire): Promise<'more' | 'last' | 'unanswered'> {
    const stop = new AbortController()
    let fault: unknown
    const upload = this.#upload(head, body, server, stop.signal).catch((error) => {
      fault = error
    })
    const answer = await this.#download(head, server)
    if (answer === 'nothing') {
      // What is wrong with the request is what the caller should hear of.
      if (fault instanceof HttpError) throw fault
      return 'unanswered'
    }
    if (answer === 'switched') {
      await upload
      await splice(this.#client, server)
      return 'last'
    }
    if (head.close || answer.close || this.#routing.ending.aborted || server.ended || server.closed) {
      stop.abort()
      return 'last'
    }
    await upload
    return fault || server.closed || (this.#client.ended && !this.#client.readable) ? 'last' : 'more'
  }

  async #upload(head: RequestHead, body: BodyEnd, server: Wire, stop: AbortSignal): Promise<void> {
    await server.write(forwardedHead(head, `${this.#routing.origin.address}`))
    while (!body.done) {
      const chunk = await this.#client.read().catch(() => undefined)
      if (stop.aborted) return
      try {
        if (!chunk) throw new CutOff('the request ends in its middle')
        const taken = body.take(chunk)
        this.#client.unread(chunk.subarray(taken))
        await server.write(chunk.subarray(0, taken))
      } catch (error) {
        // What the server has got of it shall not look whole. (It may have answered and gone, which is no fault.)
        if (!server.closed) server.reset()
        throw error
      }
    }
    this.#asked = true
    if (this.#client.ended && !this.#client.readable) server.end()
  }

  /** Passes the answer on. */
  async #download(head: RequestHead, server: Wire): Promise<ResponseHead | 'switched' | 'nothing'> {
    for (;;) {
      const read = await readAnswerHead(server, head.method, this.#routing.heads)
      if (!read) return 'nothing'
      const { text, answer } = read
      const tunnel = answer.status === 101 || (head.method === 'CONNECT' && answer.status >= 200 && answer.status < 300)
      const last = answer.status >= 200 && !tunnel && this.#routing.ending.aborted
      await this.#client.write(last ? closingHead(answer) : text)
      if (tunnel) return 'switched'
      if (answer.status < 200) continue
      await this.#passBody(answer, server)
      return answer
    }
  }

  async #passBody({ framing }: ResponseHead, server: Wire): Promise<void> {
    const body = bodyEnd(framing)
    while (!body.done) {
      const chunk = await server.read()
      if (!chunk) {
        if (framing.kind === 'close') return
        throw new CutOff('the answer ends in its middle')
      }
      let taken: number
      try {
        taken = body.take(chunk)
      } catch (error) {
        // Part of it is on its way: too late for a status.
        throw new CutOff((error as Error).message)
      }
      server.unread(chunk.subarray(taken))
      await this.#client.write(chunk.subarray(0, taken))
    }
  }

  /** Never rejects. */
  async #refuse(status: keyof typeof REASONS, message: string, more: boolean, method = ''): Promise<void> {
    const body = `kt: ${message}\n`
    const head = [
      `HTTP/1.1 ${status} ${REASONS[status]}`,
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(more ? [] : ['Connection: close']),
      '\r\n',
    ].join('\r\n')
    await this.#client.write(Buffer.from(method === 'HEAD' ? head : head + body)).catch(() => {})
    if (!more) this.#client.end()
  }
}
