// How long a gateway before the API server lets a connection live. Some end each at a fixed age, whatever goes over it; that
// shows when two connections, one after the other, end at the same age. A line then moves to another path in good time.
import type { Fate } from './path.ts'

/** Ends whose ages are compared. */
const AGES_KEPT = 8
/** Ages that differ by less are the same: 1 %, or this. */
const SAME_MS = 300
const SAME_SHARE = 0.01
/** Connections that end sooner have other troubles. */
const LEAST_MS = 1_500
/** A line moves so long before the end: 2 % of the lifetime within these limits, a quarter of it at most. */
const LEAD_SHARE = 0.02
const LEAD_MS = [1_000, 30_000] as const

/** A connection that outlives its lifetime by so many times the tolerance disproves it. */
const DISPROVING_TIMES = 2

const tolerance = (age: number) => Math.max(SAME_MS, SAME_SHARE * age)
const isSame = (a: number, b: number) => Math.abs(a - b) <= tolerance(Math.max(a, b))

export class Lifetimes {
  #ends: { age: number; at: number }[] = []
  #known: number | undefined

  /** `known`: what was found earlier, ms. */
  constructor(known?: number) {
    this.#known = known
  }

  /** Milliseconds; undefined while no lifetime is known. */
  get known(): number | undefined {
    return this.#known
  }

  /** The other side has ended a connection of this age, at `now`. */
  ended(age: number, now: number): void {
    this.lived(age)
    if (age < LEAST_MS) return
    // Of connections that were open together, both may have been ended by the same event.
    const same = this.#ends.find((one) => isSame(one.age, age) && one.at <= now - age + SAME_MS)
    if (same && (this.#known === undefined || !isSame(age, this.#known))) this.#known = Math.min(same.age, age)
    this.#ends.push({ age, at: now })
    if (this.#ends.length > AGES_KEPT) this.#ends.shift()
  }

  /** A connection has reached this age, which disproves a shorter lifetime. */
  lived(age: number): void {
    if (this.#known === undefined || age <= this.#known || isSame(age, this.#known)) return
    this.#known = undefined
    this.#ends = []
  }

  /** Of a connection of this age. */
  fate(age: number): Fate | undefined {
    const known = this.#known
    if (known === undefined) return undefined
    const lead = Math.min(known / 4, Math.max(LEAD_MS[0], Math.min(LEAD_MS[1], LEAD_SHARE * known)))
    const disproved = known + DISPROVING_TIMES * tolerance(known)
    return { moveInMs: known - lead - age, endInMs: known - age, disprovedInMs: disproved - age }
  }
}
