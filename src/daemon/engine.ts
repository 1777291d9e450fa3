// The engine: runs as the calling user, holds the connection until told to go. Started by the helper, which owns what
// needs root and undoes it when this process ends for whatever reason.
import { homedir } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { createClusterClient } from '../cluster/client.ts'
import { UNFIT_CONFIG, UpConfig } from '../control/config.ts'
import { type ControlServer, serveControl, toControlError } from '../control/control-server.ts'
import type { RecoverConfig } from '../control/holder.ts'
import { controlSocket, logFile } from '../control/paths.ts'
import type { Progress } from '../control/protocol.ts'
import type { PutBack } from '../control/views.ts'
import { attachTun } from '../tun/native.ts'
import { withTap } from '../tun/tap.ts'
import { slowCiphers } from './ciphers.ts'
import { HelperMessage } from './helper/protocol.ts'
import { connectHelper } from './host-client.ts'
import { recoverNow } from './inbound/task.ts'
import { openLog } from './log.ts'
import { pluginSetting } from './login.ts'
import { uniform32 } from './random.ts'
import { isSame } from './same.ts'
import { Samples } from './samples.ts'
import { UpConnection } from './up-connection.ts'
import { UpViews } from './up-views.ts'
import { watch } from './watch.ts'

/** The helper passes the TUN here. */
const TUN_FD = 3
const SAMPLE_MS = 1_000
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
    else if (event.event === 'machine') up.network.selfCheck.machineChanged(event.faults, event.repaired)
    else if (event.event === 'kernel') up.network.kernelChanged()
    else up.network.resolvConfChanged(event.upstreams, event.notes)
  },
  () => {
    // A helper that ends in order waits for this process.
    if (!ending) up.network.selfCheck.helperGone()
    void end('the helper is gone')
  },
)
const report = (line: object) => {
  if (!ready) host.report(line)
}
const progress = (p: Progress) => report({ type: 'progress', ...p })
const { kubeconfig, context, namespace } = config
const plugin = pluginSetting(
  config,
  () => up.state === 'connecting',
  (p) => {
    log(`${p.step}: ${p.detail}`)
    progress(p)
  },
)
const cluster = createClusterClient({ kubeconfig, context, namespace }, { plugin })
const device = withTap(attachTun(TUN_FD))
const random = uniform32()
const up = new UpConnection(config, {
  ...{ clock: systemClock, wall: Date.now, cluster, device, host, log, progress, random },
  onDeviceFailed: () => void end('the network device failed'),
})
const views = new UpViews(up, cluster, device, systemClock)
const samples = new Samples()
setInterval(() => samples.add(up.status(), Date.now()), SAMPLE_MS).unref()

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
      status: () => up.status(),
      look: () => up.network.selfCheck.look().then(() => ({})),
      down: async (_, progress) => {
        const notes = await leave(progress)
        setImmediate(() => void end('kt down'))
        return { notes }
      },
      same: (args) => isSame(args, up.connection.identity, config),
      services: () => views.services(),
      team: () => views.team(),
      recover: ({ target, namespace }, progress) => recover(target, namespace, progress),
      'dns.status': () => views.dnsStatus(),
      'dns.query': ({ name, type }) => views.dnsQuery(name, type),
      'dns.log': ({ since }) => ({ entries: views.dnsLog(since ?? 0) }),
      'dns.trace': ({ name, type }) => views.dnsTrace(name, type),
      capture: ({ filter }, tell, caller) => views.capture(filter, tell, caller),
      metrics: () => ({ text: views.metrics() }),
      watch: ({ dns }, tell, caller) =>
        watch({ status: () => up.status(), dnsLog: (since) => views.dnsLog(since) }, dns === true, tell, caller),
      flows: ({ waitMs }) => views.flows(waitMs ?? 0),
      samples: ({ since }) => ({ samples: samples.after(since ?? 0) }),
    },
    log,
  )
  const slow = slowCiphers()
  if (slow) report(note(`${slow.message}; ${slow.hint}`))
  const trouble = log.trouble()
  if (trouble) report(note(trouble))
  const message = await up.connect()
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

/** Puts back what somebody's exchange or mesh changed, unless they live. Rejects with ClusterError. */
function recover(target: string, namespace: string, progress: (p: Progress) => void): Promise<PutBack> {
  // The context as it was: the kubeconfig's current one may be another by now.
  const context = up.connection.identity?.context
  const { owner, env } = config
  const wanted: RecoverConfig = { kind: 'recover', target, force: false, kubeconfig, context, namespace, owner, env }
  const running = (detail: string) => progress({ step: 'recover', state: 'running', detail, ms: 0 })
  return recoverNow(wanted, createClusterClient({ kubeconfig, context, namespace }), running)
}

/** Puts everything back, once; later callers wait for the same. */
function leave(progress: (p: Progress) => void): Promise<string[]> {
  ending ??= up.close(progress)
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
    const take = (received: unknown) => {
      const { data: message } = HelperMessage.safeParse(received)
      if (!message || !('event' in message)) return
      if (message.event === 'terminate') process.exit(0) // nothing has been done yet
      if (message.event !== 'config') return
      process.off('message', take)
      process.off('disconnect', nobody)
      const config = UpConfig.safeParse(parsed(message.line))
      if (config.success) resolve(config.data)
      else process.send!({ type: 'failed', ...UNFIT_CONFIG }, undefined, undefined, () => process.exit(1))
    }
    const nobody = () => process.exit(0)
    process.on('message', take)
    process.on('disconnect', nobody)
  })
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
