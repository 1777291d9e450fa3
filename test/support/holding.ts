// A kt that holds a terminal on a laptop of the real cluster: started, read as it speaks, told to end by signals.
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

export interface Holding {
  /** Of the command itself; its holder is another process. */
  readonly pid: number
  /** All it has said so far, on either output. */
  said(): string
  /** Waits until it has said something; rejects when it ends before. */
  saysSoon(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>
  /** Does nothing once it has ended. */
  signal(name: NodeJS.Signals): void
  /** Exit code, or null where a signal ended it. */
  readonly exit: Promise<number | null>
}

/** Runs `kt ARGS` as `dev` on laptop `name`. */
export async function startHolding(program: string, name: string, args: string[]): Promise<Holding> {
  const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
  const command = `echo pid $$; exec ${[join(checkout, 'bin/kt'), ...args].map(quote).join(' ')}`
  const child = spawn(program, ['laptop', '--as', name, 'su', '-', 'dev', '-c', command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  let over = false
  for (const output of [child.stdout, child.stderr])
    output.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  const exit = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      over = true
      resolve(code)
    })
  })
  const saysSoon = async (pattern: RegExp, deadlineMs = 60_000) => {
    const match = await until(
      `kt ${args.join(' ')} says ${pattern}`,
      () => pattern.exec(said) ?? (over ? 'over' : undefined),
      deadlineMs,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; it said: ${said}`)
    })
    if (match === 'over') throw new Error(`kt ${args.join(' ')} ended without saying ${pattern}: ${said}`)
    return match
  }
  const pid = Number((await saysSoon(/^pid (\d+)$/m))[1])
  return {
    pid,
    said: () => said,
    saysSoon,
    signal: (signal) => {
      if (over) return
      try {
        process.kill(pid, signal)
      } catch (error) {
        // It has just ended, and its output is still being read.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    },
    exit,
  }
}
