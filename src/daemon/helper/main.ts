// The helper's two commands, put together from the parts of this folder. `engineProgram` comes from the caller, so tests
// can put an engine of their own in its place; no option and no variable can.
import { constants, fchmodSync, openSync, writeSync } from 'node:fs'
import { systemClock } from '../../base/clock.ts'
import { Journal } from '../../host/journal.ts'
import { systemEffects } from '../../host/linux/effects.ts'
import { openCaller } from './caller.ts'
import { endProcesses } from './end.ts'
import { toFailure } from './errors.ts'
import { type HelperOptions, parseOptions, USAGE } from './options.ts'
import { runUp } from './up.ts'

/** Runs a command line to its end; resolves to the exit code. */
export async function runHelper(argv: string[], engineProgram: readonly string[]): Promise<number> {
  const options = parseOptions(argv)
  if (!options) {
    console.error(USAGE)
    return 2
  }
  return options.command === 'undo' ? undo(options.end) : up(options, engineProgram)
}

// Whatever hangs here: `kt down` waits for this process.
const UNDO_MS = 60_000

/** Ends `end`'s kt, undoes what dead helpers left; prints an UndoReport as one line of JSON. */
async function undo(end: number | undefined): Promise<number> {
  if (process.getuid!() !== 0) {
    console.error('the helper needs root')
    return 1
  }
  setTimeout(() => {
    console.error(`undoing took more than ${UNDO_MS / 1000} s`)
    process.exit(1)
  }, UNDO_MS).unref()
  try {
    const effects = systemEffects()
    const kill = (pid: number, signal: NodeJS.Signals) => void process.kill(pid, signal)
    const ended = end === undefined ? [] : await endProcesses(end, { effects, clock: systemClock, kill })
    const report = await Journal.replay(effects)
    console.log(JSON.stringify({ ...report, undone: [...ended, ...report.undone] }))
    return 0
  } catch (error) {
    console.error(toFailure(error).message)
    return 1
  }
}

async function up(
  options: Extract<HelperOptions, { command: 'up' }>,
  engineProgram: readonly string[],
): Promise<number> {
  const log = openLog(options.log)
  let stopWhy: string | undefined
  let stop: ((why: string) => void) | undefined
  const onStopWanted = (why: string) => {
    stopWhy ??= why
    stop?.(why)
  }
  // The terminal closes: kt goes on.
  process.on('SIGHUP', () => {})
  process.on('SIGTERM', () => onStopWanted('SIGTERM'))
  process.on('SIGINT', () => onStopWanted('SIGINT'))
  // As root, with the machine changed: whatever happens, what was done is undone first.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error) => {
      log(`unexpected: ${error instanceof Error ? error.stack : error}`)
      onStopWanted('an unexpected error')
    })
  const caller = openCaller(() => onStopWanted('the caller is gone'))
  return runUp(options, {
    effects: systemEffects(),
    clock: systemClock,
    caller,
    engineProgram,
    environment: process.env,
    pid: process.pid,
    log,
    onStop(handler) {
      stop = handler
      if (stopWhy !== undefined) handler(stopWhy)
    },
  })
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
