// The client's second path: opened beside the one that carries the line, and opened again when it is lost. The line needs it
// for nothing but speed, so whatever goes wrong here is told and tried again later.
import type { Clock } from '../../base/clock.ts'

/** The pause after a failure, which doubles with each up to the most. */
const FIRST_PAUSE_MS = 1_000
const MOST_PAUSE_MS = 60_000
/** A path that lived for so long was a success. */
const LASTED_MS = 10_000

export interface SecondPathOptions {
  clock: Clock
  /** Makes a second path carry the line. */
  attempt(signal: AbortSignal): Promise<void>
  /** How long an attempt may take. */
  timeoutMs(): number
  /** `trouble` is another one. */
  changed(): void
  log(message: string): void
}

export class SecondPath {
  readonly #options: SecondPathOptions
  #wanted = false
  #trouble: string | undefined
  #attempt: AbortController | undefined
  #pauseMs = FIRST_PAUSE_MS
  #notBefore = 0
  #joinedAt = 0

  constructor(options: SecondPathOptions) {
    this.#options = options
  }

  /** From now on there is to be one. */
  want(): void {
    this.#wanted = true
  }

  /** Why there is none, if that is known. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** There will be none. */
  impossible(why: string): void {
    this.#tell(why)
    this.#options.log(`the line has one path: ${why}`)
  }

  /** The line is open and has one path: begins to open another one if it is time. */
  look(): void {
    const { clock, attempt, timeoutMs } = this.#options
    if (!this.#wanted || this.#attempt || clock.now() < this.#notBefore) return
    const controller = new AbortController()
    this.#attempt = controller
    const cancel = clock.after(timeoutMs(), () => controller.abort(new Error('no answer in time')))
    attempt(controller.signal)
      .then(() => this.#joined())
      .catch((error: Error) => {
        // Whoever stopped it knows why.
        if (this.#attempt === controller) this.#failed(controller.signal.reason?.message ?? error.message)
      })
      .finally(() => {
        cancel()
        if (this.#attempt === controller) this.#attempt = undefined
      })
  }

  /** One of two paths is gone. */
  lost(why: string): void {
    if (this.#options.clock.now() - this.#joinedAt > LASTED_MS) this.#pauseMs = FIRST_PAUSE_MS
    this.#failed(why)
  }

  /** The line has moved to another path, or looks for one: what was begun is given up, and begun again soon. */
  stop(): void {
    const attempt = this.#attempt
    this.#attempt = undefined
    attempt?.abort()
    this.#notBefore = 0
  }

  #joined(): void {
    this.#joinedAt = this.#options.clock.now()
    this.#options.log('the line goes over two paths')
    this.#tell(undefined)
  }

  #failed(why: string): void {
    this.#notBefore = this.#options.clock.now() + this.#pauseMs
    this.#options.log(`a second path: ${why}; another attempt in ${this.#pauseMs / 1000} s`)
    this.#pauseMs = Math.min(MOST_PAUSE_MS, 2 * this.#pauseMs)
    this.#tell(why)
  }

  #tell(trouble: string | undefined): void {
    this.#trouble = trouble
    this.#options.changed()
  }
}
