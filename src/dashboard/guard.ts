// Who may ask the dashboard. It listens on loopback, where every user of this machine and every page in a browser can send
// requests. Whoever has the printed address proves it once, with a token that lasts a minute, and gets the session's
// secret in return. Cookies are not used: a browser sends those of 127.0.0.1 to every port (RFC 6265 8.5), so a page that
// another user serves there, or one behind `kt forward`, would receive them.
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface Refusal {
  status: 400 | 401 | 403
  message: string
}

/** How long a printed address opens the page. */
export const TOKEN_MS = 60_000
/** Addresses that are valid at a time; the oldest one gives way. */
const MOST_TOKENS = 8

const secret = () => randomBytes(32).toString('base64url')

export class Guard {
  readonly #port: number
  readonly #now: () => number
  readonly #session = secret()
  /** Tokens that nobody has used yet, each with the time until which it is valid. */
  readonly #tokens = new Map<string, number>()

  /** `now`: a clock in ms that does not jump. */
  constructor(port: number, now: () => number) {
    this.#port = port
    this.#now = now
  }

  /** A token that opens the page once, within a minute. */
  issue(): string {
    const token = secret()
    this.#tokens.set(token, this.#now() + TOKEN_MS)
    if (this.#tokens.size > MOST_TOKENS) this.#tokens.delete(this.#tokens.keys().next().value!)
    return token
  }

  /** The session's secret for a token that is valid; the token is not valid any more afterwards. */
  exchange(token: string): string | undefined {
    const now = this.#now()
    for (const [one, until] of this.#tokens) {
      if (until < now) this.#tokens.delete(one)
      else if (equal(one, token)) {
        this.#tokens.delete(one)
        return this.#session
      }
    }
    return undefined
  }

  /** A page of another name that resolves to 127.0.0.1 (DNS rebinding) is seen by its Host. */
  wrongHost(headers: IncomingHttpHeaders): Refusal | undefined {
    const hosts = [`127.0.0.1:${this.#port}`, `localhost:${this.#port}`]
    if (headers.host !== undefined && hosts.includes(headers.host)) return undefined
    return { status: 400, message: 'this address is not the one that kt dashboard printed' }
  }

  /** Requests that are made by a page of somebody else. */
  refusesOrigin(method: string, headers: IncomingHttpHeaders): Refusal | undefined {
    const site = headers['sec-fetch-site']
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      return { status: 403, message: 'asked for by another page' }
    if (method === 'POST' && headers.origin !== `http://${headers.host}`)
      return { status: 403, message: 'sent by another page' }
    return undefined
  }

  /** Requests without the session's secret. */
  refusesSession(headers: IncomingHttpHeaders): Refusal | undefined {
    const [, value] = /^Bearer (\S+)$/.exec(headers.authorization ?? '') ?? []
    if (value !== undefined && equal(value, this.#session)) return undefined
    return { status: 401, message: 'this page is not open here any more: run `kt dashboard` and open what it prints' }
  }
}

/** In a time that does not tell where two secrets differ. */
function equal(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)]
  return x.length === y.length && timingSafeEqual(x, y)
}
