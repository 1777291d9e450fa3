// The helper's two commands, put together from the parts of this folder. `engineProgram` comes from the caller, so tests
// can put an engine of their own in its place; no option and no variable can.
import { closeSync, constants, fchmodSync, openSync, writeSync } from 'node:fs'
import { systemClock } from '../../host/clock.ts'
import { Journal } from '../../host/journal.ts'
import { systemEffects } from '../../host/system.ts'
import { openCaller } from './caller.ts'
import { toFailure } from './errors.ts'
import { type HelperOptions, parseOptions, USAGE } from './options.ts'
import { runUp } from './up.ts'

/** Runs a command line to its end; resolves to the exit code. */
export async function runHelper(argv: string[], engineProgram: string): Promise<number> {
  const options = parseOptions(argv)
  if (!options) {
    console.error(USAGE)
    return 2
  }
  return options.command === 'undo' ? undo() : up(options, engineProgram)
}

/** Undoes what dead helpers left; prints an UndoReport as one line of JSON. */
async function undo(): Promise<number> {
  if (process.getuid!() !== 0) {
    console.error('the helper needs root')
    return 1
  }
  try {
    console.log(JSON.stringify(await Journal.replay(systemEffects())))
    return 0
  } catch (error) {
    console.error(toFailure(error).message)
    return 1
  }
}

async function up(options: Extract<HelperOptions, { command: 'up' }>, engineProgram: string): Promise<number> {
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

function openLog(path: string | undefined): (line: string) => void {
  if (path === undefined) return () => {}
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
  const fd = openSync(path, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600)
  try {
    fchmodSync(fd, 0o600)
  } catch {
    closeSync(fd)
    return () => {}
  }
  return (line) => {
    try {
      writeSync(fd, `${new Date().toISOString()} helper ${process.pid}: ${line}\n`)
    } catch {
      // A full disk must not keep the helper from its work.
    }
  }
}
