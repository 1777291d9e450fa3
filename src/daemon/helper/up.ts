// One run of the helper: clear up after dead ones, open the TUN, start the engine, do what it asks, undo it all when it
// ends for whatever reason.
import type { Clock } from '../../base/clock.ts'
import { ownFolder } from '../../base/installation.ts'
import type { Effects } from '../../host/effects.ts'
import { HostError } from '../../host/errors.ts'
import { Host } from '../../host/host.ts'
import { Journal, unreadable } from '../../host/journal.ts'
import { perform } from '../../host/linux/execute.ts'
import { ipQuery } from '../../host/linux/ip.ts'
import { type NativeTunDevice, openTun, TunError } from '../../tun/native.ts'
import { lookUpAccount } from './account.ts'
import type { CallerLink } from './caller.ts'
import { type EngineProcess, startEngine } from './engine-process.ts'
import { closedToUser, HelperError, toFailure } from './errors.ts'
import { HelperWatch } from './machine-watch.ts'
import type { HelperOptions } from './options.ts'
import { CallerLine, type HelperEvent, HelperRequest, LONGEST_LINE } from './protocol.ts'

export interface HelperDeps {
  effects: Effects
  clock: Clock
  caller: CallerLink
  /** What follows the Node to start the engine. */
  engineProgram: readonly string[]
  environment: NodeJS.ProcessEnv
  pid: number
  log: (line: string) => void
  /** `stop` is what a signal or the caller's going calls. */
  onStop(stop: (why: string) => void): void
}

/** How long the engine may take to say good-bye to the cluster. */
const FAREWELL_MS = 10_000
// A `kt up` right after `kt down` meets the old helper on its last steps.
const ENDING_TRIES = 40
const ENDING_WAIT_MS = 50

type UpOptions = Extract<HelperOptions, { command: 'up' }>

/** Runs until the engine has ended and all is undone. Resolves to the exit code. */
export async function runUp(options: UpOptions, deps: HelperDeps): Promise<number> {
  const { effects, caller, log } = deps
  let journal: Journal | undefined
  let told = false
  const fail = (error: unknown) => {
    const failure = toFailure(error)
    log(`failed: ${failure.message}`)
    if (!told) caller.tell({ type: 'failed', ...failure })
    told = true
  }
  // Whoever waits knows from here on that no password is asked for any more.
  caller.tell({ type: 'progress', step: 'helper', state: 'running', detail: `process ${deps.pid}`, ms: 0 })
  let end = { orderly: false, why: '' }
  try {
    if (process.getuid!() !== 0)
      throw new HelperError('not-root', 'the helper needs root', 'run `kt up`, which asks sudo for it')
    const account = await lookUpAccount(options.uid, options.gid, options.user, effects)
    journal = await openJournal(options.uid, deps)
    await step(journal, effects, options)
    const { device, ifindex } = await openDevice(effects)
    journal.record({ type: 'delete-link', name: device.name, ifindex })
    const host = new Host(effects, journal, { name: device.name, ifindex }, log)
    const config = await caller.config()
    const engine = startEngine(deps.engineProgram, account, device.fd, deps.environment, (m) => session.onMessage(m))
    device.close() // the engine has it; the interface goes with the engine
    const session = new EngineRequests(engine, host, options.foreground, deps)
    if (engine.pid > 0) journal.startedEngine(engine.pid)
    log(`engine ${engine.pid} started as ${account.name} on ${device.name}`)
    engine.send({ event: 'config', line: config })
    const { how, orderly, lastWords, closed } = await engine.ended
    end = { orderly, why: how }
    log(`the engine is gone: ${how}${lastWords ? `\n${lastWords}` : ''}`)
    await session.finish()
    told = session.lastLine !== undefined
    if (closed !== undefined) throw closedToUser(account.name, closed, ownFolder)
    const why =
      lastWords
        .trim()
        .split('\n')
        .findLast((line) => /\S/.test(line)) ?? how
    if (!told)
      fail(
        new HelperError('engine-ended', `kt's engine ended before it was connected: ${why}`, '`kt logs` may say more'),
      )
    return session.lastLine === 'ready' ? 0 : 1
  } catch (error) {
    fail(error)
    return 1
  } finally {
    if (journal) {
      const { failed } = await journal.undo()
      for (const line of failed) {
        log(`not undone: ${line}`)
        caller.tell({ type: 'progress', step: 'note', state: 'note', detail: `not undone: ${line}`, ms: 0 })
      }
      journal.close()
    }
    // Read in the foreground only; else nobody is there any more.
    caller.tell({ type: 'ended', ...end })
  }
}

/** Undoes what dead helpers left, then begins this one's journal. */
async function openJournal(uid: number, { effects, caller, clock, pid, log }: HelperDeps): Promise<Journal> {
  for (let left = ENDING_TRIES; ; left--) {
    const report = await Journal.replay(effects)
    for (const line of report.undone) log(`left by a dead helper, undone: ${line}`)
    const note = (detail: string) => caller.tell({ type: 'progress', step: 'note', state: 'note', detail, ms: 0 })
    if (report.undone.length > 0) note('what a killed kt had left on this machine was undone')
    for (const line of [...report.notes, ...report.failed]) note(line)
    // One's own stops the start below; somebody else's is for them to know.
    if (left === ENDING_TRIES) for (const one of report.unreadable ?? []) log(unreadable(one).message)
    try {
      return Journal.create(uid, pid, effects)
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'already-running' || left === 0) throw error
      await new Promise<void>((resolve) => void clock.after(ENDING_WAIT_MS, resolve))
    }
  }
}

