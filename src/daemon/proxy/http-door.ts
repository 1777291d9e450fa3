// HTTP clients of the proxy: CONNECT, requests in absolute form, and the PAC file. Node's strict parser reads what clients
// send and Node's writer frames it anew, so two servers can never disagree about where a request ends.

import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { resetSocket } from '../../base/reset.ts'
import { visible } from '../../base/visible.ts'
import { httpStatus } from '../../proxy/failure.ts'
import {
  type AbsoluteTarget,
  endToEnd,
  mayAskProxy,
  readAbsolute,
  readAuthority,
  requestHeaders,
} from '../../proxy/http.ts'
import { ReachError } from '../../reach/errors.ts'
import { ReachSocket } from '../../reach/reach-socket.ts'
import { carry, farewell } from './carry.ts'
import type { DoorContext } from './door.ts'

// Node's own limit is 16 KiB, which the cookies of one site can pass.
const MOST_HEAD_BYTES = 64 << 10
const MOST_HEADERS = 500
const HEAD_MS = 20_000
/** How long a client's connection may rest between requests. */
const KEEP_ALIVE_MS = 60_000
/** Connections to servers for one client's connection, which sends one request at a time. */
const MOST_KEPT = 4
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

export class HttpDoor {
  readonly #context: DoorContext
  readonly #server: Server
  /** Connections to servers are kept for the client they were made for, and end with it. */
  readonly #agents = new WeakMap<Socket, ReachAgent>()

  constructor(context: DoorContext) {
    this.#context = context
    const server = createServer({
      ...{ maxHeaderSize: MOST_HEAD_BYTES, headersTimeout: HEAD_MS, requestTimeout: 0 },
      ...{ keepAliveTimeout: KEEP_ALIVE_MS, insecureHTTPParser: false, noDelay: true },
    })
    server.maxHeadersCount = MOST_HEADERS
    server.on('connect', (message, socket, head) => this.#connect(message, socket as Socket, head))
    for (const event of ['request', 'checkContinue', 'checkExpectation'])
      server.on(event, (message: IncomingMessage, response: ServerResponse) => this.#request(message, response))
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      const isLong = error.code === 'HPE_HEADER_OVERFLOW'
      const status = isLong ? '431 Request Header Fields Too Large' : '400 Bad Request'
      if (socket.writable && error.code !== 'ECONNRESET')
        socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
      socket.destroy()
    })
    // Node watches the heads of a server that listens. This one gets its sockets from the port that is shared with SOCKS.
    server.emit('listening')
    this.#server = server
  }

  /** `first` is what has been read; the socket is paused. */
  serve(socket: Socket, first: Buffer): void {
    socket.unshift(first)
    this.#server.emit('connection', socket)
    socket.resume()
  }

  close(): void {
    this.#server.close()
  }

