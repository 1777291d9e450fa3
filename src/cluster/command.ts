// Runs a command that gets credentials, with limits on its time and its answer, and its words passed on while it runs.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import type { Environment } from './kubeconfig-file.ts'

/** Why there is no answer, in words that follow `the credential plugin X of user Y`. */
export class PluginError extends Error {
  /** What to do, where that is not to log in again. */
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

// It may ask an identity provider across the world; with a terminal, a person may have to look for a telephone.
const TIME_MS = 60_000
const TIME_WITH_TERMINAL_MS = 300_000
// A token of a few kilobytes, a certificate and its key.
const MOST_OUTPUT = 1 << 20
const MOST_LINES = 200
const MOST_IN_LINE = 500
// A line without an end is a question (`Password: `) when nothing follows for this long.
const QUESTION_MS = 200
// What runs on behind it (a daemon that keeps its cache) may hold the output open.
const AFTER_EXIT_MS = 300
const KILL_AFTER_MS = 2_000
/** Its own `installHint` says it better. */
export const NOT_FOUND = 'install it, or check its path in the kubeconfig'

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) signal(child, 'SIGKILL')
})

/** How it runs. */
interface RunOptions {
  /** Its standard input, where a person may be asked. */
  terminal: number | undefined
  /** Takes a line of what it writes to standard error. */
  said: (line: string) => void
  clock: Clock
}

/** What it writes to standard output. Rejects with PluginError. */
export function runCommand(
  command: string,
  args: string[],
  env: Environment,
  { terminal, said, clock }: RunOptions,
): Promise<string> {
  const cwd = env['PWD']
  const child = spawn(command, args, {
    stdio: [terminal ?? 'ignore', 'pipe', 'pipe'],
    env,
    ...(cwd?.startsWith('/') && existsSync(cwd) && { cwd }),
    detached: true, // with a group of its own, so that all it starts can be ended
  })
  running.add(child)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const limit = terminal === undefined ? TIME_MS : TIME_WITH_TERMINAL_MS
  const end = (why: string) => {
    reject(new PluginError(why))
    signal(child, 'SIGTERM')
    clock.after(KILL_AFTER_MS, () => signal(child, 'SIGKILL'), 'alone')
  }
  const cancel = clock.after(limit, () => end(`did not answer within ${limit / 1000} s`))
  let cancelLate: (() => void) | undefined

  let output = Buffer.alloc(0)
  child.stdout!.on('data', (chunk: Buffer) => {
    output = Buffer.concat([output, chunk])
    if (output.length > MOST_OUTPUT) end(`answered with more than ${MOST_OUTPUT >> 20} MB`)
  })
  const errors = new SaidLines(said, clock)
  child.stderr!.setEncoding('utf8').on('data', (text: string) => errors.push(text))
  for (const stream of [child.stdout!, child.stderr!]) stream.on('error', () => {}) // `close` follows

  child.once('error', (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) reject(new PluginError(`cannot be run (${error.code ?? error.message})`, NOT_FOUND))
  })
  const settle = (code: number | null, by: NodeJS.Signals | null) => {
    errors.flush()
    if (code === 0) return resolve(output.toString())
    const how = by ? `it was ended by ${by}` : `exit code ${code}`
    reject(new PluginError(`failed: ${errors.last || how}`))
  }
  child.once('exit', (code, by) => {
    cancelLate = clock.after(AFTER_EXIT_MS, () => settle(code, by))
  })
  child.once('close', settle)
  return promise.finally(() => {
    cancel()
    cancelLate?.()
    running.delete(child)
    child.stdout!.destroy()
    child.stderr!.destroy()
  })
}

/** Lines of a stream, cut to a length that fits a terminal, and not more of them than a person would read. */
class SaidLines {
  last = ''
  readonly #said: (line: string) => void
  readonly #clock: Clock
  #rest = ''
  #left = MOST_LINES
  /** Cancels the wait for the end of a line. */
  #cancel = () => {}

  constructor(said: (line: string) => void, clock: Clock) {
    this.#said = said
    this.#clock = clock
  }

  push(text: string): void {
    this.#cancel()
    const lines = (this.#rest + text).split(/\r\n|\r|\n/)
    this.#rest = lines.pop()!.slice(0, MOST_IN_LINE)
    for (const line of lines) this.#line(line)
    if (this.#rest !== '') this.#cancel = this.#clock.after(QUESTION_MS, () => this.flush())
  }

  flush(): void {
    this.#cancel()
    this.#line(this.#rest)
    this.#rest = ''
  }

  #line(text: string): void {
    const line = withoutColours(text).slice(0, MOST_IN_LINE).trim()
    if (line === '') return
    this.last = line
    if (this.#left-- > 0) this.#said(line)
  }
}

// Colours mean nothing in a log (ECMA-48 5.4); what else steers a terminal is made visible where it is shown.
function withoutColours(text: string): string {
  return text.replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, '')
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name)
  } catch {
    // It has ended.
  }
}
