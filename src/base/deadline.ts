// One deadline for several promises. Whoever waits for one gives up when the deadline has passed.
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

  /** Settles as `promise` does. Rejects with an error that says `late` if the deadline passes first. */
  wait<T>(promise: Promise<T>, late: string): Promise<T> {
    promise.catch(() => {}) // nobody may be there any more to hear of it
    return Promise.race([
      promise,
      this.#passed.then(() => {
        throw new Error(late)
      }),
    ])
  }

  /** Ends the deadline and its timer. To be called when nothing is waited for any more. */
  end(): void {
    this.#cancel()
  }
}
