// One client connection that speaks HTTP/2 in the clear: its streams, each passed as a stream of a session with the side it
// is for. What belongs to a connection (settings, pings, flow control, compression of headers) is each session's own.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { passStream, quietly, refuse } from './http2-pass.ts'
import type { HttpRouting } from './route.ts'
import { dialSide, original, type Side, sideOf, TRUSTED_MS } from './sides.ts'
import { FAR_WINDOW, NEAR_WINDOW } from './stream-memory.ts'
import type { Wire } from './wire.ts'

/** Of a session, for many streams on a long line. Node gives it back at once, so it limits nothing: the streams' windows do. */
const SESSION_WINDOW = 4 * 1024 * 1024
/** For answers to be read that came before the end of their connection. */
const LINGER_MS = 2000

const { NGHTTP2_FLAG_END_STREAM, NGHTTP2_REFUSED_STREAM } = constants

const windowOf = (side: Side): number => (side === original ? NEAR_WINDOW : FAR_WINDOW)

/** `open` is a connection to the original that is there already. Resolves when the client's session is over; never rejects. */
export async function serveHttp2(client: Wire, routing: HttpRouting, open: Wire | undefined): Promise<void> {
  // A server that listens nowhere makes sessions of the streams it is given.
  const server = createServer({ settings: { initialWindowSize: NEAR_WINDOW } })
  const socket = client.release()
  await new Promise<void>((resolve) => {
    server.on('session', (session) => {
      session.on('error', () => {})
      quietly(() => session.setLocalWindowSize(SESSION_WINDOW))
      const proxy = new Http2Proxy(session, routing, open)
      const onEnding = () => session.close()
      routing.ending.addEventListener('abort', onEnding)
      // Node leaves a session with open streams as it is when its peer has ended the connection.
      socket.on('end', () => session.destroy())
      session.on('close', () => {
        routing.ending.removeEventListener('abort', onEnding)
        proxy.close()
        resolve()
      })
    })
    socket.on('error', () => {})
    socket.on('close', resolve)
    server.emit('connection', socket)
  })
}

class Http2Proxy {
  readonly #routing: HttpRouting
  /** Sessions that take new streams, and those being made. */
  readonly #sides = new Map<Side, Promise<ClientHttp2Session | string | undefined>>()
  readonly #sessions = new Set<ClientHttp2Session>()
  /** When a session's side was heard last; those that owe the answer to a ping. */
  readonly #heard = new WeakMap<ClientHttp2Session, number>()
  readonly #silent = new WeakSet<ClientHttp2Session>()
  #open: Wire | undefined
  #closed = false