  #connect(message: IncomingMessage, socket: Socket, head: Buffer): void {
    const { reach, clock, counters } = this.#context
    this.#context.settled(socket)
    socket.pause()
    const target = readAuthority(message.url ?? '')
    if (!target) {
      this.#answer(socket, 400, 'expected CONNECT host:port')
      return
    }
    if (head.length > 0) socket.unshift(head)
    const where = message.url!
    const onOpen = () => void socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    reach.dial(target.host, target.port, carry(socket, { where, clock, counters, onOpen })).catch((error: Error) => {
      if (!socket.destroyed) this.#answer(socket, this.#failed(error, where), error.message)
    })
  }

  /** A whole answer on a socket that is not Node's server's any more. */
  #answer(socket: Socket, status: number, text: string): void {
    const line = `kt proxy: ${visible(text)}\n`
    const head = [
      `HTTP/1.1 ${status} kt proxy`,
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(line)}`,
      'Connection: close',
    ]
    farewell(socket, `${head.join('\r\n')}\r\n\r\n${line}`, this.#context.clock)
  }

  #request(message: IncomingMessage, response: ServerResponse): void {
    const { socket } = message
    this.#context.settled(socket)
    response.sendDate = false
    const target = readAbsolute(message.url ?? '')
    if (target) {
      this.#forward(message, response, target)
      return
    }
    message.resume()
    if (message.url?.startsWith('/')) {
      this.#own(message, response)
      return
    }
    say(response, 400, 'this is a proxy for http:// and, by CONNECT, for anything over TCP')
  }

  /** Requests to the proxy itself. */
  #own({ url, method, headers }: IncomingMessage, response: ServerResponse): void {
    const { host, origin } = headers
    const site = headers['sec-fetch-site'] as string | undefined
    const refusalOf = (): [number, string] | undefined => {
      if (!mayAskProxy({ host, site, origin }, this.#context.port()))
        return [403, 'this address is not the one that kt proxy printed, or another page asked for it']
      if (url?.split('?')[0] !== '/proxy.pac')
        return [404, 'this is the proxy of kt; /proxy.pac is the file for browsers']
      return method === 'GET' || method === 'HEAD' ? undefined : [405, 'GET it']
    }
    const refusal = refusalOf()
    if (refusal) {
      say(response, ...refusal)
      return
    }
    response.writeHead(200, {
      'Content-Type': 'application/x-ns-proxy-autoconfig',
      // A page that loads it as a script would read the cluster's names.
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Cache-Control': 'no-store',
    })
    response.end(this.#context.pac())
  }

  #forward(message: IncomingMessage, response: ServerResponse, target: AbsoluteTarget, again = false): void {
    const { socket } = message
    const { counters } = this.#context
    const agent = this.#agentOf(socket)
    const { method = 'GET', headers } = message
    const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
    const where = target.authority
    const outgoing = request({
      ...{ agent, method, path: target.path, host: target.host, port: target.port, setHost: false },
      headers: requestHeaders({ method, rawHeaders: message.rawHeaders, headers }, target),
    })
    outgoing.on('continue', () => response.writeContinue())
    outgoing.on('information', ({ statusCode, headers: early }) => {
      if (statusCode === 103 && early.link) response.writeEarlyHints({ link: early.link })
      else if (statusCode === 102) response.writeProcessing()
    })
    outgoing.on('response', (incoming) => {
      response.writeHead(incoming.statusCode!, incoming.statusMessage, endToEnd(incoming.rawHeaders))
      // A cut answer must not look whole, whatever its framing is.
      incoming.on('error', () => resetSocket(socket))
      incoming.on('data', (chunk: Buffer) => void (counters.bytesIn += chunk.length))
      incoming.on('end', () => {
        if (incoming.rawTrailers.length > 0) response.addTrailers(pairs(incoming.rawTrailers))
      })
      incoming.pipe(response)
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (response.headersSent) return resetSocket(socket)
      if (response.destroyed || socket.destroyed) return
      // The server has closed a connection that rested, while the request was on its way.
      const isStale = outgoing.reusedSocket && error.code === 'ECONNRESET'
      if (isStale && !again && !hasBody && SAFE.has(method)) return this.#forward(message, response, target, true)
      say(
        response,
        this.#failed(error, where),
        error instanceof ReachError ? error.message : `${where}: ${error.message}`,
      )
      message.resume()
    })
    response.on('close', () => {
      if (!response.writableFinished) outgoing.destroy()
    })
    if (!hasBody) return void outgoing.end()
    message.on('end', () => {
      if (message.rawTrailers.length > 0) outgoing.addTrailers(pairs(message.rawTrailers))
    })
    message.on('error', () => outgoing.destroy())
    message.on('data', (chunk: Buffer) => void (counters.bytesOut += chunk.length))
    message.pipe(outgoing)
  }

  #failed(error: Error, where: string): number {
    const { counters, log } = this.#context
    counters.failed++
    const { code = '' } = error as NodeJS.ErrnoException
    if (!(error instanceof ReachError)) log(`proxy: ${where}: ${error.message}`)
    return httpStatus(code)
  }

  #agentOf(socket: Socket): ReachAgent {
    const known = this.#agents.get(socket)
    if (known) return known
    const agent = new ReachAgent(this.#context)
    this.#agents.set(socket, agent)
    socket.once('close', () => agent.destroy())
    return agent
  }
}

/** Connections of Node's HTTP client, made through the tunnel or from this machine. */
class ReachAgent extends Agent {
  readonly #context: DoorContext

  constructor(context: DoorContext) {
    super({ keepAlive: true, maxFreeSockets: MOST_KEPT })
    this.#context = context
  }

  override createConnection({ host, port }: { host?: string | null; port?: string | number | null }): Duplex {
    const { reach, clock } = this.#context
    return new ReachSocket(reach, String(host), Number(port), { clock })
  }
}

function say(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return
  const line = `kt proxy: ${visible(text)}\n`
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(line),
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(line)
}

function pairs(raw: string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i], raw[2 * i + 1]])
}
