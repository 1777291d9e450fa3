// The agent's side towards the cluster: listens on its ports, and brings each connection to who has claimed it or to the original.
import { setMaxListeners } from 'node:events'
import type { Server, Socket } from 'node:net'
import type { Endpoint } from '../wire/address.ts'
import type { Claim, Claims } from './claims.ts'
import { dialClaimant } from './duplex.ts'
import { matches, type Route } from './http/route.ts'
import { serveHttp } from './http/serve.ts'
import { dialOriginal, Passing } from './passing.ts'
import { type AgentPort, listenTcp, plainEndpoint } from './ports.ts'
import type { RelaySet } from './relay.ts'
import { UdpPort } from './udp-port.ts'

const SWEEP_MS = 30_000

export interface PortServerOptions {
  claims: Claims
  relays: RelaySet
  now: () => number
}

export interface PortServer {
  /** Before the agent ends: see Passing.drain. */
  drain(timeoutMs: number): Promise<void>
  close(): void
}

/** Listens on all ports of `claims`. Rejects with Error that names the port when it cannot on one of them. */
export async function servePorts({ claims, relays, now }: PortServerOptions): Promise<PortServer> {
  const servers: Server[] = []
  const udp: UdpPort[] = []
  const passing = new Passing(now)
  const ending = new AbortController()
  // One listener a connection.
  setMaxListeners(0, ending.signal)
  const sweeper = setInterval(() => {
    for (const port of udp) port.sweep()
  }, SWEEP_MS)
  sweeper.unref()
  const close = () => {
    clearInterval(sweeper)
    for (const server of servers) server.close()
    for (const port of udp) port.close()
  }
  for (const port of claims.ports) {
    try {
      if (port.protocol === 'UDP') udp.push(await UdpPort.open(port, claims, now))
      else
        servers.push(
          await listenTcp(port.port, (socket) =>
            bring(socket, port, { claims, relays, passing, ending: ending.signal, now }),
          ),
        )
    } catch (error) {
      close()
      throw new Error(`cannot listen on ${port.protocol} port ${port.port}: ${(error as Error).message}`)
    }
  }
  const drain = (timeoutMs: number) => {
    ending.abort()
    return passing.drain(timeoutMs)
  }
  return { close, drain }
}

interface Ways {
  claims: Claims
  relays: RelaySet
  passing: Passing
  ending: AbortSignal
  now: () => number
}

/** `socket` is paused: nothing is read of it before somebody has taken it. */
function bring(socket: Socket, port: AgentPort, ways: Ways): void {
  const { claims, relays, passing } = ways
  if (port.http) {
    socket.once('close', passing.count())
    void route(socket, port, ways)
    return
  }
  const claimant = claims.holder(port)
  if (!claimant) {
    passing.join(socket, port.original)
    return
  }
  // Until it has an owner.
  const ignore = () => {}
  socket.on('error', ignore)
  const here: Endpoint = plainEndpoint(socket.localAddress, port.port)
  claimant.ask(here, plainEndpoint(socket.remoteAddress, socket.remotePort), {
    taken(channel) {
      return relays.join(socket, channel, passing.count())
    },
    refused: () => socket.resetAndDestroy(),
    absent: () => passing.join(socket, port.original),
  })
}

/** Each request on its own to who has claimed what it says. */
function route(socket: Socket, port: AgentPort, { claims, ending, now }: Ways): Promise<void> {
  const here = plainEndpoint(socket.localAddress, port.port)
  const origin = plainEndpoint(socket.remoteAddress, socket.remotePort)
  // One object for each claim, since the router uses a connection again only for the same one.
  const routes = new WeakMap<Claim, Route>()
  const routeOf = (claim: Claim): Route => {
    const known = routes.get(claim)
    if (known) return known
    const { header, value, prefix } = claim.match!
    const made: Route = {
      dial: () => dialClaimant(claim.claimant, here, origin),
      name: `${header}: ${value}${prefix ? '*' : ''}`,
    }
    routes.set(claim, made)
    return made
  }
  return serveHttp(socket, {
    match(header) {
      for (const claim of claims.of(port)) if (matches(claim.match!, header)) return routeOf(claim)
      return undefined
    },
    original: () => dialOriginal(port.original),
    origin,
    ending,
    now,
  })
}
