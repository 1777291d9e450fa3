// A program that `kt exchange --shell` and the like run in a shell's namespace. The launcher (native/shell.c) is this process's
// child and runs the program. It stops when the program stops, and ends with the program's exit code.
import { type ChildProcess, spawn } from 'node:child_process'
import { constants as system } from 'node:os'
import { isatty } from 'node:tty'
import { REPAIR, useNative } from '../base/installation.ts'
import type { ProgramPlace } from '../control/place.ts'
import type { Caller } from './caller.ts'
import { callersEnvironment } from './environment.ts'
import { CliError, EXIT } from './output.ts'
import { Presses, type Program, placeWords, programEnvironment, requireProgram } from './program.ts'

/** A program that was told to end has so long. */
const END_MS = 10_000
/** The launcher's, when its lines have ended (native/shell.c). */
const EX_UNAVAILABLE = 69
/** Reach the program from the terminal, as they reach this process. It stops when the launcher says so, and ends with it. */
const TERMINAL_SIGNALS = ['SIGQUIT', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const

export interface LauncherOptions {
  /** Of the shell. */
  name: string
  command: readonly string[]
  env: NodeJS.ProcessEnv
}

/** Starts the launcher with the holder's two sockets, which are its own from then on. */
export function startLauncher(holder: ChildProcess, { name, command, env }: LauncherOptions): ChildProcess {
  const [, , , descriptors, lines] = holder.stdio
  const launcher = useNative('kt-shell', (file) =>
    spawn(file, command, {
      stdio: ['inherit', 'inherit', 'inherit', descriptors, lines],
      env: { ...env, KT_SHELL: name },
    }),
  )
  // What the holder says must not be read here, nor its end be kept from the launcher.
  descriptors?.destroy()
  lines?.destroy()
  return launcher
}

export class ShellProgram implements Program {
  readonly sockets = 2
  readonly lostCode = EX_UNAVAILABLE
  readonly #words: [string, ...string[]]
  readonly #caller: Caller
  readonly #shell: string
  readonly #exit = Promise.withResolvers<number>()
  readonly #presses = new Presses()
  #launcher: ChildProcess | undefined
  #kept: string[] = []
  #began = false
  #over = false
  #killing: NodeJS.Timeout | undefined

  /** `shell`: its name. Throws CliError where there is no such program. */
  constructor(words: [string, ...string[]], caller: Caller, shell: string) {
    if (caller.sudo)
      throw new CliError('--shell needs no root, and would run your program as root', 'leave sudo out', EXIT.usage)
    requireProgram(words[0])
    this.#words = words
    this.#caller = caller
    this.#shell = shell
  }

  get name(): string {
    return this.#words[0]
  }

  get runs(): boolean {
    return this.#began && !this.#over
  }

  prepare(holder: ChildProcess, place: ProgramPlace | undefined): Promise<number> {
    const { env, kept } = programEnvironment(callersEnvironment(process.env, this.#caller), place)
    this.#kept = kept
    const launcher = startLauncher(holder, { name: this.#shell, command: this.#words, env })
    this.#launcher = launcher
    for (const signal of TERMINAL_SIGNALS) process.on(signal, stay)
    process.on('SIGUSR2', this.#handOn)
    const over = (code: number) => {
      this.#over = true
      clearTimeout(this.#killing)
      for (const signal of TERMINAL_SIGNALS) process.off(signal, stay)
      process.off('SIGUSR2', this.#handOn)
      this.#exit.resolve(code)
    }
    launcher.once('error', (error) => {
      process.stderr.write(`the launcher cannot be started: ${error.message}; ${REPAIR}\n`)
      over(127)
    })
    launcher.once('exit', (code, signal) => over(signal ? 128 + system.signals[signal] : (code ?? 1)))
    return this.#exit.promise
  }

  start(place: ProgramPlace | undefined, say: (line: string) => void): Promise<number> {
    this.#began = true
    if (place) for (const line of placeWords(place, this.#kept)) say(line)
    return this.#exit.promise
  }

  signal(name: NodeJS.Signals, now: number): void {
    // Ctrl-C has reached the program too: the terminal gives it to all of its foreground.
    if (name === 'SIGINT' && [0, 1, 2].some((fd) => isatty(fd))) {
      if (this.#presses.isTooMany(now)) this.end()
    } else this.#launcher?.kill(name)
  }

  end(): void {
    if (this.#over || !this.#launcher) return
    this.#launcher.kill('SIGTERM')
    this.#killing ??= setTimeout(() => this.#launcher!.kill('SIGKILL'), END_MS)
  }

  readonly #handOn = (signal: NodeJS.Signals): void => void this.#launcher?.kill(signal)
}

const stay = (): void => {}
