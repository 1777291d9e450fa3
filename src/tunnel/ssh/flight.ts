// What is on its way in one direction of a session, all channels together, and how much of it there may be. Bulk alone fills
// the way as its windows allow. While somebody waits for an answer behind it (a keystroke, a request) it keeps the queue short:
// the receiver says what has arrived, and no more is in flight than the line needs.

/** The receiver tells its count each time this much has come: one small frame in 64 KiB. */
export const TELL_BYTES = 64 * 1024
/** The least that may be in flight: below it each hop waits for the next, and throughput falls faster than the delay. */
const LEAST_BYTES = 384 * 1024
/** Of one channel within PATIENCE_MS: more than that is not somebody who waits for an answer. */
const THIN_BYTES = 32 * 1024
/** For so long after a thin channel has sent, the queue is kept short. */
const PATIENCE_MS = 250
/** The rate is the best of this many slices: one slow slice must not shorten the queue, which would make the next slower. */
const SLICES = 10
const SLICE_MS = 100
/** Added to twice the round trip: turns of the event loops between. */
const SLACK_MS = 2

/** How much one channel has sent lately. */
export class Pulse {
  since = 0
  bytes = 0
  /** It sent much in the last stretch too. */
  bulk = false
}

export class Flight {
  readonly #now: () => number
  readonly #rates = new Float64Array(SLICES)
  #slice = 0
  #sliceStart = 0
  #sliceBytes = 0
  #sent = 0
  #arrived = 0
  #received = 0
  #told = 0
  #thinUntil = 0
  /** True once the far side has said that it tells what has arrived: without it nothing is limited. */
  #limits = false
  readonly #roundTripMs: () => number

  constructor(now: () => number, roundTripMs: () => number) {
    this.#now = now
    this.#roundTripMs = roundTripMs
  }

  /** What the far side has got of `sent`; modulo 2^32, as it is told. */
  arrived(total: number): void {
    const now = this.#now()
    this.#limits = true
    const bytes = (total - this.#arrived) >>> 0
    this.#arrived += bytes
    this.#sliceBytes += bytes
    const elapsed = now - this.#sliceStart
    if (elapsed < SLICE_MS) return
    // Idle time between is not the line's fault: a slice that lasted long says little, and counts as one.
    this.#rates[this.#slice] = this.#sliceBytes / elapsed
    this.#slice = (this.#slice + 1) % SLICES
    this.#sliceStart = now
    this.#sliceBytes = 0
  }

  /** A channel sends; `pulse` is the channel's own, none for frames that nobody waits for. */
  sent(bytes: number, pulse?: Pulse): void {
    this.#sent += bytes
    if (!this.#limits || !pulse) return
    const now = this.#now()
    const elapsed = now - pulse.since
    if (elapsed > PATIENCE_MS) {
      pulse.bulk = pulse.bytes > THIN_BYTES && elapsed < 2 * PATIENCE_MS
      pulse.since = now
      pulse.bytes = 0
    }
    pulse.bytes += bytes
    if (!pulse.bulk && pulse.bytes <= THIN_BYTES) this.#thinUntil = now + PATIENCE_MS
  }

  /** Something small was sent that somebody waits for. */
  hurry(): void {
    this.#thinUntil = this.#now() + PATIENCE_MS
  }

  /** Bytes of channel data have come. Returns the count to tell now (modulo 2^32), or -1. */
  received(bytes: number): number {
    this.#received += bytes
    if (this.#received - this.#told < TELL_BYTES) return -1
    this.#told = this.#received
    return this.#received % 2 ** 32
  }

  /** True while bulk has to wait. What is in flight arrives, so `arrived` will be called. */
  get full(): boolean {
    if (!this.#limits || this.#sent - this.#arrived < LEAST_BYTES || this.#now() > this.#thinUntil) return false
    let best = 0
    for (const rate of this.#rates) if (rate > best) best = rate
    return this.#sent - this.#arrived > best * (2 * this.#roundTripMs() + SLACK_MS)
  }
}
