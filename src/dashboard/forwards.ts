// What the page begins: it runs the command line as a person would, with the same rights. An exchange or mesh goes on in
// the background; a forward is a child of the dashboard's and ends with it.
import { type ChildProcess, spawn } from 'node:child_process'
import { ControlFailure } from '../control/client.ts'
import type { Forwarded, Start } from './model.ts'

export interface KtCommand {
  program: string
  /** `--context x` and the like, as `kt dashboard` was given them. */
  flags: string[]
}

/** A shadow takes seconds; an image that is pulled for the first time more. */
const START_MS = 120_000
/** What is kept of what a command says. */
const MOST_SAID = 16 * 1024
const END_MS = 5_000

interface Running {
  start: Start
  child: ChildProcess
  trouble: string
}

export class Forwards {
  readonly #kt: KtCommand
  readonly #running = new Set<Running>()

  constructor(kt: KtCommand) {
    this.#kt = kt
  }

  /** Which cluster the commands go to, when the engine has `context`. */
  selection(context: string): { kubeconfig?: string; context: string } {
    const { flags } = this.#kt
    const given = (flag: string) => (flags.includes(flag) ? flags[flags.indexOf(flag) + 1] : undefined)
    return { kubeconfig: given('--kubeconfig'), context: given('--context') ?? context }
  }

  list(): Forwarded[] {
    return [...this.#running].map(({ start: { target, namespace, local, remote }, trouble }) => ({
      ...{ target, namespace, local, remote, trouble },
    }))
  }

  /** Resolves to what it says when it works. Rejects with ControlFailure. `context`: of the engine. */
  async start(start: Start, context: string | undefined): Promise<{ message: string }> {
    return start.kind === 'forward' ? this.#forward(start, context) : this.#hold(start, context)
  }

  /** Rejects with ControlFailure where there is none. */
  async stop(local: number): Promise<Record<string, never>> {
    const running = [...this.#running].find(({ start }) => start.local === local)
    if (!running)
      throw new ControlFailure({
        code: 'not-forwarded',
        message: `this page has begun no forward of port ${local}`,
        hint: 'one that a terminal holds ends there with Ctrl-C',
      })
    const exited = new Promise<void>((resolve) => running.child.once('exit', () => resolve()))
    running.child.kill('SIGINT')
    const timer = setTimeout(() => running.child.kill('SIGKILL'), END_MS)
    await exited
    clearTimeout(timer)
    return {}
  }

  close(): void {
    for (const { child } of this.#running) child.kill('SIGINT')
  }

  async #hold({ kind, target, namespace, local, remote }: Start, context: string | undefined) {
    const words = [kind, `service/${target}`, '--expose', `${local}:${remote}`, '--background', '-n', namespace]
    const { child, said } = this.#spawn(words, context)
    const timer = setTimeout(() => child.kill('SIGINT'), START_MS)
    const code = await ended(child)
    clearTimeout(timer)
    if (code !== 0) throw failure(said())
    return { message: lastLine(said()) }
  }

  async #forward(start: Start, context: string | undefined) {
    const { target, namespace, local, remote } = start
    const words = ['forward', `service/${target}`, `${local}:${remote}`, '-n', namespace]
    const { child, said } = this.#spawn(words, context)
    const running: Running = { start, child, trouble: '' }
    const works = new Promise<string>((resolve) => {
      child.stderr!.on('data', () => {
        const line = said()
          .split('\n')
          .find((one) => one.includes(' leads to '))
        if (line !== undefined) resolve(line)
        // Later lines tell of a tunnel that is away or back.
        running.trouble = /is away|no pod|refuses/.test(lastLine(said())) ? lastLine(said()) : ''
      })
    })
    const over = ended(child).then(() => {
      this.#running.delete(running)
      throw failure(said())
    })
    over.catch(() => {})
    const timer = setTimeout(() => child.kill('SIGINT'), START_MS)
    try {
      const message = await Promise.race([works, over])
      this.#running.add(running)
      return { message }
    } finally {
      clearTimeout(timer)
    }
  }

  #spawn(words: string[], context: string | undefined): { child: ChildProcess; said: () => string } {
    const { program, flags } = this.#kt
    const chosen = context && !flags.includes('--context') ? ['--context', context] : []
    const child = spawn(program, [...words, ...flags, ...chosen], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    })
    let text = ''
    child.stderr!.setEncoding('utf8').on('error', () => {})
    child.stderr!.on('data', (chunk: string) => {
      text = (text + chunk).slice(-MOST_SAID)
    })
    return { child, said: () => text }
  }
}

/** Its exit code; null where a signal ended it, or it could not be started. Never rejects. */
function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(null))
    child.once('close', (code) => resolve(code))
  })
}

function lastLine(said: string): string {
  return said.trim().split('\n').at(-1)?.trim() ?? ''
}

/** The two lines in which the command line tells an error. */
function failure(said: string): ControlFailure {
  const [, message, hint] = /^error: (.*)\n(?: {7}(.*))?/m.exec(said) ?? []
  return new ControlFailure({
    code: 'start',
    message: message ?? (lastLine(said) || 'the command ended without a word'),
    hint: hint ?? '`kt logs` may say why',
  })
}
