// The agent's side towards the cluster: listens on its ports, and brings each connection to who has claimed it or to the original.

import { setMaxListeners } from 'node:events'
import type { Server, Socket } from 'node:net'
import { type Clock, every } from '../base/clock.ts'
import { resetSocket } from '../base/reset.ts'
import { type Endpoint, formatEndpoint } from '../wire/address.ts'
import { Admission } from './admission.ts'
import type { Claim, Claims } from './claims.ts'
import { dialClaimant } from './duplex.ts'
import type { EmptyAnswer } from './empty-answer.ts'
import { FirstClaim } from './first-claim.ts'
import { collectGarbage, FloodWatch } from './give-back.ts'
import { HeadMemory } from './http/head-memory.ts'
import { matches, type Route } from './http/route.ts'
import { serveHttp } from './http/serve.ts'
import { StreamMemory } from './http/stream-memory.ts'
import { inCourseOf } from './last-resort.ts'
import { dialOriginal, Passing } from './passing.ts'
import { type AgentPort, listenTcp, plainEndpoint } from './ports.ts'
import type { RelaySet } from './relay.ts'
import { UdpPort } from './udp-port.ts'

const SWEEP_MS = 30_000
/** For the head of a request of HTTP/1, from its first byte; a browser on a bad line takes less. */
const HEAD_MS = 10_000
/** 128 of the longest heads at a time, or 8,192 of usual ones. */
const HEAD_MEMORY = 8 * 1024 * 1024

export interface PortServerOptions {
  claims: Claims
  relays: RelaySet
  emptyAnswer: EmptyAnswer
  /** How long after the start connections wait for a first claim. */
  firstClaimMs?: number
  clock: Clock
  log: (line: string) => void
  admission?: Admission
}

export interface PortServer {
  /** Before the agent ends: see Passing.drain. */
  drain(timeoutMs: number): Promise<void>
  /** Resolves when a client has claimed a port, or none will soon. */
  readonly settled: Promise<void>
  close(): void
}

/** Listens on all ports of `claims`. Rejects with Error that names the port when it cannot on one of them. */
export async function servePorts({
  claims,
  relays,
  emptyAnswer,
  firstClaimMs,
  clock,
  log,
  admission = new Admission(),
}: PortServerOptions): Promise<PortServer> {
  const servers: Server[] = []
  const udp: UdpPort[] = []
  const passing = new Passing(clock)
  const ending = new AbortController()
  const firstClaim = new FirstClaim(clock, firstClaimMs)
  claims.onHeld = (port) => firstClaim.claimed(port)
  // One listener a connection.
  setMaxListeners(0, ending.signal)
  const heads = new HeadMemory(HEAD_MEMORY)
  const streams = new StreamMemory()
  const floods = new FloodWatch(collectGarbage)
  const ways: Ways = {
    claims,
    relays,
    passing,
    admission,
    floods,
    heads,
    streams,
    emptyAnswer,
    firstClaim,
    ending: ending.signal,
    clock,
  }
  let told = 0
  const sweep = () => {
    for (const port of udp) port.sweep()
    if (admission.refused > told) log(`too many connections: ${admission.refused - told} were refused`)
    told = admission.refused
    floods.check(admission.size)
  }
  const stopSweeping = every(SWEEP_MS, clock, sweep, 'alone')
  const close = () => {
    stopSweeping()
    for (const server of servers) server.close()
    for (const port of udp) port.close()
  }
  for (const port of claims.ports) {
    try {
      if (port.protocol === 'UDP') udp.push(await UdpPort.open(port, claims, clock))
      else servers.push(await listenTcp(port.port, (socket) => admit(socket, port, ways)))
    } catch (error) {
      close()
      throw new Error(`cannot listen on ${port.protocol} port ${port.port}: ${(error as Error).message}`)
    }
  }
  const drain = (timeoutMs: number) => {
    ending.abort()
    return passing.drain(timeoutMs)
  }
  return { close, drain, settled: firstClaim.settled }
}

interface Ways {
  claims: Claims
  relays: RelaySet
  passing: Passing
  admission: Admission
  floods: FloodWatch
  heads: HeadMemory
  streams: StreamMemory
  emptyAnswer: EmptyAnswer
  firstClaim: FirstClaim
  ending: AbortSignal
  clock: Clock
}

/** Serves a connection if there is room for it. Whatever goes wrong in its course costs this connection. */
function admit(socket: Socket, port: AgentPort, ways: Ways): void {
  const origin = plainEndpoint(socket.remoteAddress, socket.remotePort)
  const leave = ways.admission.admit(origin.address)
  if (!leave) {
    resetSocket(socket)
    return
  }
  ways.floods.opened(ways.admission.size)
  inCourseOf(
    `the connection of ${formatEndpoint(origin)}`,
    () => resetSocket(socket),
    () => receive(socket, port, leave, ways),
  )
}

/** `socket` is paused. */
function receive(socket: Socket, port: AgentPort, leave: () => void, ways: Ways): void {
  const ignore = () => {}
  socket.once('close', leave)
  const claimed = (peeked: boolean) => {
    socket.on('error', ignore)
    ways.firstClaim.wait(port, () => {
      if (socket.destroyed) return
      socket.off('error', ignore).off('close', leave)
      bring(socket, port, leave, ways, peeked)
    })
  }
  if (!ways.emptyAnswer.take(socket, () => claimed(true))) claimed(false)
}

/**
 * Leads a connection to whoever takes it. Nothing is read from `socket` before that, except bytes that were `peeked` at and
 * put back. `leave` is called when the connection has ended.
 */
function bring(socket: Socket, port: AgentPort, leave: () => void, ways: Ways, peeked: boolean): void {
  const { claims, relays, passing } = ways
  if (port.http) {
    socket.once('close', passing.count())
    socket.once('close', leave)
    void route(socket, port, ways)
    return
  }
  const pass = () => {
    // The caller has gone while its owner was asked for.
    if (socket.destroyed) return leave()
    socket.once('close', leave)
    passing.join(socket, port.original)
  }
  const claim = claims.holder(port)
  if (!claim) {
    pass()
    return
  }
  // Until it has an owner.
  const ignore = () => {}
  socket.on('error', ignore)
  const here: Endpoint = plainEndpoint(socket.localAddress, port.port)
  const { claimant, patience } = claim
  claimant.ask(here, plainEndpoint(socket.remoteAddress, socket.remotePort), patience, {
    taken(channel) {
      const counted = passing.count()
      const over = () => {
        counted()
        leave()
      }
      return relays.join(socket, channel, over, peeked)
    },
    refused() {
      resetSocket(socket)
      leave()
    },
    absent: pass,
  })
}

/** Each request on its own to who has claimed what it says. */
function route(socket: Socket, port: AgentPort, { claims, heads, streams, ending, clock }: Ways): Promise<void> {
  const here = plainEndpoint(socket.localAddress, port.port)
  const origin = plainEndpoint(socket.remoteAddress, socket.remotePort)
  // One object for each claim, since the router uses a connection again only for the same one.
  const routes = new WeakMap<Claim, Route>()
  const routeOf = (claim: Claim): Route => {
    const known = routes.get(claim)
    if (known) return known
    const { header, value, prefix } = claim.match!
    const made: Route = {
      dial: () => dialClaimant(claim, here, origin),
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
    original: (gone) => dialOriginal(port.original, gone),
    headMs: HEAD_MS,
    heads,
    streams,
    origin,
    ending,
    clock,
  })
}