async function step(journal: Journal, effects: Effects, { uid, gid }: UpOptions): Promise<void> {
  journal.record({ type: 'remove-run-folder', uid })
  await perform({ type: 'make-run-folder', uid, gid }, effects)
}

async function openDevice(effects: Effects): Promise<{ device: NativeTunDevice; ifindex: number }> {
  const device = openOrExplain()
  const link = await ipQuery<{ ifindex: number }[]>(effects, 'link', 'show', 'dev', device.name)
  if (!link?.[0])
    throw new HelperError('tun', `${device.name} was opened and is not there`, 'this is unexpected; please report it')
  return { device, ifindex: link[0].ifindex }
}

function openOrExplain(): NativeTunDevice {
  try {
    return openTun('kt%d')
  } catch (error) {
    if (!(error instanceof TunError)) throw error
    if (['ENOENT', 'ENODEV', 'ENXIO'].includes(error.code))
      throw new HelperError(
        'no-tun',
        'this machine has no /dev/net/tun',
        'load it (modprobe tun); in a container, start it with --device /dev/net/tun --cap-add NET_ADMIN',
      )
    if (['EPERM', 'EACCES'].includes(error.code))
      throw new HelperError(
        'tun-permission',
        `the kernel does not let root open a network device: ${error.message}`,
        'in a container, start it with --cap-add NET_ADMIN --device /dev/net/tun',
      )
    throw new HelperError(
      'tun',
      `no network device could be opened: ${error.message}`,
      'this is unexpected; please report it',
    )
  }
}

/** What passes between helper and engine while it lives. */
class EngineRequests {
  /** The last of `ready` and `failed` that the engine said. */
  lastLine: 'ready' | 'failed' | undefined
  readonly #engine: EngineProcess
  readonly #host: Host
  readonly #foreground: boolean
  readonly #deps: HelperDeps
  #queue: Promise<void> = Promise.resolve()
  #watch: HelperWatch | undefined
  #cancelKill: (() => void) | undefined
  #over = false

  constructor(engine: EngineProcess, host: Host, foreground: boolean, deps: HelperDeps) {
    this.#engine = engine
    this.#host = host
    this.#foreground = foreground
    this.#deps = deps
    deps.onStop((why) => this.#stop(why))
  }

  onMessage(message: unknown): void {
    const line = CallerLine.safeParse(message)
    if (line.success) {
      this.#pass(line.data)
      return
    }
    const request = HelperRequest.safeParse(message)
    if (request.success) {
      // One after the other: an undo that meets an apply half-way would leave the other half.
      this.#queue = this.#queue.then(() => this.#serve(request.data))
      return
    }
    const id = (message as { id?: unknown } | null)?.id
    this.#deps.log(`a request was refused: ${request.error.message.slice(0, 500)}`)
    if (typeof id !== 'number') return
    const what = request.error.issues[0]
    const error = {
      code: 'bad-request',
      message: `the helper does not take this: ${what?.path.join('.') ?? ''} ${what?.message ?? ''}`,
      hint: 'engine and helper are of different versions, or this is a mistake of kt; please report it',
    }
    this.#engine.send({ id, ok: false, error })
  }

  #pass(line: CallerLine): void {
    if (JSON.stringify(line).length > LONGEST_LINE) return
    this.#deps.caller.tell(line)
    if (line.type === 'progress') return
    this.lastLine = line.type
    if (line.type === 'ready' && !this.#foreground) this.#deps.caller.detach()
  }

  async #serve(request: HelperRequest): Promise<void> {
    const { id } = request
    try {
      if (request.op === 'apply') {
        this.#unwatch()
        const applied = await this.#host.apply(request.state)
        if (!this.#over) this.#startWatch()
        this.#engine.send({ id, ok: true, applied })
      } else if (request.op === 'updateDns') {
        const domainsLeftOut = await this.#host.updateDns(request.dns)
        this.#engine.send({ id, ok: true, domainsLeftOut })
      } else if (request.op === 'look') {
        this.#engine.send({ id, ok: true, faults: (await this.#watch?.look()) ?? [] })
      } else {
        this.#unwatch()
        const { failed } = await this.#host.undo()
        if (failed.length > 0)
          throw new HostError('command-failed', `not undone: ${failed.join('; ')}`, '`kt down` tries again')
        this.#engine.send({ id, ok: true })
      }
    } catch (error) {
      this.#engine.send({ id, ok: false, error: toFailure(error) })
    }
  }

  #startWatch(): void {
    const { clock, effects, log } = this.#deps
    const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
      const done = this.#queue.then(task)
      this.#queue = done.then(
        () => {},
        () => {},
      )
      return done
    }
    const send = (event: HelperEvent) => this.#engine.send(event)
    this.#watch = new HelperWatch({ host: this.#host, effects, clock, log, send, inTurn })
  }

  #unwatch(): void {
    this.#watch?.close()
    this.#watch = undefined
  }

  /** Asks the engine to end, and ends it if it does not. */
  #stop(why: string): void {
    if (this.#cancelKill || this.#over) return
    this.#deps.log(`ending: ${why}`)
    this.#engine.send({ event: 'terminate' })
    this.#cancelKill = this.#deps.clock.after(FAREWELL_MS, () => this.#engine.kill())
  }

  /** The engine is gone: wait for what it asked last. */
  async finish(): Promise<void> {
    this.#over = true
    this.#cancelKill?.()
    this.#unwatch()
    await this.#queue
  }
}
