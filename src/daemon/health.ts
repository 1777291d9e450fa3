// Whether what status says is true: what is wrong now, and the looking.
import type { StatusFault } from '../control/protocol.ts'
import type { Fault } from '../host/fault.ts'
import { FaultBook } from './fault-book.ts'

/** While something is wrong, its end is to be seen soon. */
const AGAIN_MS = 5_000

export interface HealthDeps {
  /** Looks, and says what is wrong by what it looked at. */
  look(): Promise<void>
  clock: { now(): number; after(ms: number, call: () => void): () => void }
  /** ISO 8601. */
  date(): string
  log(line: string): void
}

export class Health {
  readonly #deps: HealthDeps
  readonly #book: FaultBook
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #cancel: (() => void) | undefined
  #closed = false

  constructor(deps: HealthDeps) {
    this.#deps = deps
    this.#book = new FaultBook(deps.date, deps.log)
  }

  /** What `source` finds wrong now, in place of what it found before. */
  set(source: string, faults: readonly Fault[]): void {
    this.#book.set(source, faults)
  }

  get faults(): StatusFault[] {
    return this.#book.faults
  }

  /**
   * Looks now. A look that runs already began before what the caller wants to know of, so another one follows it. Never
   * rejects.
   */
  look(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    if (!this.#running) return this.#start()
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.#start()
    })
    return this.#next
  }

  async #start(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    this.#running = this.#deps.look().catch((error: Error) => this.#deps.log(`look: ${error.message}`))
    await this.#running
    this.#running = undefined
    if (this.faults.length > 0 && !this.#closed) this.#cancel = this.#deps.clock.after(AGAIN_MS, () => void this.look())
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }
}
