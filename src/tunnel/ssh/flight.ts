// What is on its way in one direction of a session, all channels together, and how much of it there may be. Bulk alone fills
// the way as its windows allow. While somebody waits for an answer behind it (a keystroke, a request) it keeps the queue short:
// the receiver says what has arrived, and no more is in flight than arrives in little more than the line's own round trip.

/**
 * The receiver tells its count each time this much has come. Each is a packet through five processes: told each 64 KiB, bulk moved
 * 4 to 18 % less than told each 512.
 */
export const TELL_BYTES = 1024 * 1024
/** While the queue is short: what is not told yet counts as queued. */
export const TELL_SHORT_BYTES = 8 * 1024
/** What is more than that is told in any case after so long: else a sender could wait for word of less than TELL_BYTES. */
export const TELL_REST_MS = 25
/** The least that may be in flight: one message of bulk, and what is not told yet. */
const LEAST_BYTES = 32 * 1024
const MOST_BYTES = 64 * 1024 * 1024
/** What may be in flight at first: nobody knows the line yet when a transfer begins. */
const FIRST_BYTES = 384 * 1024
/** Of one channel within STRETCH_MS: more than that is not somebody who waits for an answer. */
const THIN_BYTES = 32 * 1024
const STRETCH_MS = 250
/** For so long after a thin channel has sent, the queue is kept short. */
const PATIENCE_MS = 250
/** The rate is the best of this many slices: one slow slice must not shorten the queue, which would make the next slower. */
const SLICES = 10
const SLICE_MS = 100
/**
 * What a byte's way and the word of its arrival may take, by the line's round trip. Measured on two cores that all hops share:
 * with 2 and 4 the echo behind eight bulk flows took three times as long (p99 40 to 140 ms) for a fifth more bulk.
 */
const TRIPS = 1.25
const SLACK_MS = 1
/** Steps of the limit, one a round trip: down faster than up, as every congestion control. */
const STEP_DOWN = 0.8
const STEP_UP = 1.15
/** While the line is measured, the queue is empty: a little less in flight than the line holds by itself, for so long, so often. */
const QUIET_TRIPS = 0.75
/** Two measurements 100 ms apart, beside two round trips. */
const QUIET_MS = 120
const QUIET_EVERY_MS = 1000

const NEVER = Number.NEGATIVE_INFINITY

/** How much one channel has sent, or got, lately. */
export class Pulse {
  #since = 0
  #bytes = 0
  /** It was much in the last stretch too. */
  #bulk = false

  /** Returns whether it is so little that somebody may be waiting for it. */
  add(bytes: number, now: number): boolean {
    const elapsed = now - this.#since
    if (elapsed > STRETCH_MS) {
      this.#bulk = this.#bytes > THIN_BYTES && elapsed < 2 * STRETCH_MS
      this.#since = now
      this.#bytes = 0
    }
    this.#bytes += bytes
    return !this.#bulk && this.#bytes <= THIN_BYTES
  }

  /** What it may be and still be little. */
  room(now: number): number {
    const elapsed = now - this.#since
    if (elapsed <= STRETCH_MS) return this.#bulk ? 0 : Math.max(0, THIN_BYTES - this.#bytes)
    return this.#bytes > THIN_BYTES && elapsed < 2 * STRETCH_MS ? 0 : THIN_BYTES
  }
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
  #shortUntil = NEVER
  /** Until when the receiver tells more often. */
  #tellUntil = NEVER
  #quietUntil = NEVER
  /** What may be in flight while the queue is short. */
  #limit = 0
  /** The byte whose way is being timed, -1 for none; when it was sent, and how much was in flight then. */
  #timed = -1
  #timedAt = 0
  #timedFlight = 0
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
    if (this.#timed >= 0 && this.#arrived >= this.#timed) this.#adjust(now - this.#timedAt)
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
    if (!pulse) return
    const now = this.#now()
    if (pulse.add(bytes, now)) this.#shorten(now)
    else if (this.#timed < 0 && now < this.#shortUntil) {
      this.#timed = this.#sent
      this.#timedAt = now
      this.#timedFlight = this.#sent - this.#arrived
    }
  }

  /** Something small was sent that somebody waits for. */
  hurry(): void {
    this.#shorten(this.#now())
  }

  /** How much a channel may send past those that wait: those who send little never wait behind those who send much. */
  ahead(pulse: Pulse): number {
    return pulse.room(this.#now())
  }

  /** The line is going to be measured: what stands in queues drains first. */
  quiet(): void {
    const now = this.#now()
    if (now < this.#quietUntil + QUIET_EVERY_MS) return
    // The other direction is quiet then too.
    this.#quietUntil = this.#tellUntil = now + QUIET_MS + 2 * this.#roundTripMs()
  }

  /** A channel has got data; `pulse` is of what it gets, none for frames that nobody waits for. Returns the count to tell now (modulo 2^32), or -1. */
  received(bytes: number, pulse?: Pulse): number {
    this.#received += bytes
    const now = this.#now()
    // The sender, which sees the same, keeps the queue short.
    if (pulse?.add(bytes, now)) this.#tellUntil = now + PATIENCE_MS
    const { untold } = this
    if (untold < TELL_SHORT_BYTES) return -1
    if (untold < TELL_BYTES && now > this.#tellUntil && now > this.#shortUntil) return -1
    return this.tell()
  }

  /** Bytes that have come since the last count was told. */
  get untold(): number {
    return this.#received - this.#told
  }

  /** The count to tell now (modulo 2^32). */
  tell(): number {
    this.#told = this.#received
    return this.#received % 2 ** 32
  }

  /** True while bulk has to wait. What is in flight arrives, so `arrived` will be called. */
  get full(): boolean {
    const flight = this.#sent - this.#arrived
    if (!this.#limits || flight < LEAST_BYTES) return false
    const now = this.#now()
    if (now < this.#quietUntil) return flight >= QUIET_TRIPS * this.#best * this.#roundTripMs()
    return now < this.#shortUntil && flight >= this.#limit
  }

  /** The best rate lately, bytes a ms. */
  get #best(): number {
    let best = 0
    for (const rate of this.#rates) if (rate > best) best = rate
    return best
  }

  #shorten(now: number): void {
    if (now > this.#shortUntil) {
      this.#limit = Math.max(FIRST_BYTES, this.#best * this.#target)
      this.#timed = -1
    }
    this.#shortUntil = now + PATIENCE_MS
  }

  get #target(): number {
    return TRIPS * this.#roundTripMs() + SLACK_MS
  }

  /** A byte took `elapsed` ms: by Little's law, what may be in flight is to what was as the target is to that. */
  #adjust(elapsed: number): void {
    const used = this.#timedFlight
    this.#timed = -1
    const step = Math.max(STEP_DOWN, Math.min(STEP_UP, this.#target / Math.max(elapsed, 0.01)))
    // A limit that nothing came near to was not what made it quick.
    if (step > 1 && used < this.#limit / 2) return
    this.#limit = Math.max(LEAST_BYTES, Math.min(MOST_BYTES, this.#limit * step))
  }
}
