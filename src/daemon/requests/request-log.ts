// The requests that came to this machine, as their connections showed them: the last ones are kept for views, and told
// one by one where the terminal wants them. Nothing is read of a connection that began while nobody wanted it.
import type { Clock } from '../../base/clock.ts'
import type { RequestReport, Requests } from '../../control/views.ts'
import { type Endpoint, formatEndpoint } from '../../wire/address.ts'
import type { HeaderField } from '../../wire/http/hpack.ts'
import type { SpliceWatcher } from '../inbound/splice.ts'
import type { CallerNames } from './caller-names.ts'
import { ConnectionWatch } from './connection-watch.ts'
import { KeptBody } from './kept-body.ts'
import { pathWithoutSecrets, withoutSecrets } from './secrets.ts'
import type { Outcome, RequestHeadSeen, SeenRequest, Sink } from './seen.ts'

/** Requests that are kept. */
const MOST_KEPT = 500
/** Connections that are read at a time; each may hold some 100 KB of unfinished heads. */
const MOST_CONNECTIONS = 1_000
/** A view that has not asked for so long is gone. */
const VIEW_MS = 30_000
/** How long a request is held back for the name of its caller. */
const NAME_MS = 1_500
/** Requests that wait for names. More are told without. */
const MOST_WAITING = 1_000
const MOST_FIELDS = 64
/** What a view is given of each body. */
const VIEW_BODY = 4 * 1024
/** Characters of bodies that are kept, of all requests together. */
const MOST_BODIES = 8 << 20
/** Of an answer's text; a line of the control socket takes more (MAX_LINE). */
const MOST_ANSWER = 1 << 20

export interface RequestLogOptions {
  clock: Clock
  /** Milliseconds since 1970, for people. */
  wall(): number
  names: CallerNames
  /** Called for each request, in the order of their ends; where it is missing, requests are read while a view asks. */
  tell?(report: RequestReport): void
  /** Bytes of each body that `tell` is given. Default: none. */
  bodies?: number
  /** What cannot be read, once for each port and reason. */
  notice(line: string): void
}

interface Port {
  remote: number
  local: number
}

interface Seen extends SeenRequest {
  readonly began: number
  readonly report: RequestReport
  readonly bodyIn?: KeptBody
  readonly bodyOut?: KeptBody
}

export class RequestLog {
  readonly #options: RequestLogOptions
  readonly #watches = new Set<ConnectionWatch>()
  readonly #kept: RequestReport[] = []
  /** Ended, and waiting for the name of a caller; oldest first. */
  readonly #waiting: { report: RequestReport; address: string; until: number }[] = []
  readonly #said = new Set<string>()
  #seq = 0
  #wantedUntil = Number.NEGATIVE_INFINITY
  #bodiesUntil = Number.NEGATIVE_INFINITY
  #bodyCharacters = 0

  constructor(options: RequestLogOptions) {
    this.#options = options
  }

