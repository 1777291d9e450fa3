// Whether the local program is there. One that restarts (`node --watch`) is away for a moment: callers wait for it, and only when
// it stays away do they go elsewhere, then without waiting, until it answers again. Pure: time comes in.

/** How long a program may take to listen again. */
export const PATIENCE_MS = 3_000

export class Presence {
  readonly #patienceMs: number
  #awaySince: number | undefined
  #missedAt = Number.NEGATIVE_INFINITY

  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs
  }

  answered(): void {
    this.#awaySince = undefined
  }

  /** Nothing has listened at some moment since `time`: the program is not the same as then. */
  missedSince(time: number): boolean {
    return this.#missedAt >= time
  }

  /** Nothing listens. True: worth another try. */
  refused(now: number): boolean {
    this.#awaySince ??= now
    this.#missedAt = now
    return now - this.#awaySince < this.#patienceMs
  }
}
