// The holder: the process behind `kt exchange`, `run` and `forward`, and for moments behind `recover` and `clean`. It
// runs as the user, and ends, everything put back, when told to, when the command that started it is gone (unless it is
// to go on in the background), and on a signal.
import { homedir } from 'node:os'
import type { HoldConfig, HolderCommand, HolderConfig, HolderLine } from '../control/holder.ts'
import { newHolderSocket } from '../control/holders.ts'
import { LineSplitter } from '../control/lines.ts'
import { logFile } from '../control/paths.ts'
import type { Progress } from '../control/protocol.ts'
import { type ControlServer, serveControl, toControlError } from '../control/server.ts'
import { Exchange } from './back/exchange.ts'
import { Forward } from './back/forward.ts'
import type { HolderDeps, Holding } from './back/holding.ts'
import { runTask } from './back/task.ts'
import { type Log, openLog } from './log.ts'

process.stdout.on('error', () => {}) // the command may be gone
const tell = (line: HolderLine) => void process.stdout.write(`${JSON.stringify(line)}\n`)

const input = readInput()
const config = await input.config
Object.assign(process.env, config.env)
const log = openHolderLog(config)
if (config.kind === 'recover' || config.kind === 'clean') {
  const running = (detail: string) => tell({ type: 'progress', step: config.kind, state: 'running', detail, ms: 0 })
  try {
    tell(await runTask(config, running))
  } catch (error) {
    tell({ type: 'failed', ...toControlError(error, log) })
    process.exitCode = 1
  }
  process.stdin.destroy()
} else {
  await hold(config)
}

async function hold(config: HoldConfig): Promise<void> {
  let ending: Promise<string[]> | undefined
  let control: ControlServer | undefined
  /** Of who called `kt leave`. */
  let leaver: ((p: Progress) => void) | undefined
  const fail = (error: unknown) => {
    tell({ type: 'failed', ...toControlError(error, log) })
    end(`failed: ${(error as Error).message}`, 1)
  }
  const deps: HolderDeps = {
    log,
    progress: (p) => {
      tell({ type: 'progress', ...p })
      leaver?.(p)
    },
    notice: (message) => {
      log(message)
      tell({ type: 'notice', message })
    },
    fail,
  }
  const holding: Holding = config.kind === 'forward' ? new Forward(config, deps) : new Exchange(config, deps)

  /** Puts everything back, once; later callers wait for the same. */
  const leave = (why: string): Promise<string[]> => {
    if (!ending) {
      log(`ending: ${why}`)
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
      if (notes.length > 0 && code === 0)
        tell({ type: 'failed', code: 'not-put-back', message: notes.join('; '), hint: '`kt logs` may say more' })
      control?.close()
      // The answer to `kt leave` and the log's last line are on their way.
      setTimeout(() => process.exit(notes.length > 0 ? 1 : code), 20)
    })
  }

  let ready = false
  input.onEnd((gone) => {
    if (gone && ready && config.kind !== 'forward' && config.background) return
    end(gone ? 'the command is gone' : 'told to end')
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(signal))
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, fail)

  try {
    if (config.kind !== 'forward')
      control = await serveControl(
        newHolderSocket(process.env),
        {
          held: () => holding.status()!,
          leave: async (_, progress) => {
            leaver = progress
            const notes = await leave('kt leave')
            tell({ type: 'notice', message: 'ended by kt leave' })
            setImmediate(() => end('kt leave'))
            return { notes }
          },
        },
        log,
      )
    const message = await holding.start()
    if (ending) return
    log(message)
    ready = true
    tell({ type: 'ready', message })
  } catch (error) {
    if (!ending) fail(error)
  }
}

function openHolderLog(config: HolderConfig): Log {
  const base = openLog(logFile(homedir(), process.env), process.env['KT_LOG'] === 'debug')
  const name = config.kind === 'clean' ? 'clean' : `${config.kind} ${config.target}`
  const log = Object.assign((line: string) => base(`${name}: ${line}`), {
    debug: (line: string) => base.debug(`${name}: ${line}`),
  })
  log(`holder ${process.pid}, Node ${process.versions.node}, uid ${process.getuid!()}`)
  return log
}

/** The configuration, and whoever is to be called when the command says `end` (each time), or is gone (once). */
function readInput(): { config: Promise<HolderConfig>; onEnd(callback: (gone: boolean) => void): void } {
  const splitter = new LineSplitter()
  const { promise, resolve } = Promise.withResolvers<HolderConfig>()
  let configured = false
  let early: boolean | undefined
  let callback: (gone: boolean) => void = (gone) => {
    early = gone
  }
  const gone = () => {
    if (!configured) process.exit(0) // nothing has been done yet
    callback(true)
  }
  process.stdin.on('data', (chunk: Buffer) => {
    for (const line of splitter.push(chunk)) {
      if (configured) {
        if ((JSON.parse(line) as HolderCommand).op === 'end') callback(false)
        continue
      }
      configured = true
      resolve(JSON.parse(line) as HolderConfig)
    }
  })
  process.stdin.on('error', () => {}) // `close` follows
  process.stdin.on('close', gone)
  return {
    config: promise,
    onEnd: (one) => {
      callback = one
      if (early !== undefined) one(early)
    },
  }
}
