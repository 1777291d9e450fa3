// The agent in the shadow pod, bundled to one file (scripts/build.ts) for a stock Node image: non-root, nothing written, nothing
// but Node. Configuration: files `host_key` and `authorized` in KT_AGENT_DIR (/kt), KT_AGENT_PORT (2222), KT_AGENT_IDLE_S (600; 0
// never ends), KT_AGENT_READY_PORT (opened when requests may come), KT_AGENT_STAY_S (20; how long it serves after SIGTERM), KT_AGENT_PORTS (ports served for the cluster) and KT_AGENT_ANY_KEY=1
// (`authorized` is not looked at): docs/understand/agent-protocol.md.
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { listening } from '../base/listen.ts'
import { systemRandom } from '../base/random.ts'
import { visible } from '../base/visible.ts'
import { type GcmBinding, loadGcm, WITHOUT_COMPILED_GCM } from '../tunnel/ssh/native-gcm.ts'
import { formatEndpoint } from '../wire/address.ts'
import { createAgentServer } from './agent-server.ts'
import type { AgentSession } from './agent-session.ts'
import { Claims } from './claims.ts'
import { Departure } from './departure.ts'
import { EmptyAnswer } from './empty-answer.ts'
import { takeUnhandled } from './last-resort.ts'
import { startPinger } from './ping.ts'
import { servePorts } from './port-server.ts'
import { type AgentPort, listenTcp, parsePorts } from './ports.ts'
import { RelaySet } from './relay.ts'

const VERSION = '0.1.0'
/** What is open after this ends with the agent: with the time before it, less than the pod's grace period (shadow-manifest.ts). */
const DRAIN_MS = 8_000
/** A Job replaces a pod that ends after 8.5 s of back-off, and a node may start it slowly. */
const STAY_S = 20
/** As of a process that the signal has ended: the Job makes another pod then, and counts itself as done after a 0. */
const TERMINATED = 128 + 15
const { env } = process
const log = (line: string) => console.log(`${new Date().toISOString()} ${visible(line)}`)
const folder = env.KT_AGENT_DIR ?? '/kt'
const port = number('KT_AGENT_PORT', 2222, 0, 65_535)
const idleSeconds = number('KT_AGENT_IDLE_S', 600, 0, 86_400)
const readyPort = number('KT_AGENT_READY_PORT', 0, 0, 65_535)
const staySeconds = number('KT_AGENT_STAY_S', STAY_S, 0, 3600)

const clock = systemClock
const departure = new Departure<AgentSession>(staySeconds * 1000)
/** Tells the clients that the agent was told to end, and ends it when `departure` says so; set once it serves ports. */
let leave = (signal: string): void => end(signal)
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => leave(signal))
let serving = false
takeUnhandled(log, () => !serving)

/** Called when something has changed that the end depends on. */
let checkDeparture = () => {}

// No top-level await: the bundle is CommonJS, which Node 20 runs without a package.json beside it.
void startPinger(env.KT_AGENT_PING ?? '/usr/local/bin/kt-ping', 2000, clock).then(async (helper) => {
  let stopIdling = () => {}
  const onSessions = (count: number) => {
    stopIdling()
    if (count > 0 || idleSeconds === 0) return
    stopIdling = clock.after(idleSeconds * 1000, () => end(`no client for ${idleSeconds} s`))
  }
  // Comes along with the client, for the architectures that it has.
  const cipher = `kt_gcm-${process.arch}.node`
  const noGcm = loadGcm(() => loadFile(join(folder, cipher)))
  const claims = new Claims(ports(), log)
  const emptyAnswer = new EmptyAnswer(clock)
  const relays = new RelaySet()
  const agent = createAgentServer({
    version: VERSION,
    hostKey: read('host_key'),
    authorized: env.KT_AGENT_ANY_KEY === '1' ? undefined : read('authorized'),
    relays,
    claims,
    emptyAnswer,
    departure,
    pinger: helper,
    resolvConfPath: '/etc/resolv.conf',
    clock,
    random: systemRandom,
    lineWaitMs: number('KT_AGENT_LINE_S', 4500, 0, 604_800) * 1000,
    log,
    onSessions,
    onChange: () => checkDeparture(),
  })
  onSessions(0)
  // Port-forward dials localhost in the pod; nobody else shall reach us.
  const first = await listen('127.0.0.1', port, agent.serve)
  const bound = first ? (first.address() as { port: number }).port : port
  const second = await listen('::1', bound, agent.serve)
  if (!first && !second) end(`cannot listen on port ${port}`, 1)
  // Last, so that who sees the pod's ports open can be sure that it can be reached.
  const cannotListen = (error: Error) => end(error.message, 1)
  const served = await servePorts({ claims, relays, emptyAnswer, clock, log }).catch(cannotListen)
  // Not before the client has its ports: what came earlier would have to wait, or would go to the original.
  if (readyPort > 0) void served.settled.then(() => openReadyPort().catch(cannotListen))
  if (claims.ports.length > 0) {
    let cancel = () => {}
    checkDeparture = () => {
      const at = departure.endsAt()
      if (at === undefined) return
      cancel()
      cancel = clock.after(Math.max(0, at - clock.now()), () => {
        checkDeparture = () => {}
        void served.drain(DRAIN_MS).then(() => end('SIGTERM', departure.released ? 0 : TERMINATED))
      })
    }
    leave = (signal) => {
      log(`${signal}: serves until it is not needed any more, ${staySeconds} s at most`)
      departure.tell(clock.now())
      agent.leave()
      checkDeparture()
    }
  }
  serving = true
  for (const { port, protocol, original } of claims.ports)
    log(`serves ${protocol} port ${port}${original ? `, unclaimed: ${formatEndpoint(original)}` : ''}`)
  log(`agent ${VERSION} on Node ${process.versions.node} listens on port ${bound}${helper ? ', can ping' : ''}`)
  if (noGcm) log(`the compiled cipher ${cipher} cannot be loaded (${noGcm}): ${WITHOUT_COMPILED_GCM}`)
})

function loadFile(path: string): GcmBinding {
  const module = { exports: {} as GcmBinding }
  process.dlopen(module, path)
  return module.exports
}

function openReadyPort(): Promise<unknown> {
  return listenTcp(readyPort, (socket) => socket.on('error', () => {}).destroy())
}

function listen(host: string, port: number, serve: (socket: Socket) => void): Promise<Server | undefined> {
  const server = createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: false }, serve)
  return listening(server, { port, host }).then(
    () => server,
    (error: Error) => {
      log(`${host}: ${error.message}`)
      return undefined
    },
  )
}

function ports(): AgentPort[] {
  try {
    return parsePorts(env.KT_AGENT_PORTS)
  } catch (error) {
    return end((error as Error).message, 2)
  }
}

function read(name: string): string {
  try {
    return readFileSync(join(folder, name), 'utf8')
  } catch (error) {
    return end(`cannot read ${name}: ${(error as Error).message}`, 1)
  }
}

function number(name: string, otherwise: number, least: number, most: number): number {
  const value = Number(env[name] ?? otherwise)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  return end(`${name} must be a number from ${least} to ${most}, not ${JSON.stringify(env[name])}`, 2)
}

function end(why: string, code = 0): never {
  log(`agent ends: ${why}`)
  process.exit(code)
}
