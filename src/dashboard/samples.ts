// The curves' points: what a second brought, from counters that only grow.
import type { Status } from '../control/protocol.ts'
import type { Sample } from './model.ts'

/** Ten minutes, a point a second. */
const MOST = 600

export class Samples {
  #kept: Sample[] = []
  #before: { at: number; pid: number; in: number; out: number } | undefined

  /** `now`: ms since 1970. Undefined until there is something to compare with. */
  add(status: Status, now: number): Sample | undefined {
    const before = this.#before
    this.#before = { at: now, pid: status.pid, ...status.bytes }
    // Another engine counts from zero.
    if (!before || before.pid !== status.pid || now <= before.at) return undefined
    const seconds = (now - before.at) / 1000
    return this.#keep({
      at: now,
      in: Math.max(0, status.bytes.in - before.in) / seconds,
      out: Math.max(0, status.bytes.out - before.out) / seconds,
      roundTripMs: status.state === 'connected' ? status.roundTripMs : null,
    })
  }

  /** A hole in the curves: kt is not connected. Undefined if there is one already. */
  gap(now: number): Sample | undefined {
    this.#before = undefined
    const last = this.#kept.at(-1)
    return last && last.in !== null ? this.#keep({ at: now, in: null, out: null, roundTripMs: null }) : undefined
  }

  all(): Sample[] {
    return this.#kept
  }

  #keep(sample: Sample): Sample {
    this.#kept.push(sample)
    if (this.#kept.length > MOST) this.#kept = this.#kept.slice(-MOST)
    return sample
  }
}
