// What stands in front of API servers: a gateway that ends TLS, passes requests and upgrades on, and has habits. It cuts idle
// connections, ends each at a fixed age, refuses an upgrade, delays, swallows a direction, or serves below a path.
import { createServer, type IncomingMessage, type RequestOptions, request, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, request as requestTls } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'

export interface Habits {
  /** A connection over which nothing went for so long is cut. */
  idleMs?: number
  /** A connection is ended at this age. */
  lifetimeMs?: number
  /** Upgrades of this kind get `refusal`: a status, or `close` (no answer), or `silence`. */
  refuse?: 'spdy' | 'websocket'
  refusal?: number | 'close' | 'silence'
  /** Each piece of an upgraded connection is held for so long, in both directions. */
  delayMs?: number
  /** Upgraded connections that are open now lose everything in one direction from now on. */
  swallow?: 'up' | 'down'
  /** The server is below this path: `/k8s/clusters/c-1`. */
  prefix?: string
}

export interface FrontDoorOptions {
  /** Where it listens. Default: a free port of 127.0.0.1. */
  host?: string
  port?: number
  /** Its certificate; plain HTTP without one. */
  tls?: { cert: string; key: string }
  /** The server behind it, and how the door shows there who it is. */
  to: { host: string; port: number; tls?: { ca?: string; cert?: string; key?: string; rejectUnauthorized?: boolean } }
}

export interface FrontDoor {
  port: number
  habits: Habits
  /** Upgrades that came, by kind, refused ones too. */
  upgrades: { spdy: number; websocket: number }
  /** Connections that it ended by its habits. */
  ended: number
  close(): Promise<void>
}

export async function startFrontDoor(options: FrontDoorOptions, habits: Habits = {}): Promise<FrontDoor> {
  const { to, tls } = options
  const door: FrontDoor = { port: 0, habits, upgrades: { spdy: 0, websocket: 0 }, ended: 0, close }
  const sockets = new Set<Socket>()

  const end = (socket: Socket) => {
    if (socket.destroyed) return
    door.ended++
    socket.destroy()
  }
  const watch = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    const began = Date.now()
    let seen = 0
    let quietSince = began
    const timer = setInterval(() => {
      const { idleMs, lifetimeMs } = door.habits
      const bytes = socket.bytesRead + socket.bytesWritten
      if (bytes !== seen) quietSince = Date.now()
      seen = bytes
      if (idleMs !== undefined && Date.now() - quietSince >= idleMs) end(socket)
      if (lifetimeMs !== undefined && Date.now() - began >= lifetimeMs) end(socket)
    }, 20)
    socket.on('close', () => {
      clearInterval(timer)
      sockets.delete(socket)
    })
  }

  /** The path behind the prefix; undefined if it is none of the server's. */
  const pathOf = (url: string) => {
    const { prefix } = door.habits
    if (!prefix) return url
    return url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined
  }

  const onRequest = (incoming: IncomingMessage, response: ServerResponse) => {
    const path = pathOf(incoming.url!)
    if (path === undefined) return void response.writeHead(404).end('no cluster here')
    const { method, headers } = incoming
    const wanted: RequestOptions = {
      host: to.host,
      port: to.port,
      method,
      path,
      headers: { ...headers, host: to.host },
    }
    const outgoing = to.tls ? requestTls({ ...wanted, ...to.tls }) : request(wanted)
    outgoing.on('response', (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.on('error', () => response.destroy()).pipe(response)
    })
    outgoing.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end('no server')))
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  }

  const onUpgrade = (incoming: IncomingMessage, near: Duplex, head: Buffer) => {
    near.on('error', () => {})
    const kind = /spdy/i.test(incoming.headers.upgrade ?? '') ? 'spdy' : 'websocket'
    door.upgrades[kind]++
    const path = pathOf(incoming.url!)
    const { refuse, refusal = 403 } = door.habits
    if (path === undefined || refuse === kind) {
      if (refuse === kind && refusal === 'silence') return
      if (refuse === kind && refusal === 'close') return void near.destroy()
      const status = path === undefined ? 404 : refusal
      return void near.end(`HTTP/1.1 ${status} No\r\nContent-Length: 14\r\nConnection: close\r\n\r\nnot through me`)
    }
    const far = to.tls ? connectTls({ ...to, ...to.tls }) : connect(to.port, to.host)
    far.on('error', () => near.destroy())
    far.once(to.tls ? 'secureConnect' : 'connect', () => {
      const lines = incoming.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [`${name}: ${all[i + 1]}`] : []))
      far.write(`${incoming.method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      if (head.length > 0) far.write(head)
      pass('up', near, far)
      pass('down', far, near)
    })
  }

  const pass = (way: 'up' | 'down', from: Duplex, to: Duplex) => {
    const since = door.habits.swallow
    const later = (act: () => void) => {
      const { delayMs } = door.habits
      if (delayMs) setTimeout(act, delayMs)
      else act()
    }
    from.on('data', (chunk: Buffer) => {
      // One that was opened during the habit is not of those that were open when it began.
      if (door.habits.swallow === way && since !== way) return
      later(() => {
        if (!to.destroyed && !to.write(chunk)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
    })
    from.on('end', () => later(() => to.end()))
    from.on('close', () => later(() => to.destroy()))
  }

  const server = tls ? createTlsServer(tls, onRequest) : createServer(onRequest)
  server.on('upgrade', onUpgrade)
  // With TLS, a connection's own socket does not say what goes over it.
  server.on(tls ? 'secureConnection' : 'connection', watch)
  server.on('tlsClientError', () => {})
  async function close(): Promise<void> {
    for (const socket of sockets) socket.destroy()
    await new Promise<unknown>((resolve) => server.close(resolve))
  }
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve))
  door.port = (server.address() as AddressInfo).port
  return door
}
