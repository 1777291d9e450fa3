// Who may ask the dashboard. It listens on loopback, where every program of this machine and every page in a browser can
// send requests: a random token names the person who started it, and what browsers say of a request's origin is checked.
import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface Refusal {
  status: 400 | 401 | 403
  message: string
}

export class Guard {
  readonly token = randomBytes(32).toString('base64url')
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  /** Cookies are shared by all ports of a host (RFC 6265 8.5), so the name has the port. */
  get cookie(): string {
    return `kt-dashboard-${this.#port}=${this.token}; HttpOnly; SameSite=Strict; Path=/`
  }

  /** Does this token, from the URL that was printed, open the door? */
  opens(token: string): boolean {
    const given = Buffer.from(token)
    const wanted = Buffer.from(this.token)
    return given.length === wanted.length && timingSafeEqual(given, wanted)
  }

  /** A page of another name that resolves to 127.0.0.1 (DNS rebinding) is seen by its Host. */
  wrongHost(headers: IncomingHttpHeaders): Refusal | undefined {
    const hosts = [`127.0.0.1:${this.#port}`, `localhost:${this.#port}`]
    if (headers.host !== undefined && hosts.includes(headers.host)) return undefined
    return { status: 400, message: 'this address is not the one that kt dashboard printed' }
  }

  /** Requests that come without the cookie, or are made by a page of somebody else. */
  refuses(method: string, headers: IncomingHttpHeaders): Refusal | undefined {
    const site = headers['sec-fetch-site']
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      return { status: 403, message: 'asked for by another page' }
    if (method === 'POST' && headers.origin !== `http://${headers.host}`)
      return { status: 403, message: 'sent by another page' }
    const [, value] = new RegExp(`(?:^|; )kt-dashboard-${this.#port}=([^;]*)`).exec(headers.cookie ?? '') ?? []
    if (value === undefined || !this.opens(value))
      return { status: 401, message: 'open the address that kt dashboard printed, with its token' }
    return undefined
  }
}
