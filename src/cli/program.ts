// A program that this command runs in the terminal beside kt: `kt exchange … -- CMD`. It has the terminal's input and outputs as they are,
// and the signals that are meant for it; its end is the end of the command.
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { constants as system } from 'node:os'
import { delimiter, resolve } from 'node:path'
import { isatty } from 'node:tty'
import type { ProgramPlace } from '../control/place.ts'
import type { Caller } from './caller.ts'
import { callersEnvironment } from './environment.ts'
import { CliError, EXIT } from './output.ts'
import { missingWords } from './place-words.ts'

/** Where a program finds the container's files: `$KT_ROOT/etc/app.yaml`. */
export const ROOT_VARIABLE = 'KT_ROOT'

/** A program that was told to end has so long. */
const END_MS = 10_000
/** Whoever presses Ctrl-C so often within so long wants it to end, whatever it makes of it. */
const PRESSES = 3
const PRESSES_MS = 2_000

// What says where things are on this machine, and who its user is: with a container's values no program would be found.
const STAYS =
  /^(PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|TMPDIR|TEMP|TMP|TERM|COLORTERM|DISPLAY|WAYLAND_DISPLAY|HOSTNAME|KUBECONFIG|SSH_AUTH_SOCK|DBUS_SESSION_BUS_ADDRESS|XDG_.*|LD_.*|KT_.*)$/

export interface ProgramEnvironment {
  env: Record<string, string>
  /** Names that keep this machine's value although the container has another. */
  kept: string[]
}

/** The environment of a program in a container's place, on top of the caller's own. Pure. */
export function programEnvironment(own: Record<string, string>, place: ProgramPlace | undefined): ProgramEnvironment {
  const env = { ...own }
  const kept: string[] = []
  for (const { name, value } of place?.variables ?? []) {
    // execve(2) takes no name with `=` and no NUL.
    if (/[=\0]/.test(name) || value.includes('\0')) continue
    if (STAYS.test(name)) {
      if (own[name] !== value) kept.push(name)
    } else env[name] = value
  }
  if (place?.root) env[ROOT_VARIABLE] = place.root
  return { env, kept }
}

/** What is run beside a holder. */
export interface Program {
  readonly name: string
  /** Sockets of the holder's that it needs, beside those of every holder. */
  readonly sockets: number
  /** The code with which it ends when the holder has gone; it may also end so by itself. */
  readonly lostCode?: number
  /** It has been started and has not ended. */
  readonly runs: boolean
  /**
   * Called once, when `place` is known: what can be done before the requests come. Resolves when it has ended, to its exit code or
   * 128 and the number of the signal that ended it; undefined where nothing was begun.
   */
  prepare(holder: ChildProcess, place: ProgramPlace | undefined): Promise<number> | undefined
  /** Resolves to its exit code, or 128 and the number of the signal that ended it. `say` gets lines for a person. */
  start(place: ProgramPlace | undefined, say: (line: string) => void): Promise<number>
  /** A signal that came to this process. `now` in ms. */
  signal(name: NodeJS.Signals, now: number): void
  /** Ends it, in the end by force. */
  end(): void
}

/** Counts how often Ctrl-C is pressed. */
export class Presses {
  #at: number[] = []

  /** True when whoever presses wants the program to end, whatever it makes of it. `now` in ms. */
  isTooMany(now: number): boolean {
    this.#at = [...this.#at, now].filter((at) => now - at < PRESSES_MS)
    return this.#at.length >= PRESSES
  }
}

/** One that runs on this machine as it is. */
export class PlainProgram implements Program {
  readonly sockets = 0
  readonly #presses = new Presses()
  readonly #words: [string, ...string[]]
  readonly #caller: Caller
  #child: ChildProcess | undefined
  #killing: NodeJS.Timeout | undefined

  /** Throws CliError where there is no such program. */
  constructor(words: [string, ...string[]], caller: Caller) {
    requireProgram(words[0])
    this.#words = words
    this.#caller = caller
  }

  get name(): string {
    return this.#words[0]
  }

  get runs(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  prepare(): undefined {}

  start(place: ProgramPlace | undefined, say: (line: string) => void): Promise<number> {
    const { sudo, uid, gid } = this.#caller
    const own = callersEnvironment(process.env, this.#caller)
    const { env, kept } = programEnvironment(own, place)
    if (place) for (const line of placeWords(place, kept)) say(line)
    const [program, ...args] = this.#words
    const { promise, resolve } = Promise.withResolvers<number>()
    // In the terminal's foreground, as the shell would have started it.
    const child = spawn(program, args, { stdio: 'inherit', env, ...(sudo && { uid, gid }) })
    this.#child = child
    child.once('error', (error) => {
      if (child.pid !== undefined) return
      say(`${program} cannot be run: ${error.message}`)
      resolve(127)
    })
    child.once('exit', (code, signal) => {
      clearTimeout(this.#killing)
      resolve(signal ? 128 + system.signals[signal] : (code ?? 1))
    })
    return promise
  }

  signal(name: NodeJS.Signals, now: number): void {
    // Ctrl-C has reached the program too: the terminal gives it to all of its foreground.
    if (name === 'SIGINT' && [0, 1, 2].some((fd) => isatty(fd))) {
      if (this.#presses.isTooMany(now)) this.end()
    } else this.#child?.kill(name)
  }

  end(): void {
    if (!this.runs) return
    this.#child!.kill('SIGTERM')
    this.#killing ??= setTimeout(() => this.#child!.kill('SIGKILL'), END_MS)
  }
}

/** What a program in a container's place has, in lines for a person. Pure. */
export function placeWords(
  { container, containers, missing, root, variables }: ProgramPlace,
  kept: string[],
): string[] {
  const of = containers.length > 1 ? ` (of ${containers.join(', ')})` : ''
  const has = [
    ...(variables.length > 0 ? [`the environment of container ${container}${of}`] : []),
    ...(root ? [`its files below $${ROOT_VARIABLE}, ${root}`] : []),
  ]
  return [
    ...(has.length > 0 ? [`your program has ${has.join(' and ')}`] : []),
    ...(kept.length > 0 ? [`as on this machine, not as in the container: ${kept.join(', ')}`] : []),
    ...missingWords(missing),
  ]
}

/** Throws CliError. */
export function requireProgram(name: string): void {
  if (isThere(name)) return
  throw new CliError(`there is no program ${JSON.stringify(name)} to run`, 'check the words after --', EXIT.usage)
}

function isThere(program: string): boolean {
  const paths = program.includes('/')
    ? [resolve(program)]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => resolve(folder || '.', program))
  return paths.some((path) => {
    try {
      accessSync(path, constants.X_OK)
      return statSync(path).isFile()
    } catch {
      return false
    }
  })
}
