// Runs a program in a shell's namespace and stays with it: the holder has the connection, the launcher (native/shell.c) the
// program, and this process waits for both. The program keeps the terminal, so what is typed there is not for this process.
import type { ChildProcess } from 'node:child_process'
import { REPAIR } from '../base/installation.ts'
import type { HolderCommand, HolderLine, ShellConfig } from '../control/holder.ts'
import type { ProgramPlace } from '../control/place.ts'
import type { Progress } from '../control/protocol.ts'
import type { Caller } from './caller.ts'
import { connectedHere } from './connected.ts'
import { callersEnvironment } from './environment.ts'
import { type Holder, startHolder } from './holder.ts'
import { bold, CliError, printProgress } from './output.ts'
import { placeWords, programEnvironment } from './program.ts'
import { runWithProxy } from './proxied.ts'
import { asTyped } from './self.ts'
import { startLauncher } from './shell-program.ts'

/** A shell that starts sooner shows no steps. */
const SHOW_STEPS_MS = 2_500
/** A holder that is told to end gives itself less. */
const END_MS = 12_000

/** Reach the program from the terminal, as they reach this process. */
const TERMINAL_SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const
/** Are for the program, whoever sends them here. */
const HANDED_ON = ['SIGTERM', 'SIGHUP', 'SIGUSR2'] as const

/** Resolves when the program has ended and nothing is left; the exit code is the program's. Rejects with CliError. */
export async function runShell(config: ShellConfig, caller: Caller, words: { interactive: boolean }): Promise<void> {
  const holder = startHolder({ ...config, connected: await connectedHere(caller) }, caller, 2)
  const run = new Run(config, caller, holder, words.interactive)
  for (const signal of [...TERMINAL_SIGNALS, ...HANDED_ON]) process.on(signal, run.onSignal)
  try {
    await run.ended
  } finally {
    for (const signal of [...TERMINAL_SIGNALS, ...HANDED_ON]) process.off(signal, run.onSignal)
    holder.letGo()
  }
  run.steps.end()
  // A proxy gives a program the network, but no files.
  if (run.withoutNamespace && !config.place) {
    tellOfProxy(run.withoutNamespace, config)
    await runWithProxy(config, caller)
  } else run.finish()
}

function tellOfProxy({ message, hint }: CliError, { ports }: ShellConfig): void {
  const how = 'the program gets a proxy instead, which only programs that heed HTTP_PROXY or ALL_PROXY use'
  printProgress({ step: 'shell', state: 'note', detail: `${message}; ${how}`, ms: 0 })
  printProgress({ step: 'shell', state: 'note', detail: hint, ms: 0 })
  const moved = ports.filter(({ local, inside }) => local !== inside)
  for (const { inside } of moved)
    printProgress({
      step: 'ports',
      state: 'note',
      detail: `port ${inside} is this machine's own, under its own number`,
      ms: 0,
    })
}

class Run {
  readonly ended: Promise<unknown>
  /** Why there can be no namespace here; undefined if that is not what went wrong. */
  withoutNamespace: CliError | undefined
  readonly #config: ShellConfig
  readonly #caller: Caller
  readonly #holder: Holder
  readonly #interactive: boolean
  readonly steps = new Steps()
  readonly #launcherGone = Promise.withResolvers<void>()
  #launcher: ChildProcess | undefined
  #how: { code: number | null; signal: NodeJS.Signals | null } | undefined
  #ready = false
  /** The holder has ended before the program: the launcher has ended that, then. */
  #lost = false
  #interrupted = false
  #failed: CliError | undefined

  constructor(config: ShellConfig, caller: Caller, holder: Holder, interactive: boolean) {
    this.#config = config
    this.#caller = caller
    this.#holder = holder
    this.#interactive = interactive
    holder.onLine((line) => this.#take(line))
    this.ended = holder.ended.then(() => {
      this.#lost = this.#how === undefined
      if (!this.#launcher) this.#launcherGone.resolve()
      return this.#launcherGone.promise
    })
    // The environment comes from the cluster first.
    if (!config.place) this.#launch({ ...process.env })
  }

  readonly onSignal = (signal: NodeJS.Signals): void => {
    if ((HANDED_ON as readonly string[]).includes(signal) && this.#ready) this.#launcher?.kill(signal)
    else if (!this.#ready && signal !== 'SIGTSTP' && signal !== 'SIGTTIN' && signal !== 'SIGTTOU') {
      this.#interrupted = true
      this.#end()
    }
  }

  /** Ends as the program did. Throws CliError where it could not be started, or did not end by itself. */
  finish(): void {
    if (this.#failed) throw this.#failed
    if (!this.#ready && this.#interrupted)
      throw new CliError('interrupted; nothing was left behind', 'the same command starts again')
    if (!this.#ready || !this.#how || this.#lost)
      throw new CliError(
        'the process that holds the connection ended unexpectedly',
        '`kt logs` may say why; `kt clean` removes what it left in the cluster',
      )
    const { code, signal } = this.#how
    if (signal) process.kill(process.pid, signal)
    process.exitCode = code ?? 1
  }

  #take(line: HolderLine): void {
    if (line.type === 'progress') this.steps.take(line)
    else if (line.type === 'placed') this.#launchInPlace(line.place)
    else if (line.type === 'notice') process.stderr.write(`${line.message}\n`)
    else if (line.type === 'failed') {
      this.#failed ??= new CliError(line.message, line.hint)
      if (line.code === 'no-namespace') this.withoutNamespace = this.#failed
    } else if (line.type === 'ready') {
      this.#ready = true
      this.steps.end()
      // Who has named a program wants to see what it says.
      if (this.#interactive || this.#config.ports.length > 0)
        process.stderr.write(
          `${bold(process.stderr, `${line.message}.${this.#interactive ? ' exit ends it.' : ''}`)}\n`,
        )
    }
  }

  #launchInPlace(place: ProgramPlace): void {
    const { env, kept } = programEnvironment(callersEnvironment(process.env, this.#caller), place)
    for (const words of placeWords(place, kept)) process.stderr.write(`${asTyped(words)}\n`)
    this.#launch(env)
  }

  #launch(env: NodeJS.ProcessEnv): void {
    const launcher = startLauncher(this.#holder.child, { ...this.#config, env })
    this.#launcher = launcher
    launcher.once('error', (error) => {
      this.#failed ??= new CliError(`the launcher cannot be started: ${error.message}`, REPAIR)
      this.#end()
      this.#launcherGone.resolve()
    })
    launcher.once('exit', (code, signal) => {
      this.#how = { code, signal }
      this.#end()
      this.#launcherGone.resolve()
    })
  }

  /** Has the holder put everything back. */
  #end(): void {
    const { child } = this.#holder
    const end: HolderCommand = { op: 'end' }
    if (child.stdin.writable) child.stdin.write(`${JSON.stringify(end)}\n`)
    const limit = setTimeout(() => child.kill('SIGKILL'), END_MS)
    limit.unref()
  }
}

/** Steps of connecting are shown where it takes long; notes always. */
class Steps {
  readonly #waiting: Progress[] = []
  #shown = process.env['KT_LOG'] === 'debug'
  readonly #timer = setTimeout(() => this.#show(), SHOW_STEPS_MS)

  take(progress: Progress): void {
    if (this.#shown || progress.state === 'note') printProgress(progress)
    else this.#waiting.push(progress)
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  #show(): void {
    if (process.stderr.isTTY !== true) return
    this.#shown = true
    for (const progress of this.#waiting) printProgress(progress)
  }
}
