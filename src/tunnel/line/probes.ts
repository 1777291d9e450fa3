// Questions to the other end of a path whether it is there, and what their answers say of the round trip.
import { LineFrame, lineFrame } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** Round trips whose least counts: the others have waited in queues. */
const TRIPS_KEPT = 4

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

  /** The path is another one: no answer will come. */
  forget(): void {
    this.#open = undefined
  }
}
