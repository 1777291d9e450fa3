// Holds what a command began until its end, whoever brings that about, with everything put back.
import { homedir } from 'node:os'
import { systemClock } from '../../base/clock.ts'
import { systemFacts, userNumber } from '../../base/system.ts'
import type { ClusterClient, ClusterIdentity } from '../../cluster/calls.ts'
import type { ShadowDialer } from '../../connection/shadow-dialer.ts'
import type { ShadowConfig } from '../../control/config.ts'
import { type ControlServer, serveControl, toControlError } from '../../control/control-server.ts'
import type {
  ForwardConfig,
  HoldConfig,
  HolderConfig,
  HolderLine,
  InboundConfig,
  ProxyConfig,
  ShellConfig,
  TaskConfig,
} from '../../control/holder.ts'
import { newHolderSocket } from '../../control/holders.ts'
import { logFile } from '../../control/paths.ts'
import type { Progress } from '../../control/protocol.ts'
import type { RequestReport } from '../../control/views.ts'
import { machineLookup } from '../../reach/cluster-reach.ts'
import { createDialer } from '../dialer.ts'
import { type Log, openLog } from '../log.ts'
import { watchOwnNetwork } from '../own-network.ts'
import { FilesHolding } from '../place/files-holding.ts'
import { PlaceOfProgram } from '../place/program-place.ts'
import { type ProxyDeps, ProxyHolding } from '../proxy/proxy.ts'
import { uniform32 } from '../random.ts'
import { CallerNames } from '../requests/caller-names.ts'
import { RequestLog } from '../requests/request-log.ts'
import type { Shell } from '../shell/shell.ts'
import { Exchange } from './exchange.ts'
import { Forward } from './forward.ts'
import type { HolderDeps, HolderInput, Holding, InboundDeps } from './holding.ts'
import { machineParts } from './parts.ts'
import { runTask } from './task.ts'

const tell = (line: HolderLine) => void process.stdout.write(`${JSON.stringify(line)}\n`)

/** What a command that does not read may leave waiting; requests beyond it are dropped, and counted. */
const MOST_UNREAD = 4 << 20

/** What is held until it is told to end; all other kinds are tasks. */
const HOLDS: Record<HoldConfig['kind'], true> = {
  forward: true,
  proxy: true,
  exchange: true,
  mesh: true,
  run: true,
  shell: true,
  'keep-files': true,
}

export function isTask(config: HolderConfig): config is TaskConfig {
  return !Object.hasOwn(HOLDS, config.kind)
}

/** `kt recover`, `kt clean`, `kt env`: a result or an error. */
export async function runTaskAndTell(config: TaskConfig, cluster: ClusterClient): Promise<void> {
  const log = openHolderLog(config)
  const running = (step: string, detail: string) => {
    log(`${step}: ${detail}`)
    // What takes so long that a person would wonder is said to all; the rest is for KT_LOG=debug.
    if (step === 'watch') tell({ type: 'notice', message: detail })
    else tell({ type: 'progress', step: config.kind, state: 'running', detail, ms: 0 })
  }
  try {
    tell(await runTask(config, cluster, running))
  } catch (error) {
    tell({ type: 'failed', ...toControlError(error, log) })
    process.exitCode = 1
  }
}

/**
 * Holds until it is told to end (a second time: at once), the command is gone and it is not to go on in the background,
 * a signal comes, or it fails; then ends this process.
 */
export async function hold(
  config: HoldConfig,
  cluster: ClusterClient,
  identity: Promise<ClusterIdentity>,
  input: HolderInput,
): Promise<void> {
  const log = openHolderLog(config)
  let ending: Promise<string[]> | undefined
  const controls: (ControlServer | undefined)[] = []
  /** Of who called `kt leave`. */
  let leaver: ((p: Progress) => void) | undefined
  const fail = (error: unknown) => {
    tell({ type: 'failed', ...toControlError(error, log) })
    end(`failed: ${(error as Error).message}`, 1)
  }
  const notice = (message: string) => {
    log(message)
    tell({ type: 'notice', message })
  }
  const requests = requestLog(config, cluster, notice)
  const deps: HolderDeps = {
    cluster,
    identity,
    log,
    progress: (p) => {
      tell({ type: 'progress', ...p })
      leaver?.(p)
    },
    notice,
    fail,
  }
  const proxy = config.kind === 'proxy' ? new ProxyHolding(config, proxyDeps(config, deps)) : undefined
  const inShell = await shellOf(config, { ...deps, requests })
  const shell = inShell?.shell
  const files = config.kind === 'keep-files' ? new FilesHolding(config, deps) : undefined
  const place = 'place' in config && config.place ? new PlaceOfProgram(config.place, deps) : undefined
  const holding: Holding =
    proxy ?? inShell?.holding ?? files ?? holdingOf(config as ForwardConfig | InboundConfig, { ...deps, requests })

  /** Puts everything back, once; later callers wait for the same. */
  const leave = (why: string): Promise<string[]> => {
    if (!ending) {
      log(`ending: ${why}`)
      place?.stop()
      ending = holding.close().catch((error: Error) => {
        log(`ending: ${error.stack}`)
        return [error.message]
      })
      void ending.then((notes) => {
        for (const note of notes) log(`left: ${note}`)
      })
    }
    return ending
  }
  function end(why: string, code = 0): void {
    if (ending) holding.hurry()
    void leave(why).then((notes) => {
      if (notes.length > 0)
        tell({ type: 'failed', code: 'not-put-back', message: notes.join('; '), hint: '`kt logs` may say more' })
      else tell({ type: 'ended', message: `ended (${why}); everything is put back` })
      for (const control of controls) control?.close()
      place?.close()
      // The answer to `kt leave` and the log's last line are on their way.
      setTimeout(() => process.exit(notes.length > 0 ? 1 : code), 20)
    })
  }

  let ready = false
  input.onEnd((gone) => {
    if (gone && ready && 'background' in config && config.background) return
    end(gone ? 'the command is gone' : 'told to end')
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(signal))
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, fail)

  try {
    if (proxy) controls.push(await serveProxy(proxy, log))
    if (shell)
      controls.push(await serveControl(newHolderSocket(process.env, 'shell'), { shell: () => shell.report() }, log))
    if (holding.status())
      controls.push(
        await serveControl(
          newHolderSocket(process.env),
          {
            held: () => holding.status()!,
            requests: ({ since = 0, bodies }) => requests.since(since, holding.status()!.connections.open, bodies),
            leave: async (_, progress) => {
              leaver = progress
              // Whoever asks twice does not want to wait for open connections.
              if (ending) holding.hurry()
              const notes = await leave('kt leave')
              setImmediate(() => end('kt leave'))
              return { notes }
            },
          },
          log,
        ),
      )
    // Before the Service leads here, since the pods may go then.
    const placed = await place?.open(config as InboundConfig | ShellConfig)
    if (ending) return
    if (shell && placed) {
      shell.setPlace(placed.root, place!.mounts)
      tell({ type: 'placed', place: placed })
    }
    const message = await holding.start()
    if (ending) return
    log(message)
    ready = true
    tell({
      type: 'ready',
      message,
      target: holding.status()?.target,
      proxy: proxy?.proxyStatus(),
      place: placed,
      files: files?.written,
    })
  } catch (error) {
    if (!ending) fail(error)
  }
}

