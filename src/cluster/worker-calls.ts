// Calls to the worker, the child process that speaks to the API server. It is started with the first call, and ended when
// there was nothing to say for a while. A worker that does not answer is ended: its calls fail, and the next call starts
// another.
import type { ChildProcess } from 'node:child_process'
import { type Clock, systemClock } from '../base/clock.ts'
import { ClusterError, type ClusterSelection, callOf, type Method, type Progress, type ShadowHandle } from './calls.ts'
import type { InboundEvent } from './inbound-calls.ts'
import { Liveness, PATIENCE, type Patience } from './liveness.ts'
import type { PluginAnswer, Reply, Request } from './messages.ts'
import type { PluginSetting } from './plugin.ts'
import { startWorker } from './worker-process.ts'

export interface ClusterClientOptions {
  /** The worker ends after this long without a call. */
  idleMs?: number
  /** Environment of the worker (KUBECONFIG, HOME, proxies, PATH of plugins). Default: this process's. */
  env?: NodeJS.ProcessEnv
  /** Command and arguments before `node worker`: to run it in another network. It must pass descriptors on. */
  prefix?: string[]
  /** File with the agent's program. Default: the one that was built with this kt. */
  agentBundle?: string
  /** How long a worker may say nothing while something is asked of it. */
  patience?: Patience
  /** How a person takes part when a credential plugin runs. Default: not at all. */
  plugin?: PluginSetting
  /** Default: this machine's. The worker has its own. */
  clock?: Clock
}

const IDLE_MS = 10_000
// As worker.ts gives itself, and some.
const EXIT_MS = 10_000
/** A worker that hangs may still have ears for a signal, and then undoes what it was making. */
const TERM_MS = 2_000

/** What a call tells while it runs. */
export type Listeners = Pick<Call, 'progress' | 'dialable' | 'event'>

interface Call {
  method: Method
  resolve: (value: unknown) => void
  reject: (error: Error) => void
  progress?: Progress
  dialable?: (shadow: ShadowHandle) => void
  event?: (event: InboundEvent) => void
  /** Resolves when the call is over, either way. */
  settled: Promise<void>
}

export class WorkerCalls {
  readonly #selection: ClusterSelection
  readonly #options: ClusterClientOptions
  readonly #clock: Clock
  readonly #calls = new Map<number, Call>()
  /** What credential plugins answered, for the workers to come. */
  readonly #kept = new Map<string, PluginAnswer>()
  #worker: ChildProcess | undefined
  #liveness: Liveness | undefined
  /** Cancels the end of a worker that has nothing to do. */
  #cancelIdle = () => {}
  #lastId = 0

  constructor(selection: ClusterSelection, options: ClusterClientOptions) {
    this.#selection = selection
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Gives up what is under way and ends the process, after `patienceMs` by force. */
  async close(patienceMs = EXIT_MS): Promise<void> {
    const worker = this.#worker
    if (!worker) return
    // From the beginning: what is to be undone first may be what hangs.
    const cancel = this.#clock.after(patienceMs, () => worker.kill('SIGKILL'))
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    // A shadow in the making says itself when it is undone; the rest has nothing to undo.
    const undone = [...this.#calls].map(async ([id, call]) => {
      if (callOf(call.method).whenLeft !== 'undone') return this.#take(id)?.reject(givenUp())
      this.#send({ type: 'abort', id })
      await call.settled
    })
    await Promise.all(undone)
    this.#letGo()
    await exited
    cancel()
  }

  /** What the call tells while it runs goes to `listeners`. Rejects with ClusterError. */
  call(method: Method, args: unknown[], listeners: Listeners = {}, signal?: AbortSignal): Promise<unknown> {
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    if (signal?.aborted) {
      reject(givenUp())
      return promise
    }
    this.#cancelIdle()
    const settled = promise.then(
      () => {},
      () => {},
    )
    this.#calls.set(id, { method, resolve, reject, settled, ...listeners })
    this.#worker ??= this.#start()
    this.#worker.ref()
    this.#worker.channel?.ref()
    this.#liveness!.watch()
    const abort = () => this.#send({ type: 'abort', id })
    signal?.addEventListener('abort', abort)
    this.#send({ type: 'call', id, method, args, terminal: this.#options.plugin?.terminal() })
    return promise.finally(() => signal?.removeEventListener('abort', abort))
  }