  constructor(session: ServerHttp2Session, routing: HttpRouting, open: Wire | undefined) {
    this.#routing = routing
    this.#open = open
    session.on('stream', (stream, headers, flags) => {
      stream.on('error', () => {})
      let trailers: IncomingHttpHeaders = {}
      // They may come while the other side is dialled.
      stream.on('trailers', (those) => {
        trailers = those
      })
      const ended = (flags & NGHTTP2_FLAG_END_STREAM) !== 0
      this.#serve(stream, headers, ended ? undefined : () => trailers).catch((error: Error) =>
        refuse(stream, headers, `this request cannot be passed on (${error.message})`),
      )
    })
  }

  close(): void {
    this.#closed = true
    this.#open?.dismiss(this.#routing.clock)
    for (const session of this.#sessions) session.destroy()
  }

  async #serve(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    trailers: (() => IncomingHttpHeaders) | undefined,
  ): Promise<void> {
    const side = sideOf(this.#routing, (name) => {
      const value = headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    })
    // Room for the answer of either side, since who takes the request is not known yet.
    const leave = this.#routing.streams.take(this.#routing.origin.address, NEAR_WINDOW + windowOf(side))
    // RFC 9113 8.7: a client may send a request that was refused so again.
    if (!leave) return quietly(() => stream.close(NGHTTP2_REFUSED_STREAM))
    stream.once('close', leave)
    let session = await this.#session(side)
    // Nobody there to take the version: this request is the original's.
    if (!session || (side !== original && typeof session === 'object' && !(await this.#answers(session))))
      session = await this.#session(original)
    if (stream.destroyed || stream.closed) return
    if (typeof session !== 'object') return refuse(stream, headers, session ?? 'nobody is there')
    const before = headers['x-forwarded-for']
    const address = `${this.#routing.origin.address}`
    let request: ClientHttp2Stream
    try {
      request = session.request(
        { ...headers, 'x-forwarded-for': before ? `${before}, ${address}` : address },
        // With `waitForTrailers` a stream ends by its trailers only; a body that has ended already has none.
        trailers ? { endStream: false, waitForTrailers: true } : { endStream: true },
      )
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
      refuse(stream, headers, `this request cannot be passed on (${code})`)
      return
    }
    const heard = () => this.#heard.set(session, this.#routing.clock.now())
    request.on('response', heard)
    passStream(stream, request, trailers)
  }

  /** A session with that side, or why there is none. */
  #session(side: Side): Promise<ClientHttp2Session | string | undefined> {
    const known = this.#sides.get(side)
    if (known) return known
    const made = this.#connect(side)
    this.#sides.set(side, made)
    const forget = () => {
      if (this.#sides.get(side) === made) this.#sides.delete(side)
    }
    void made.then((session) => {
      // A refusal holds for those who waited for it.
      if (session === undefined || typeof session === 'string' || session.destroyed) return forget()
      session.on('goaway', forget)
      session.on('close', forget)
    })
    return made
  }

  /** Asks a side that was not heard of for a while; does not wait for one that owes an answer already. */
  #answers(session: ClientHttp2Session): Promise<boolean> {
    if (this.#routing.clock.now() - this.#heard.get(session)! < TRUSTED_MS) return Promise.resolve(true)
    if (this.#silent.has(session) || session.destroyed) return Promise.resolve(false)
    this.#silent.add(session)
    return new Promise((resolve) => {
      const cancel = this.#routing.clock.after(TRUSTED_MS, () => resolve(false))
      const sent = session.ping((error) => {
        cancel()
        if (!error) {
          this.#silent.delete(session)
          this.#heard.set(session, this.#routing.clock.now())
        }
        resolve(!error)
      })
      // Too many pings are on their way.
      if (!sent) resolve(false)
    })
  }

  async #connect(side: Side): Promise<ClientHttp2Session | string | undefined> {
    let stream: Duplex
    if (side === original && this.#open && !this.#open.closed && !this.#open.ended) {
      stream = this.#open.release()
      this.#open = undefined
    } else {
      const dialled = await dialSide(this.#routing, side)
      if (typeof dialled === 'string' || !dialled) return dialled
      stream = dialled
    }
    let session: ClientHttp2Session
    try {
      session = connect('http://kt.invalid', {
        createConnection: () => stream,
        settings: { enablePush: false, initialWindowSize: windowOf(side) },
      })
    } catch (error) {
      // It was reset between the answer to our dial and now.
      stream.on('error', () => {}).destroy()
      return `the connection to the server broke: ${(error as Error).message}`
    }
    session.on('error', () => {})
    // The connection may end at any time. Frames that arrived completely are still passed on.
    stream.on('end', () => {
      session.close()
      this.#routing.clock.after(LINGER_MS, () => session.destroy(), 'alone')
    })
    this.#sessions.add(session)
    this.#heard.set(session, this.#routing.clock.now())
    session.on('close', () => this.#sessions.delete(session))
    // A caller that has gone by then has taken the session along.
    session.on('connect', () => quietly(() => session.setLocalWindowSize(SESSION_WINDOW)))
    if (this.#closed) session.destroy()
    return session
  }
}
