// What is in flight on one of two paths, and how fast it arrives: docs/understand/line.md, "Two paths at once".
import { ProtocolError } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** So much may be in flight on a path of which nothing is known yet. */
const FIRST_BYTES = 256 * 1024
/** Of a rate that is lower than the one before, what the newest counts. */
const SLOWER = 0.25
/** The least time is forgotten after this. */
const LEAST_MS = 10_000
/** A frame that took no longer than this many times the least has not waited in a queue. */
const UNQUEUED_TIMES = 1.25
/** A frame from this size on shows how fast a path is. */
export const TELLING_BYTES = 64 * 1024

interface Mark {
  /** Payload bytes that had been sent on the path, this frame's among them. */
  readonly sent: number
  readonly at: number
  /** What was in flight then. */
  readonly flight: number
}

export class PathFlight {
  readonly path: LinePath
  /**
   * What has arrived. What was sent before there were two paths counts as arrived, because there may be no PATH_ACK for it.
   */
  #arrived: number
  /** The last PATH_ACK. It may be about bytes from before. */
  #lastAck = 0
  #marks: Mark[] = []
  /** Bytes per millisecond; 0 while nothing is known. */
  #rate = 0
  #trip = { ms: 0, at: Number.NEGATIVE_INFINITY }
  /** The last frame has waited in no queue: twice as much may be in flight, and perhaps arrives as soon. */
  #unqueued = false
  /** When something has arrived, or nothing was in flight. */
  progressAt: number
  /** When it was given a frame that shows how fast it is. */
  triedAt: number

  constructor(path: LinePath, now: number) {
    this.path = path
    this.#arrived = path.sent
    this.progressAt = now
    this.triedAt = now
  }

  /** In flight. */
  get bytes(): number {
    return this.path.sent - this.#arrived
  }

  /** The least time from sending a frame to the news of it, ms; 0 while nothing is known. */
  get tripMs(): number {
    return this.#trip.ms
  }

  /** A frame of `size` bytes was sent, which `path.sent` counts. */
  sent(size: number, now: number): void {
    if (this.#marks.length === 0) this.progressAt = now
    if (size >= TELLING_BYTES) this.triedAt = now
    this.#marks.push({ sent: this.path.sent, at: now, flight: this.bytes })
  }

  /** PATH_ACK. Throws ProtocolError for bytes that were not sent. */
  acked(arrived: number, now: number): void {
    if (arrived > this.path.sent)
      throw new ProtocolError(`PATH_ACK tells of ${arrived} bytes, ${this.path.sent} were sent`)
    if (arrived <= this.#lastAck) return
    this.#lastAck = arrived
    this.progressAt = now
    if (arrived <= this.#arrived) return
    this.#arrived = arrived
    let count = 0
    while (count < this.#marks.length && this.#marks[count].sent <= arrived) count++
    if (count === 0) return
    const { at, flight } = this.#marks[count - 1]
    this.#marks.splice(0, count)
    const elapsed = Math.max(0.1, now - at)
    const rate = flight / elapsed
    this.#rate = rate > this.#rate ? rate : this.#rate + SLOWER * (rate - this.#rate)
    if (elapsed <= this.#trip.ms || now - this.#trip.at > LEAST_MS) this.#trip = { ms: elapsed, at: now }
    this.#unqueued = elapsed <= UNQUEUED_TIMES * this.#trip.ms
  }

  /** How long the first of those frames is in flight that were sent after byte `after`, ms; 0 if there is none. */
  waited(now: number, after = 0): number {
    const mark = this.#marks.find(({ sent }) => sent > after)
    return mark ? now - mark.at : 0
  }

  /** In how many milliseconds there would be news of a frame of `size` bytes. */
  arrivesIn(size: number, now: number): number {
    // On a path that has stopped it takes at least as long as the first frame in flight has waited.
    const waited = this.waited(now)
    if (this.#rate === 0) return this.bytes < FIRST_BYTES ? waited : Number.POSITIVE_INFINITY
    const free = (this.#unqueued ? 2 : 1) * this.#rate * this.tripMs
    const queued = Math.max(0, this.bytes + size - free)
    return Math.max(this.tripMs + queued / this.#rate, waited)
  }
}
