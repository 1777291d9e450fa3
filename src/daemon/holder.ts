// The holder: the process behind `kt forward`. It runs as the user, and ends, everything put back, when told to, when
// the command that started it is gone, and on a signal.
import { homedir } from 'node:os'
import type { HolderCommand, HolderConfig, HolderLine } from '../control/holder.ts'
import { LineSplitter } from '../control/lines.ts'
import { logFile } from '../control/paths.ts'
import { toControlError } from '../control/server.ts'
import { Forward } from './back/forward.ts'
import { openLog } from './log.ts'

const inputs = readInput()
const config = await inputs.config
Object.assign(process.env, config.env)
const base = openLog(logFile(homedir(), process.env), process.env['KT_LOG'] === 'debug')
const name = `${config.kind} ${config.target}`
const log = Object.assign((line: string) => base(`${name}: ${line}`), {
  debug: (line: string) => base.debug(`${name}: ${line}`),
})
log(`holder ${process.pid}, Node ${process.versions.node}, uid ${process.getuid!()}`)

process.stdout.on('error', () => {}) // the command may be gone
const tell = (line: HolderLine) => void process.stdout.write(`${JSON.stringify(line)}\n`)

const holding = new Forward(config, {
  log,
  progress: (p) => tell({ type: 'progress', ...p }),
  notice: (message) => {
    log(message)
    tell({ type: 'notice', message })
  },
})

let ending: Promise<void> | undefined
inputs.onEnd(() => end('told to end'))
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(signal))
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => {
    log(`unexpected: ${error instanceof Error ? error.stack : error}`)
    tell({ type: 'failed', ...toControlError(error, log) })
    end('an unexpected error', 1)
  })

try {
  const message = await holding.start()
  if (!ending) {
    log(message)
    tell({ type: 'ready', message })
  }
} catch (error) {
  if (!ending) {
    tell({ type: 'failed', ...toControlError(error, log) })
    end(`failed: ${(error as Error).message}`, 1)
  }
}

/** Puts everything back and ends this process. */
function end(why: string, code = 0): void {
  if (ending) return
  log(`ending: ${why}`)
  ending = holding.close().catch((error: Error) => log(`ending: ${error.stack}`))
  // The log's last line is on its way through its stream.
  void ending.then(() => setTimeout(() => process.exit(code), 20))
}

/** The configuration, and whoever is to be called when the command says so or is gone. */
function readInput(): { config: Promise<HolderConfig>; onEnd(callback: () => void): void } {
  const splitter = new LineSplitter()
  const { promise, resolve } = Promise.withResolvers<HolderConfig>()
  let configured = false
  let ended = false
  let callback: (() => void) | undefined
  const stop = () => {
    if (!configured) process.exit(0) // nothing has been done yet
    ended = true
    callback?.()
  }
  process.stdin.on('data', (chunk: Buffer) => {
    for (const line of splitter.push(chunk)) {
      if (configured) {
        if ((JSON.parse(line) as HolderCommand).op === 'end') stop()
        continue
      }
      configured = true
      resolve(JSON.parse(line) as HolderConfig)
    }
  })
  process.stdin.on('error', stop)
  process.stdin.on('close', stop)
  return {
    config: promise,
    onEnd: (one) => {
      callback = one
      if (ended) one()
    },
  }
}