/** What only a shell needs is loaded for a shell. */
async function shellOf(
  config: HoldConfig,
  { requests, ...deps }: InboundDeps,
): Promise<{ holding: Holding; shell: Shell } | undefined> {
  const inbound = 'shell' in config && config.shell ? (config as InboundConfig) : undefined
  if (!inbound && config.kind !== 'shell') return undefined
  const { createInboundInShell, createShell } = await import('../shell/create.ts')
  if (inbound)
    return createInboundInShell(
      inbound,
      deps,
      (shared, network) => new Exchange(inbound, { ...shared, requests }, machineParts(inbound, shared, network)),
    )
  const shell = createShell(config as ShellConfig, deps)
  return { holding: shell, shell }
}

/** Its requests go to the command where `--log` was given. */
function requestLog(config: HoldConfig, cluster: ClusterClient, notice: (line: string) => void): RequestLog {
  const names = new CallerNames({ ask: (address) => cluster.podAt(address), now: () => systemClock.now() })
  let dropped = 0
  const tellRequest = (request: RequestReport) => {
    if (process.stdout.writableLength > MOST_UNREAD) {
      dropped++
      return
    }
    if (dropped > 0) notice(`${dropped} requests are not shown: the terminal took their lines too slowly`)
    dropped = 0
    tell({ type: 'request', request })
  }
  const wanted = 'log' in config && config.log
  return new RequestLog({
    ...{ clock: systemClock, wall: Date.now, names, notice },
    ...(wanted && { tell: tellRequest, bodies: config.bodies }),
  })
}

function openHolderLog(config: HolderConfig): Log {
  const base = openLog(logFile(homedir(), process.env), process.env['KT_LOG'] === 'debug')
  const name = 'target' in config ? `${config.kind} ${config.target}` : config.kind
  const log = Object.assign((line: string) => base(`${name}: ${line}`), {
    trouble: base.trouble,
    debug: (line: string) => base.debug(`${name}: ${line}`),
  })
  log(`holder ${process.pid}, Node ${process.versions.node}, uid ${userNumber(systemFacts())}`)
  return log
}

function holdingOf(config: ForwardConfig | InboundConfig, deps: InboundDeps): Holding {
  return config.kind === 'forward'
    ? new Forward(config, { ...deps, clock: systemClock, dialer: dialerOf(config, deps) })
    : new Exchange(config, deps, machineParts(config, deps))
}

function proxyDeps(config: ProxyConfig, deps: HolderDeps): ProxyDeps {
  return {
    ...deps,
    ...{ clock: systemClock, wall: Date.now, random: uniform32(), dialer: dialerOf(config, deps) },
    ...{ lookup: machineLookup, facts: systemFacts() },
  }
}

/** How `kt status` finds it. A proxy that cannot be listed serves all the same. */
async function serveProxy(proxy: ProxyHolding, log: Log): Promise<ControlServer | undefined> {
  try {
    return await serveControl(newHolderSocket(process.env, 'proxy'), { proxy: () => proxy.proxyStatus() }, log)
  } catch (error) {
    log(`\`kt status\` does not list this: ${(error as Error).message}`)
    return undefined
  }
}

function dialerOf(config: ShadowConfig, { cluster, log }: HolderDeps): (closing: AbortSignal) => ShadowDialer {
  return (closing) => {
    const made = createDialer(cluster, config, log, closing)
    watchOwnNetwork(made, closing)
    return made
  }
}
