// One deadline over several things that are waited for: what is not done by then is gone on without.

export class Deadline {
  readonly #passed: Promise<void>
  readonly #timer: NodeJS.Timeout
  readonly #at: number

  /** Begins now. */
  constructor(ms: number) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#passed = promise
    this.#at = performance.now() + ms
    this.#timer = setTimeout(resolve, ms)
    this.#timer.unref()
  }

  /** Milliseconds left; 0 when it has passed. */
  get left(): number {
    return Math.max(0, this.#at - performance.now())
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
}
