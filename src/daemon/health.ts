// Whether what status says is true: what is wrong now, by who has found it, and the looking. A fault stays until the one
// who found it says that it is gone.
import type { StatusFault } from '../control/protocol.ts'
import type { Fault } from '../host/findings.ts'

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
  readonly #faults = new Map<string, StatusFault[]>()
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #cancel: (() => void) | undefined
  #closed = false

  constructor(deps: HealthDeps) {
    this.#deps = deps
  }

  /** What `source` finds wrong now, in place of what it found before. */
  set(source: string, faults: readonly Fault[]): void {
    const before = this.#faults.get(source) ?? []
    const since = (fault: Fault) => before.find(({ code }) => code === fault.code)?.since ?? this.#deps.date()
    const now = faults.map(({ code, message, hint }) => ({
      code,
      message,
      hint,
      since: since({ code, message, hint }),
    }))
    this.#faults.set(source, now)
    for (const fault of now)
      if (!before.some(({ code, message }) => code === fault.code && message === fault.message))
        this.#deps.log(`fault: ${fault.message}`)
    for (const { code, message } of before)
      if (!now.some((fault) => fault.code === code)) this.#deps.log(`no longer: ${message}`)
  }

  get faults(): StatusFault[] {
    return [...this.#faults.values()].flat()
  }

  /** Looks now; one that runs already began before whatever the caller wants to know of. Never rejects. */
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
