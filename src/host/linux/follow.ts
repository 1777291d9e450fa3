// A program that tells of changes for as long as it runs, `ip monitor` for one. It is started again when it ends: whoever
// follows changes must not go blind because one process was killed.
import { spawn } from 'node:child_process'
import type { Clock } from '../../base/clock.ts'

const FIRST_RESTART_MS = 1_000
const MAX_RESTART_MS = 60_000

/** Starts a program; `onOutput` at each piece it writes, `onEnd` once when it is gone. Returns what ends it. */
export type Follow = (argv: readonly string[], onOutput: () => void, onEnd: (why: string) => void) => () => void

/** With `env` as all of its environment. */
export function followProgram(env: Record<string, string>): Follow {
  return (argv, onOutput, onEnd) => {
    const child = spawn(argv[0], argv.slice(1), { env, stdio: ['ignore', 'pipe', 'ignore'], cwd: '/' })
    let over = false
    const end = (why: string) => {
      if (over) return
      over = true
      onEnd(why)
    }
    child.stdout.on('data', onOutput)
    child.stdout.on('error', () => {}) // its end is seen by the child's
    child.on('error', (error) => end(error.message))
    child.on('close', (code, signal) => end(signal ? `ended by ${signal}` : `ended with code ${code}`))
    return () => {
      over = true
      child.kill('SIGKILL')
    }
  }
}

/**
 * Follows `argv` until ended by what this returns. `onChange` is called when it writes, and when it was started again:
 * what happened in between is not known. A program that keeps ending is started less and less often.
 */
export function followForEver(
  follow: Follow,
  argv: readonly string[],
  clock: Clock,
  onChange: () => void,
  log: (line: string) => void,
): () => void {
  let wait = FIRST_RESTART_MS
  let stop = () => {}
  const start = () => {
    stop = follow(
      argv,
      () => {
        wait = FIRST_RESTART_MS
        onChange()
      },
      (why) => {
        log(`${argv.join(' ')}: ${why}; started again in ${wait / 1000} s`)
        stop = clock.after(wait, () => {
          start()
          onChange()
        })
        wait = Math.min(MAX_RESTART_MS, wait * 2)
      },
    )
  }
  start()
  return () => stop()
}