  /** Who looks on at a connection; undefined while nobody wants to know. */
  readonly watch = (caller: Endpoint, port: Port): SpliceWatcher | undefined => {
    if (!this.#wanted()) return undefined
    if (this.#watches.size >= MOST_CONNECTIONS) {
      this.#note(port, `more than ${MOST_CONNECTIONS} connections are open; requests of the others are not shown`)
      return undefined
    }
    const watch = new ConnectionWatch(this.#sink(caller, port), () => this.#watches.delete(watch))
    this.#watches.add(watch)
    return watch
  }

  /**
   * For a view: what ended after `since`, oldest first. From the first question on, connections are read, and with `bodies`
   * the beginnings of bodies, too. `open`: all connections there are.
   */
  since(since: number, open: number, bodies = false): Requests {
    this.#wantedUntil = this.#options.clock.now() + VIEW_MS
    this.#bodiesUntil = bodies ? this.#wantedUntil : Number.NEGATIVE_INFINITY
    const entries: RequestReport[] = []
    let size = 0
    for (const report of this.#kept) {
      if (report.seq <= since) continue
      size += JSON.stringify(report).length
      if (size > MOST_ANSWER && entries.length > 0) break
      entries.push(report)
    }
    return { entries, unread: Math.max(0, open - this.#watches.size), notes: [...this.#said] }
  }

  #wanted(): boolean {
    const { tell, clock } = this.#options
    if (tell || clock.now() < this.#wantedUntil) return true
    for (const watch of [...this.#watches]) watch.stop()
    return false
  }

  /** Of each body; 0 where nobody asked for bodies. */
  #bodyBytes(): number {
    const { bodies = 0, clock } = this.#options
    return Math.max(bodies, clock.now() < this.#bodiesUntil ? VIEW_BODY : 0)
  }

  #sink(caller: Endpoint, port: Port): Sink {
    const { clock, wall } = this.#options
    // Asked early, so that the name is there when the request ends.
    void this.#options.names.whenKnown(caller.address.toString())
    return {
      now: () => clock.now(),
      begin: (began, head): Seen => {
        const most = this.#bodyBytes()
        return {
          method: head.method,
          bytesIn: 0,
          bytesOut: 0,
          began,
          report: beginning(head, caller, port, wall() - (clock.now() - began)),
          ...(most > 0 && { bodyIn: new KeptBody(most), bodyOut: new KeptBody(most) }),
        }
      },
      answer: (request, status, headers) => answered((request as Seen).report, status, headers),
      end: (request, outcome) => this.#end(request as Seen, outcome, caller),
      over: (why) => this.#note(port, `requests of a connection cannot be shown: ${why}; its bytes pass as ever`),
    }
  }

  #end({ began, report, bytesIn, bytesOut, bodyIn, bodyOut }: Seen, outcome: Outcome, caller: Endpoint): void {
    const { clock, names } = this.#options
    const requestBody = bodyIn?.told(report.requestHeaders)
    const responseBody = bodyOut?.told(report.responseHeaders)
    Object.assign(report, {
      ...{ bytesIn, bytesOut, outcome, ms: Math.round((clock.now() - began) * 10) / 10 },
      ...(requestBody && { requestBody }),
      ...(responseBody && { responseBody }),
    })
    const address = caller.address.toString()
    this.#waiting.push({ report, address, until: clock.now() + NAME_MS })
    this.#drain()
    if (!this.#waiting.some((one) => one.report === report)) return
    void names.whenKnown(address).then(() => this.#drain())
    clock.after(NAME_MS, () => this.#drain())
  }

  /** Tells those whose callers are known, or are waited for no longer; in order. */
  #drain(): void {
    const { clock, names, tell } = this.#options
    for (;;) {
      const first = this.#waiting[0]
      if (!first) return
      const name = names.nameOf(first.address)
      if (name === undefined && clock.now() < first.until && this.#waiting.length < MOST_WAITING) return
      this.#waiting.shift()
      const report = { ...first.report, seq: ++this.#seq, pod: name ?? null }
      this.#keep(report)
      tell?.(this.#options.bodies ? report : withoutBodies(report))
    }
  }

  #keep(report: RequestReport): void {
    this.#kept.push(report)
    this.#bodyCharacters += charactersOf(report)
    while (this.#kept.length > MOST_KEPT || this.#bodyCharacters > MOST_BODIES)
      this.#bodyCharacters -= charactersOf(this.#kept.shift()!)
  }

  #note({ remote }: Port, words: string): void {
    const line = `port ${remote}: ${words}`
    if (this.#said.has(line) || this.#said.size >= 20) return
    this.#said.add(line)
    if (this.#options.tell) this.#options.notice(line)
  }
}

function charactersOf({ requestBody, responseBody }: RequestReport): number {
  return (requestBody?.text?.length ?? 0) + (responseBody?.text?.length ?? 0)
}

/** A view's wish for bodies is not the terminal's. */
function withoutBodies({ requestBody, responseBody, ...report }: RequestReport): RequestReport {
  return report
}

function beginning(head: RequestHeadSeen, caller: Endpoint, port: Port, at: number): RequestReport {
  const { protocol, method, host, path, headers } = head
  const grpc = headers.some(([name, value]) => name === 'content-type' && value.startsWith('application/grpc'))
  return {
    seq: 0,
    at: new Date(at).toISOString(),
    ms: 0,
    caller: formatEndpoint(caller),
    pod: null,
    ...port,
    protocol: grpc ? 'gRPC' : protocol,
    method: method.slice(0, 32),
    host: host.slice(0, 256),
    path: pathWithoutSecrets(path),
    status: null,
    grpcStatus: null,
    bytesIn: 0,
    bytesOut: 0,
    outcome: 'cut',
    requestHeaders: withoutSecrets(headers, MOST_FIELDS),
    responseHeaders: [],
  }
}

/** The beginning of an answer, or its trailers. */
function answered(report: RequestReport, status: number | undefined, headers: readonly HeaderField[]): void {
  if (status !== undefined) report.status = status
  const code = headers.find(([name]) => name === 'grpc-status')?.[1]
  if (code !== undefined && /^\d{1,3}$/.test(code)) report.grpcStatus = Number(code)
  const room = MOST_FIELDS - report.responseHeaders.length
  report.responseHeaders.push(...withoutSecrets(headers, Math.max(0, room)))
}
