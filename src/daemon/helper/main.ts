// The helper's commands, put together from the parts of this folder. `engineProgram` comes from the caller, so tests
// can put an engine of their own in its place; no option and no variable can.
import { constants, fchmodSync, openSync, writeSync } from 'node:fs'
import { systemClock } from '../../base/clock.ts'
import { ownProgram } from '../../base/installation.ts'
import { Journal, type UndoReport } from '../../host/journal.ts'
import { systemEffects } from '../../host/linux/effects.ts'
import { peerOf } from '../../tun/native.ts'
import { openCaller } from './caller.ts'
import { endProcesses } from './end.ts'
import { toFailure } from './errors.ts'
import { type HelperOptions, parseOptions, USAGE } from './options.ts'
import { serveCall } from './serve.ts'
import { type HelperDeps, runUp } from './up.ts'

/** Runs a command line to its end; resolves to the exit code. */
export async function runHelper(argv: string[], engineProgram: readonly string[]): Promise<number> {
  const options = parseOptions(argv)
  if (!options) {
    console.error(USAGE)
    return 2
  }
  if (options.command === 'undo') return undo(options.end)
  return options.command === 'up' ? up(options, engineProgram) : serve(engineProgram)
}

// Whatever hangs here: `kt down` waits for this process.
const UNDO_MS = 60_000

/** Ends `end`'s kt, undoes what dead helpers left; prints an UndoReport as one line of JSON. */
async function undo(end: number | undefined): Promise<number> {
  if (process.getuid!() !== 0) {
    console.error('the helper needs root')
    return 1
  }
  try {
    console.log(JSON.stringify(await undone(end)))
    return 0
  } catch (error) {
    console.error(toFailure(error).message)
    return 1
  }
}

/** What `undo` does. Ends this process where it takes too long. */
async function undone(end: number | undefined): Promise<UndoReport> {
  setTimeout(() => {
    console.error(`undoing took more than ${UNDO_MS / 1000} s`)
    process.exit(1)
  }, UNDO_MS).unref()
  const effects = systemEffects()
  const kill = (pid: number, signal: NodeJS.Signals) => void process.kill(pid, signal)
  const ended = end === undefined ? [] : await endProcesses(end, { effects, clock: systemClock, kill })
  const report = await Journal.replay(effects)
  return { ...report, undone: [...ended, ...report.undone] }
}

async function up(
  options: Extract<HelperOptions, { command: 'up' }>,
  engineProgram: readonly string[],
): Promise<number> {
  const log = openLog(options.log)
  const end = heedSignals(log)
  return runUp(options, {
    effects: systemEffects(),
    clock: systemClock,
    caller: openCaller(() => end.wanted('the caller is gone')),
    engineProgram,
    environment: process.env,
    pid: process.pid,
    log,
    onStop: end.onStop,
  })
}

/** A call through the helper's socket, which is descriptors 0 and 1. What is told of it goes to the system's journal. */
async function serve(engineProgram: readonly string[]): Promise<number> {
  const log = (line: string) => console.error(line)
  const end = heedSignals(log)
  return serveCall({
    effects: systemEffects(),
    clock: systemClock,
    caller: openCaller(() => end.wanted('the caller is gone'), { socket: true }),
    engineProgram,
    environment: process.env,
    pid: process.pid,
    log,
    onStop: end.onStop,
    peer: () => peerOf(0),
    program: ownProgram,
    undo: undone,
  })
}

/** From here on a signal, or an error that nobody expected, asks for the end: as root, what was done is undone first. */
function heedSignals(log: (line: string) => void): { wanted(why: string): void; onStop: HelperDeps['onStop'] } {
  let stopWhy: string | undefined
  let stop: ((why: string) => void) | undefined
  const wanted = (why: string) => {
    stopWhy ??= why
    stop?.(why)
  }
  // The terminal closes: kt goes on.
  process.on('SIGHUP', () => {})
  process.on('SIGTERM', () => wanted('SIGTERM'))
  process.on('SIGINT', () => wanted('SIGINT'))
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error) => {
      log(`unexpected: ${error instanceof Error ? error.stack : error}`)
      wanted('an unexpected error')
    })
  return {
    wanted,
    onStop(handler) {
      stop = handler
      if (stopWhy !== undefined) handler(stopWhy)
    },
  }
}

/** A log that cannot be opened or written is no reason to leave the machine as it is. */
function openLog(path: string | undefined): (line: string) => void {
  if (path === undefined) return () => {}
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
  try {
    const fd = openSync(path, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600)
    fchmodSync(fd, 0o600)
    return (line) => {
      try {
        writeSync(fd, `${new Date().toISOString()} helper ${process.pid}: ${line}\n`)
      } catch {
        // the disk is full
      }
    }
  } catch {
    return () => {}
  }
}
