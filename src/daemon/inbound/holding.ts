// What the holder process needs of whatever it holds, and what it gives it.
import type { Clock } from '../../base/clock.ts'
import type { ClusterClient, ClusterIdentity } from '../../cluster/calls.ts'
import type { Held, Progress } from '../../control/protocol.ts'
import type { Log } from '../log.ts'
import type { RequestLog } from '../requests/request-log.ts'

/** The command at the other end of this process's input. */
export interface HolderInput {
  /** Calls back when the command says `end` (each time), or is gone (once). */
  onEnd(callback: (gone: boolean) => void): void
}

export interface HolderDeps {
  /** `close` of what is held closes it. */
  cluster: ClusterClient
  /** Asked already. */
  identity: Promise<ClusterIdentity>
  log: Log
  progress(p: Progress): void
  /** A line for the terminal. */
  notice(line: string): void
  /** It cannot go on, with why (an error with `code` and `hint`): the holder puts everything back and ends. */
  fail(error: Error): void
}

/** Of exchange, mesh and run. */
export interface InboundDeps extends HolderDeps {
  requests: Pick<RequestLog, 'watch'>
}

export interface Holding {
  /** Resolves to a line for the user when it holds. After a rejection `close` must be called. */
  start(): Promise<string>
  /** Puts everything back; resolves to what could not be. Once. */
  close(): Promise<string[]>
  /** Called while `close` waits for connections: it waits no longer. */
  hurry(): void
  /** For `kt status`; undefined for what it does not list. */
  status(): Held | undefined
}

/** Steps with their times, shown and logged alike. */
export class Steps {
  readonly #deps: HolderDeps
  readonly #clock: Clock

  constructor(deps: HolderDeps, clock: Clock) {
    this.#deps = deps
    this.#clock = clock
  }

  async run<T>(step: string, act: () => Promise<[T, string]>): Promise<T> {
    const began = this.#clock.now()
    const [result, detail] = await act()
    this.done(step, detail, this.#clock.now() - began)
    return result
  }

  done(step: string, detail: string, ms: number): void {
    this.#deps.progress({ step, state: 'done', detail, ms })
    this.#deps.log(`${step}: ${detail} (${ms.toFixed(0)} ms)`)
  }

  note(step: string, detail: string): void {
    this.#deps.progress({ step, state: 'note', detail, ms: 0 })
    this.#deps.log(`${step}: note: ${detail}`)
  }

  /** One that somebody else has taken. */
  tell({ step, state, detail, ms }: Progress): void {
    if (state === 'done') this.done(step, detail, ms)
    else if (state === 'note') this.note(step, detail)
    else this.running(step, detail)
  }

  running(step: string, detail: string): void {
    this.#deps.progress({ step, state: 'running', detail, ms: 0 })
    this.#deps.log.debug(`${step}: ${detail}`)
  }
}
