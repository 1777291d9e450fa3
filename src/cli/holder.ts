// Starts a holder and stays with it: shows its steps and what it says, hands Ctrl-C on, and waits until it has put
// everything back. The holder has a session of its own, so that no Ctrl-C reaches it but through here.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { quietPipes } from '../base/children.ts'
import { REPAIR } from '../base/installation.ts'
import type { HoldConfig, HolderCommand, HolderConfig, HolderLine, ShellConfig, TaskConfig } from '../control/holder.ts'
import { LineSplitter } from '../control/lines.ts'
import type { ProgramPlace } from '../control/place.ts'
import type { RequestReport } from '../control/views.ts'
import type { Caller } from './caller.ts'
import { connectedHere } from './connected.ts'
import { callersEnvironment } from './environment.ts'
import { putBackLost } from './lost-holder.ts'
import { bold, CliError, dim, printProgress } from './output.ts'
import type { Program } from './program.ts'
import { programCommand } from './programs.ts'
import { asTyped } from './self.ts'

/** A holder that is told to end gives itself less, and told again much less. */
const END_MS = 60_000
const HURRY_MS = 10_000
/** A program that ends because its holder has gone may be seen to end this much earlier than the holder. */
const LOST_MS = 1_000
/** `kt clean` may have much to put back. */
const TASK_MS = 10 * 60_000

export interface HoldWords {
  /** Said after the holder's own line: how it ends. `target` is the name by which it is held. */
  ending: (target: string | undefined) => string
  /** Called when it holds. */
  ready?: (line: Extract<HolderLine, { type: 'ready' }>) => void
  /** Goes on when this command has ended. */
  background?: boolean
  /** Started when it holds; its end is the end. */
  program?: Program
  /** Called for each request, where the configuration asks for them. */
  onRequest?(request: RequestReport): void
}

/**
 * Resolves when the holder has ended after it was told to, or, in the background, when it holds. Resolves to the exit code of the
 * program that was run meanwhile. Rejects with CliError when it failed.
 */
