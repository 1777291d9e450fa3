// Notices that the machine has slept (was suspended): the time of day goes on meanwhile, and the clock does not.
import type { Clock } from '../../base/clock.ts'

/** They are further apart than this only after a sleep. */
const SLEPT_MS = 3_000

export class SleepDetector {
  readonly #clock: Clock
  readonly #wall: () => number
  #apart: number

  /** `wall`: the time of day in ms. */
  constructor(clock: Clock, wall: () => number) {
    this.#clock = clock
    this.#wall = wall
    this.#apart = wall() - clock.now()
  }

  /** How long the machine has slept since this was asked last, ms; undefined if it has not. */
  take(): number | undefined {
    const apart = this.#wall() - this.#clock.now()
    const slept = apart - this.#apart
    this.#apart = apart
    return slept > SLEPT_MS ? slept : undefined
  }
}
