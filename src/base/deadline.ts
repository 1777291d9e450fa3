// One deadline for several things that are waited for. What is not done by then is left behind.
import type { Clock } from './clock.ts'

export class Deadline {
  readonly #passed: Promise<void>
  readonly #clock: Clock
  readonly #at: number
  readonly #cancel: () => void

  /** Begins now. */
  constructor(ms: number, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#passed = promise
    this.#clock = clock
    this.#at = clock.now() + ms
    this.#cancel = clock.after(ms, resolve)
  }

  /** Milliseconds left; 0 when it has passed. */
  get left(): number {
    return Math.max(0, this.#at - this.#clock.now())
  }

  /** As `promise`; rejects with an error that says `late` when the deadline passes first. */
  wait<T>(promise: Promise<T>, late: string): Promise<T> {
    promise.catch(() => {}) // nobody may be there any more to hear of it
    return Promise.race([
      promise,
      this.#passed.then(() => {
        throw new Error(late)
      }),
    ])
  }

  /** Nothing is waited for any more: its timer is given back. */
  end(): void {
    this.#cancel()
  }
}