export async function hold(
  config: Exclude<HoldConfig, ShellConfig>,
  caller: Caller,
  words: HoldWords,
): Promise<number | undefined> {
  const { program } = words
  const holder = startHolder({ ...config, connected: await connectedHere(caller) }, caller, program?.sockets)
  let interrupted = 0
  let ready = false
  let told = false
  let failed: CliError | undefined
  let limit: NodeJS.Timeout | undefined
  let exitCode: Promise<number> | undefined
  let place: ProgramPlace | undefined
  let over = false
  const interrupt = (why = 'ending') => {
    if (interrupted++ === 0)
      process.stderr.write(
        `${dim(process.stderr, config.kind === 'keep-files' ? why : `${why}: putting everything back. Press Ctrl-C again to stop waiting for open connections.`)}\n`,
      )
    else if (interrupted === 2)
      process.stderr.write(`${dim(process.stderr, 'no longer waiting for open connections')}\n`)
    const end: HolderCommand = { op: 'end' }
    holder.child.stdin.write(`${JSON.stringify(end)}\n`)
    clearTimeout(limit)
    limit = setTimeout(hangs, interrupted === 1 ? END_MS : HURRY_MS)
  }
  const hangs = () => {
    const where = config.namespace ? ` -n ${config.namespace}` : ''
    const isService = config.kind === 'exchange' || config.kind === 'mesh'
    const what = isService ? `\`kt recover ${config.target}${where}\`` : `\`kt clean${where}\``
    failed ??= new CliError('the process that holds it did not answer and was killed', `${what} puts back what it left`)
    holder.child.kill('SIGKILL')
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const onSignal = (signal: NodeJS.Signals) => {
    if (program?.runs) program.signal(signal, performance.now())
    else interrupt()
  }
  for (const signal of signals) process.on(signal, onSignal)
  const prepare = (place?: ProgramPlace) => {
    void program?.prepare(holder.child, place)?.then(() => {
      // Once it holds, the program's own end is told.
      if (!ready && !failed && interrupted === 0) interrupt(`${program.name} could not be started`)
    })
  }
  // Where its environment comes from the cluster, that comes first.
  if (!('place' in config && config.place)) prepare()
  const inBackground = Promise.withResolvers<void>()
  holder.onLine((line) => {
    switch (line.type) {
      case 'placed':
        place = line.place
        prepare(place)
        break
      case 'progress':
        printProgress(line)
        break
      case 'notice':
        process.stderr.write(`${asTyped(line.message)}\n`)
        break
      case 'request':
        words.onRequest?.(line.request)
        break
      case 'ended':
        told = true
        program?.end()
        // Who has ended it here knows why.
        if (interrupted === 0 && !failed) process.stderr.write(`${line.message}\n`)
        break
      case 'failed':
        failed ??= new CliError(line.message, line.hint)
        program?.end()
        break
      case 'ready':
        ready = true
        process.stderr.write(`${bold(process.stderr, asTyped(withEnding(line.message, words.ending(line.target))))}\n`)
        words.ready?.(line)
        if (words.background && interrupted === 0) inBackground.resolve()
        if (!program || interrupted > 0) break
        place = line.place
        exitCode = program.start(place, (text) => void process.stderr.write(`${text}\n`))
        void exitCode.then(async (code) => {
          if (code === program.lostCode) await Promise.race([holder.ended, delay(LOST_MS, undefined, { ref: false })])
          if (over || told || failed) return
          interrupt(`${program.name} has ended${code === 0 ? '' : ` (exit code ${code})`}`)
        })
    }
  })
  try {
    await Promise.race([holder.ended, inBackground.promise])
    over = !words.background
    program?.end()
    await exitCode
  } finally {
    clearTimeout(limit)
    for (const signal of signals) process.off(signal, onSignal)
    holder.letGo()
  }
  if (failed) throw failed
  if (!ready && interrupted > 0)
    throw new CliError('interrupted; nothing was left behind', 'the same command starts again')
  if (interrupted === 0 && !words.background && !told) {
    if (ready && 'mode' in config) throw await putBackLost(config, place, (task) => runTask(task, caller))
    throw new CliError('the holder ended unexpectedly', '`kt logs` may say why; `kt clean` removes what it left')
  }
  return await exitCode
}

/** What is said in several lines may end with a command, which is to stand alone. */
export function withEnding(message: string, ending: string): string {
  return `${message}${message.includes('\n') ? '\n' : ' '}${ending}`
}

/** A task of the holder's: resolves to the line with its result. Rejects with CliError. */
export async function runTask(config: TaskConfig, caller: Caller): Promise<HolderLine> {
  const holder = startHolder({ ...config, connected: await connectedHere(caller) }, caller)
  let result: HolderLine | undefined
  holder.onLine((line) => {
    if (line.type === 'progress') printProgress(line)
    else if (line.type === 'notice') process.stderr.write(`${asTyped(line.message)}\n`)
    else result = line
  })
  const limit = setTimeout(() => holder.child.kill('SIGKILL'), TASK_MS)
  await holder.ended.finally(() => clearTimeout(limit))
  if (!result) throw new CliError('the task ended without a result', '`kt logs` may say why')
  if (result.type === 'failed') throw new CliError(result.message, result.hint)
  return result
}

export interface Holder {
  child: ChildProcess & { stdin: Writable; stdout: Readable }
  onLine(callback: (line: HolderLine) => void): void
  /** Its output is closed; rejects where it could not be started. */
  ended: Promise<void>
  /** It goes on alone, and this process need not wait for it. */
  letGo(): void
}

/** `more`: how many further descriptors it gets, sockets whose other ends are in `child.stdio`. */
export function startHolder(config: HolderConfig, caller: Caller, more = 0): Holder {
  const child = spawn(process.execPath, programCommand('holder'), {
    stdio: ['pipe', 'pipe', 'ignore', ...new Array<'pipe'>(more).fill('pipe')],
    detached: true,
    // Under sudo it is still the person's kubeconfig, and nothing here needs root.
    ...(caller.sudo && { uid: caller.uid, gid: caller.gid }),
    env: callersEnvironment(process.env, caller),
  }) as Holder['child']
  quietPipes(child)
  child.stdin.write(`${JSON.stringify(config)}\n`)
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new CliError(`the holder cannot be started: ${error.message}`, REPAIR)))
    child.once('close', () => resolve())
  })
  return {
    child,
    onLine: (callback) => {
      const splitter = new LineSplitter()
      child.stdout.on('data', (chunk: Buffer) => {
        try {
          for (const text of splitter.push(chunk)) callback(JSON.parse(text) as HolderLine)
        } catch {
          // What is no line of a holder's is no holder.
          child.kill('SIGKILL')
        }
      })
    },
    ended,
    letGo: () => {
      child.stdin.destroy()
      child.stdout.destroy()
      child.unref()
    },
  }
}