  #start(): ChildProcess {
    const { agentBundle } = this.#options
    const { worker, nodeOptions } = startWorker(this.#options, {
      reply: (reply) => {
        liveness.heard()
        if (reply) this.#receive(reply)
        else end('said what kt does not understand')
      },
      over: (how) => this.#over(worker, `ended (${how})`),
    })
    const end = (why: string) => {
      this.#over(worker, `${why} and was ended`)
      worker.kill('SIGTERM')
      killLater(worker, TERM_MS, this.#clock)
      endWith(worker)
    }
    const liveness = new Liveness(
      this.#options.patience ?? PATIENCE,
      () => this.#send({ type: 'ping' }),
      () => end('did not answer'),
      this.#clock,
    )
    this.#worker = worker
    this.#liveness = liveness
    this.#send({ type: 'open', selection: this.#selection, agentBundle, kept: [...this.#kept], nodeOptions })
    return worker
  }

  /** All calls of a worker that is of no use any more fail; the next call starts another. */
  #over(worker: ChildProcess, how: string): void {
    if (this.#worker !== worker) return // let go of on purpose, or over already
    this.#worker = undefined
    this.#liveness?.rest()
    for (const id of [...this.#calls.keys()]) this.#take(id)?.reject(internal(how))
  }

  #send(request: Request): void {
    // The callback takes the error of a worker that has just died; its `close` event tells the callers.
    this.#worker?.send(request, () => {})
  }

  #receive(reply: Reply): void {
    switch (reply.type) {
      case 'progress':
        this.#calls.get(reply.id)?.progress?.(reply.step, reply.detail)
        break
      case 'dialable':
        this.#calls.get(reply.id)?.dialable?.(reply.shadow)
        break
      case 'event':
        this.#calls.get(reply.id)?.event?.(reply.event)
        break
      case 'said':
        this.#options.plugin?.said(reply.line)
        break
      case 'kept':
        if (reply.answer) this.#kept.set(reply.id, reply.answer)
        else this.#kept.delete(reply.id)
        break
      case 'result': {
        const call = this.#take(reply.id)
        if (!call) break
        if (callOf(call.method).gives.safeParse(reply.value).success) call.resolve(reply.value)
        else call.reject(internal(`gave to ${call.method} what kt does not understand`))
        break
      }
      case 'error':
        this.#take(reply.id)?.reject(new ClusterError(reply.code, reply.message, reply.hint))
    }
  }

  #take(id: number): Call | undefined {
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    if (this.#calls.size === 0 && this.#worker) {
      this.#liveness?.rest()
      this.#worker.unref()
      this.#worker.channel?.unref()
      this.#cancelIdle()
      const worker = this.#worker
      const idle = () => {
        this.#letGo()
        endWith(worker) // it has nothing to do
      }
      this.#cancelIdle = this.#clock.after(this.#options.idleMs ?? IDLE_MS, idle, 'alone')
    }
    return call
  }

  #letGo(): void {
    this.#cancelIdle()
    const worker = this.#worker
    this.#worker = undefined
    this.#liveness?.rest()
    if (worker?.connected) worker.disconnect()
    // It ends by itself, unless it was stopped.
    if (worker) killLater(worker, EXIT_MS, this.#clock)
  }
}

function killLater(worker: ChildProcess, ms: number, clock: Clock): void {
  const cancel = clock.after(ms, () => worker.kill('SIGKILL'), 'alone')
  worker.once('exit', cancel)
}

/** A worker that was stopped would outlive this process, which waits for no timer. */
function endWith(worker: ChildProcess): void {
  const kill = () => worker.kill('SIGKILL')
  process.once('exit', kill)
  worker.once('exit', () => process.off('exit', kill))
}

function internal(what: string): ClusterError {
  const hint = 'try again; if it happens again, please report it'
  return new ClusterError('internal', `the process that speaks to the API server ${what}`, hint)
}

function givenUp(): ClusterError {
  return new ClusterError('gone', 'given up, since kt is ending', 'nothing to do')
}
