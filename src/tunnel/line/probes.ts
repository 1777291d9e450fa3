// Questions to the other end of a path whether it is there, and what their answers say of the round trip.
import { LineFrame, lineFrame } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** Round trips whose least counts: the others have waited in queues. */
const TRIPS_KEPT = 4
/** A path is suspected when it does not answer for this long, or for four round trips. */
export const SUSPECT_MS = 1_000
const SUSPECT_TRIPS = 4
/** While it brings something the answer may stand in a queue: behind a megabyte on a line of 1 Mbit/s. */
const SUSPECT_QUEUED_MS = 10_000

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

  /** Is this the answer that is waited for? `measures`: the path was not stalled, so it says something of the round trip. */
  takeAnswer(body: Buffer, now: number, measures: boolean): boolean {
    const open = this.#open
    if (!open || body.length < 4 || body.readUInt32BE(0) !== open.id) return false
    this.#open = undefined
    if (measures) this.measured(now - open.at)
    return true
  }

  /** An answer took `tripMs`. */
  measured(tripMs: number): void {
    this.#trips.push(tripMs)
    if (this.#trips.length > TRIPS_KEPT) this.#trips.shift()
  }

  /**
   * Why the path is to be suspected at `now`, if it is. `waitingSince`: since when bytes wait to be acknowledged. `heardAt`:
   * when the path has brought something.
   */
  doubt(now: number, waitingSince: number | undefined, heardAt: number): string | undefined {
    const silent = Math.max(SUSPECT_MS, SUSPECT_TRIPS * (this.roundTripMs ?? 0))
    const limit = now - heardAt > silent ? silent : Math.max(SUSPECT_QUEUED_MS, silent)
    const seconds = (since: number) => `${((now - since) / 1000).toFixed(1)} s`
    if (waitingSince !== undefined && now - waitingSince > limit)
      return `the cluster has acknowledged nothing for ${seconds(waitingSince)}`
    if (this.#open && now - this.#open.at > limit) return `the cluster has not answered for ${seconds(this.#open.at)}`
    return undefined
  }
}

/** The other end's side of it. */
export class ProbeAnswers {
  readonly #path: LinePath
  #leaving = false
  #newest: Buffer | undefined

  constructor(path: LinePath) {
    this.#path = path
  }

  /** Answers a PROBE with this body. Nobody waits for the answer to an older one, so one that has to wait takes its place. */
  answer(body: Buffer): void {
    if (this.#leaving) {
      this.#newest = body
      return
    }
    this.#leaving = true
    this.#path.send(lineFrame(LineFrame.probed, body), () => {
      this.#leaving = false
      const newest = this.#newest
      this.#newest = undefined
      if (newest) this.answer(newest)
    })
  }
}
