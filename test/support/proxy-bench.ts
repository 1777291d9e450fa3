// A proxy between programs of this machine, with a tunnel that ends in this machine's own sockets: 127.0.0.2 is the cluster,
// 127.0.0.1 is not.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { listening } from '../../src/base/listen.ts'
import { listenLocal } from '../../src/daemon/inbound/listen-local.ts'
import { ProxyServer } from '../../src/daemon/proxy/server.ts'
import { ReachError } from '../../src/reach/errors.ts'
import { Reach } from '../../src/reach/reach.ts'
import type { Tunnel } from '../../src/tunnel/tunnel.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { createLoopbackTunnel } from './loopback-tunnel.ts'
import { VirtualTime } from './virtual-time.ts'

export const CLUSTER = '127.0.0.2'

export interface ProxyBench extends AsyncDisposable {
  proxy: ProxyServer
  port: number
  time: VirtualTime
  counters: { bytesIn: number; bytesOut: number; total: number; open: number; failed: number }
  logged: string[]
  /** A server of the cluster, or of this machine; resolves to its port. */
  serve(onSocket: (socket: Socket) => void, host?: string): Promise<number>
  /** A client of the proxy. */
  client(): Client
  tunnel: Tunnel & { lose(message: string): void }
}

export interface Client {
  socket: Socket
  /** All that came, as latin1. */
  got(): string
  /** `end`: a FIN came; `reset`: a reset. */
  over(): '' | 'end' | 'reset'
  send(...parts: (number | string | Uint8Array)[]): void
  /** Resolves when `got` passes. */
  until(passes: (got: string) => boolean): Promise<string>
  ended(): Promise<'end' | 'reset'>
}

export async function proxyBench(
  options: { clusterOnly?: boolean; isAllowed?: (socket: Socket) => Promise<boolean>; tunnel?: Tunnel } = {},
): Promise<ProxyBench> {
  const time = new VirtualTime()
  const tunnel = createLoopbackTunnel()
  const logged: string[] = []
  const counters = { bytesIn: 0, bytesOut: 0, total: 0, open: 0, failed: 0 }
  const sockets = new Set<Socket>()
  const servers: Server[] = []
  const names: Record<string, string> = { 'web.shop': CLUSTER, machine: '127.0.0.1', gone: '127.0.0.3' }
  const reach = new Reach({
    tunnels: {
      tunnel: () => options.tunnel ?? tunnel,
      whenConnected: () => () => {},
      closing: new AbortController().signal,
    },
    names: {
      lookup: async (name, family) => {
        if (!names[name]) throw new ReachError('ENOTFOUND', `there is no ${name}`, '')
        return family === 4 ? [IpAddress.parse(names[name])] : []
      },
      isCluster: ({ bytes }) => bytes.length === 4 && bytes[3] > 1,
    },
    clusterOnly: options.clusterOnly ?? false,
    clock: time,
    isOwn: (address, port) => port === local.port && address.bytes[0] === 127,
  })
  const proxy = new ProxyServer({
    ...{ reach, clock: time, counters, log: (line) => void logged.push(line) },
    port: () => local.port,
    isAllowed: options.isAllowed ?? (async () => true),
    pac: () => 'function FindProxyForURL() {}',
  })
  const local = await listenLocal(0, (socket) => proxy.serve(socket))
  return {
    ...{ proxy, port: local.port, time, counters, logged, tunnel },
    async serve(onSocket, host = CLUSTER) {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        sockets.add(socket)
        socket.on('error', () => {})
        onSocket(socket)
      })
      servers.push(server)
      await listening(server, { host, port: 0 })
      return (server.address() as { port: number }).port
    },
    client() {
      const socket = connect({ port: local.port, host: '127.0.0.1', allowHalfOpen: true })
      sockets.add(socket)
      return clientOf(socket)
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      for (const server of servers) server.close()
      local.close()
      proxy.close()
      await tunnel.close()
    },
  }
}

function clientOf(socket: Socket): Client {
  let got = ''
  let over: '' | 'end' | 'reset' = ''
  const waiting = new Set<() => void>()
  const look = () => {
    for (const one of [...waiting]) one()
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    got += chunk
    look()
  })
  socket.on('end', () => {
    over ||= 'end'
    look()
  })
  socket.on('error', () => {
    over = 'reset'
    look()
  })
  socket.on('close', look)
  const when = (done: () => boolean, what: () => string) =>
    new Promise<void>((resolve, reject) => {
      // Whatever does not come is told with what came instead.
      const limit = setTimeout(() => reject(new Error(`not in time: ${what()}`)), 5_000)
      const check = () => {
        if (!done()) return
        clearTimeout(limit)
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
  return {
    socket,
    got: () => got,
    over: () => over,
    send: (...parts) => {
      const chunks = parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part as string)))
      socket.write(Buffer.concat(chunks))
    },
    until: async (passes) => {
      await when(
        () => passes(got),
        () => JSON.stringify(got.slice(-300)),
      )
      return got
    },
    ended: async () => {
      await when(
        () => over !== '',
        () => `it is open, after ${JSON.stringify(got.slice(-300))}`,
      )
      return over as 'end' | 'reset'
    },
  }
}
