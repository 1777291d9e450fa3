// The curves' points: what each second brought, from counters that only grow.
import type { Status } from '../control/protocol.ts'
import type { Sample } from '../control/views.ts'

/** Ten minutes, a point a second. */
const MOST = 600

/** Between two looks; a machine that slept has a hole in its curves. */
const LONGEST_MS = 5_000

export class Samples {
  #kept: Sample[] = []
  #before: { at: number; in: number; out: number } | undefined

  /** To be called each second. `now`: ms since 1970. */
  add({ bytes, state, roundTripMs }: Pick<Status, 'bytes' | 'state' | 'roundTripMs'>, now: number): void {
    const before = this.#before
    this.#before = { at: now, in: bytes.in, out: bytes.out }
    if (!before || now <= before.at) return
    const seconds = (now - before.at) / 1000
    const slept = now - before.at > LONGEST_MS
    this.#kept.push({
      at: now,
      in: slept ? null : Math.max(0, bytes.in - before.in) / seconds,
      out: slept ? null : Math.max(0, bytes.out - before.out) / seconds,
      roundTripMs: state === 'connected' && !slept ? roundTripMs : null,
    })
    if (this.#kept.length > MOST) this.#kept = this.#kept.slice(-MOST)
  }

  /** Those after `since`. */
  after(since: number): Sample[] {
    return this.#kept.filter(({ at }) => at > since)
  }
}
