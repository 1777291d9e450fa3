// The engine: runs as the calling user, holds the connection until told to go. Started by the helper, which owns what
// needs root and undoes it when this process ends for whatever reason.
import { randomBytes } from 'node:crypto'
import { homedir } from 'node:os'
import { controlSocket, logFile } from '../control/paths.ts'
import type { Progress, UpConfig } from '../control/protocol.ts'
import { type ControlServer, serveControl, toControlError } from '../control/server.ts'
import { attachTun } from '../tun/native.ts'
import { withTap } from '../tun/tap.ts'
import { hasNativeCiphers } from '../tunnel/index.ts'
import { connectHelper } from './host-client.ts'
import { openLog } from './log.ts'
import { Session } from './session.ts'
import { watch } from './watch.ts'

/** The helper passes the TUN here. */
const TUN_FD = 3
/** Leaving has a deadline of its own, which is less; the helper's patience is a little more. */
const FAREWELL_MS = 9_000

const config = await readConfig()
Object.assign(process.env, config.env)
const log = openLog(logFile(homedir(), process.env), process.env['KT_LOG'] === 'debug')
log(`engine ${process.pid}, Node ${process.versions.node}, uid ${process.getuid!()}`)

let ready = false
let ending: Promise<string[]> | undefined
let control: ControlServer | undefined
const host = connectHelper(
  (event) => {
    if (event.event === 'terminate') void end('the helper was told to end')
    else if (event.event === 'machine') session.selfCheck.machineChanged(event.faults, event.repaired)
    else if (event.event === 'kernel') session.kernelChanged()
    else session.resolvConfChanged(event.upstreams)
  },
  () => {
    // A helper that ends in order waits for this process.
    if (!ending) session.selfCheck.helperGone()
    void end('the helper is gone')
  },
)
const report = (line: object) => {
  if (!ready) host.report(line)
}
const session = new Session(config, {
  device: withTap(attachTun(TUN_FD)),
  host,
  log,
  progress: (p) => report({ type: 'progress', ...p }),
  random: uniform32(),
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void end(signal))
process.on('uncaughtException', (error) => {
  log(`unexpected: ${error.stack}`)
  void end('an unexpected error', 1)
})
process.on('unhandledRejection', (error) => {
  log(`unexpected: ${error instanceof Error ? error.stack : error}`)
  void end('an unexpected error', 1)
})

try {
  control = await serveControl(
    controlSocket(process.getuid!()),
    {
      status: () => session.status(),
      look: () => session.selfCheck.look().then(() => ({})),
      down: async (_, progress) => {
        const notes = await leave(progress)
        setImmediate(() => void end('kt down'))
        return { notes }
      },
      same: (args) => session.same(args),
      services: () => session.services(),
      team: () => session.team(),
      recover: ({ target, namespace }, progress) => session.recover(target, namespace, progress),
      'dns.status': () => session.dnsStatus(),
      'dns.query': ({ name, type }) => session.dnsQuery(name, type),
      'dns.log': ({ since }) => ({ entries: session.dnsLog(since ?? 0) }),
      'dns.trace': ({ name, type }) => session.dnsTrace(name, type),
      capture: ({ filter }, tell, caller) => session.capture(filter, tell, caller),
      metrics: () => ({ text: session.metrics() }),
      watch: ({ dns }, tell, caller) => watch(session, dns === true, tell, caller),
      flows: ({ waitMs }) => session.flows(waitMs ?? 0),
    },
    log,
  )
  if (!hasNativeCiphers()) {
    report(
      note(
        "ssh2's native ciphers are missing: kt runs at about two thirds of its speed; install a C++ compiler and run ./dev setup again",
      ),
    )
  }
  const trouble = log.trouble()
  if (trouble) report(note(trouble))
  const message = await session.connect()
  log(message)
  report({ type: 'ready', message })
  ready = true
} catch (error) {
  const told = toControlError(error, log)
  log(`failed: ${told.message}`)
  await leave(() => {})
  report({ type: 'failed', ...told })
  await end('not connected', 1)
}

function note(detail: string): object {
  return { type: 'progress', step: 'note', state: 'note', detail, ms: 0 }
}

/** Puts everything back, once; later callers wait for the same. */
function leave(progress: (p: Progress) => void): Promise<string[]> {
  ending ??= session.close(progress)
  return ending
}

async function end(why: string, code = 0): Promise<void> {
  log(`ending: ${why}`)
  // Whatever a cluster out of reach keeps waiting: the helper undoes the machine when this process ends.
  setTimeout(() => process.exit(1), FAREWELL_MS)
  await leave(() => {})
  control?.close()
  // The answer to `kt down` is on its way through the socket; the log's last line through its stream.
  setTimeout(() => process.exit(code), 20)
}

/** The configuration that `kt up` wrote to the helper, handed on unread. */
function readConfig(): Promise<UpConfig> {
  return new Promise((resolve) => {
    const take = (message: { event: string; line: string }) => {
      if (message.event === 'terminate') process.exit(0) // nothing has been done yet
      if (message.event !== 'config') return
      process.off('message', take)
      process.off('disconnect', nobody)
      resolve(JSON.parse(message.line) as UpConfig)
    }
    const nobody = () => process.exit(0)
    process.on('message', take)
    process.on('disconnect', nobody)
  })
}

/** Uniform numbers of 32 bits from the system's generator, drawn in blocks. */
function uniform32(): () => number {
  let block = new Uint32Array(0)
  let next = 0
  return () => {
    if (next === block.length) {
      block = new Uint32Array(new Uint8Array(randomBytes(1024)).buffer)
      next = 0
    }
    return block[next++]
  }
}
