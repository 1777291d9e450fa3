// Tells that a process does not answer any more: it was stopped, or hangs. Counted in ticks of whoever asks and not in
// time, since that one may have been stopped itself, or the machine asleep.
import { type Clock, every } from '../base/clock.ts'

export interface Patience {
  /** How often it is asked, in ms. */
  everyMs: number
  /** So many times in a row without a word mean that it hangs. */
  misses: number
  /** As many while it has not said anything yet: it has to be loaded, on a machine that may be busy. */
  missesAtFirst: number
}

/**
 * Somebody who looks at a lease gives up its holder after 12 s without renewal. A hold of 5 s between two, this and a new
 * worker fit in.
 */
export const PATIENCE: Patience = { everyMs: 1_000, misses: 4, missesAtFirst: 30 }

export class Liveness {
  readonly #patience: Patience
  readonly #ask: () => void
  readonly #hangs: () => void
  readonly #clock: Clock
  /** Undefined while nobody waits. */
  #end: (() => void) | undefined
  #hasSpoken = false
  #missed = 0

  /** `ask` has it say something soon; `hangs` is called once, and nothing is asked from then on. */
  constructor(patience: Patience, ask: () => void, hangs: () => void, clock: Clock) {
    this.#patience = patience
    this.#ask = ask
    this.#hangs = hangs
    this.#clock = clock
  }

  /** Somebody waits for it. */
  watch(): void {
    if (this.#end) return
    this.#missed = 0
    this.#ask()
    this.#end = every(this.#patience.everyMs, this.#clock, () => this.#tick(), 'alone')
  }

  /** Nobody waits for it. */
  rest(): void {
    this.#end?.()
    this.#end = undefined
  }

  /** It has said something. */
  heard(): void {
    this.#hasSpoken = true
    this.#missed = 0
  }

  #tick(): void {
    const { misses, missesAtFirst } = this.#patience
    if (++this.#missed >= (this.#hasSpoken ? misses : missesAtFirst)) {
      this.rest()
      this.#hangs()
    } else this.#ask()
  }
}
