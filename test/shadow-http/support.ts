// A router on loopback between real sockets, and sides for it to route to.

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { systemClock } from '../../src/base/clock.ts'
import { HeadMemory } from '../../src/shadow/http/head-memory.ts'
import type { Dial, HttpRouting, Route } from '../../src/shadow/http/route.ts'
import { matches } from '../../src/shadow/http/route.ts'
import { serveHttp } from '../../src/shadow/http/serve.ts'
import { StreamMemory } from '../../src/shadow/http/stream-memory.ts'
import { IpAddress } from '../../src/wire/address.ts'

export interface TestRoute {
  /** Value of kt-version; with `*` at its end, a prefix. */
  version: string
  dial: Dial
}

/** Dials a port of loopback, as the agent dials. */
export function dialPort(port: number): Dial {
  return async () => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
}

/** The same as a stream that is no socket, as a claim's connection is one. */
export function dialStream(port: number): Dial {
  return async () => {
    const socket = await dialPort(port)()
    const stream = new Duplex({
      allowHalfOpen: true,
      read: () => void socket.resume(),
      write: (chunk, _encoding, done) => void socket.write(chunk, () => done()),
      final: (done) => void socket.end(done),
      destroy: (error, done) => {
        socket.destroy()
        done(error)
      },
    })
    socket.on('data', (chunk) => {
      if (!stream.push(chunk)) socket.pause()
    })
    socket.on('end', () => stream.push(null))
    socket.on('error', (error) => stream.destroy(error))
    return stream
  }
}

/** Listens on a free port of loopback until `server` is closed. */
export async function listen(server: Pick<Server, 'listen' | 'address' | 'once'>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server as Server, 'listening')
  return (server.address() as AddressInfo).port
}

export interface TestRouter {
  port: number
  /** May be changed while it runs, as claims come and go. */
  routes: TestRoute[]
  /** Connections being served. */
  serving: number
  /** How long a request's head may take, for connections from now on. */
  headMs: number
  /** What the streams of HTTP/2 may hold, for connections from now on. */
  streams: StreamMemory
  /** Lets `ms` pass for the router. */
  pass(ms: number): void
  /** The agent is to end. */
  end(): void
  close(): void
}

export async function startRouter(original: HttpRouting['original'], ...routes: TestRoute[]): Promise<TestRouter> {
  const made = new WeakMap<TestRoute, Route>()
  const sockets = new Set<Socket>()
  const heads = new HeadMemory(256 * 1024)
  const ending = new AbortController()
  let later = 0
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, async (socket) => {
    sockets.add(socket)
    const routing: HttpRouting = {
      match(header) {
        const found = router.routes.find(({ version }) =>
          matches({ header: 'KT-Version', value: version.replace(/\*$/, ''), prefix: version.endsWith('*') }, header),
        )
        if (!found) return undefined
        if (!made.has(found)) made.set(found, { dial: found.dial, name: `kt-version: ${found.version}` })
        return made.get(found)
      },
      original,
      headMs: router.headMs,
      heads,
      streams: router.streams,
      origin: { address: IpAddress.parse('10.1.2.3'), port: 4567 },
      ending: ending.signal,
      clock: { now: () => systemClock.now() + later, after: systemClock.after },
    }
    router.serving++
    await serveHttp(socket, routing)
    router.serving--
    sockets.delete(socket)
  })
  const router: TestRouter = {
    port: await listen(server),
    routes,
    serving: 0,
    headMs: 10_000,
    streams: new StreamMemory(),
    pass(ms) {
      later += ms
    },
    end: () => ending.abort(),
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  return router
}

/** A connection that sends `bytes` piece by piece and gives all that came back until its end. */
export async function exchange(port: number, pieces: (string | Buffer)[], end = true): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
  const got: Buffer[] = []
  socket.on('data', (chunk) => got.push(chunk))
  await once(socket, 'connect')
  for (const piece of pieces) {
    socket.write(piece)
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve))
  }
  if (end) socket.end()
  await once(socket, 'end')
  socket.destroy()
  return Buffer.concat(got).toString('latin1')
}
