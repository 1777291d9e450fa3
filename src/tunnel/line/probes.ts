// Questions to the other end of a path whether it is there, and what their answers say of the round trip.
import { LineFrame, lineFrame } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** Round trips whose least counts: the others have waited in queues. */
const TRIPS_KEPT = 4
/** A path is suspected when it does not answer for this long, or for four round trips. */
export const SUSPECT_MS = 1_000
const SUSPECT_TRIPS = 4

export class Probes {
  #open: { id: number; at: number } | undefined
  #count = 0
  readonly #trips: number[] = []

  /** When the probe was sent that has no answer yet; undefined if there is none. */
  get sentAt(): number | undefined {
    return this.#open?.at
  }

  /** The least of the last few, ms; undefined before the first. */
  get roundTripMs(): number | undefined {
    return this.#trips.length > 0 ? Math.min(...this.#trips) : undefined
  }

  send(path: LinePath, now: number): void {
    this.#count = (this.#count + 1) >>> 0
    this.#open = { id: this.#count, at: now }
    const body = Buffer.alloc(4)
    body.writeUInt32BE(this.#count)
    path.send(lineFrame(LineFrame.probe, body))
  }

  /** Is this the answer that is waited for? `counts`: the path was not stalled, so it says something of the round trip. */
  answered(body: Buffer, now: number, counts: boolean): boolean {
    const open = this.#open
    if (!open || body.length < 4 || body.readUInt32BE(0) !== open.id) return false
    this.#open = undefined
    if (!counts) return true
    this.#trips.push(now - open.at)
    if (this.#trips.length > TRIPS_KEPT) this.#trips.shift()
    return true
  }

  /** Why the path is to be suspected at `now`, if it is. `waitingSince`: since when bytes wait to be acknowledged. */
  doubt(now: number, waitingSince: number | undefined): string | undefined {
    const limit = Math.max(SUSPECT_MS, SUSPECT_TRIPS * (this.roundTripMs ?? 0))
    const seconds = (since: number) => `${((now - since) / 1000).toFixed(1)} s`
    if (waitingSince !== undefined && now - waitingSince > limit)
      return `the cluster has acknowledged nothing for ${seconds(waitingSince)}`
    if (this.#open && now - this.#open.at > limit) return `the cluster has not answered for ${seconds(this.#open.at)}`
    return undefined
  }

  /** The path is another one: no answer will come. */
  forget(): void {
    this.#open = undefined
  }
}
