// How much data is in flight in one direction of a session, all channels together, and how much there may be. Without
// interactive traffic it is limited by the SSH windows and by queue-limit.ts. While an interactive channel is active (a
// keystroke, a request), the queue is kept short: bulk data in flight is limited to what the receiver acknowledges in 1.25
// round trips plus 1 ms.
import { type Pulse, Rate } from './pulse.ts'
import { QueueLimit } from './queue-limit.ts'

/**
 * The receiver acknowledges each time this much has arrived. An acknowledgement passes five processes: with one for each
 * 64 KiB, bulk throughput was 4 to 18 % lower than with one for each 512 KiB.
 */
export const TELL_BYTES = 1024 * 1024
/**
 * The same while the queue is kept short, since data that is not acknowledged counts as queued. It is what arrives in
 * TELL_SHORT_MS, within these bounds: with 8 KiB at any rate, acknowledgements took a large part of the processor.
 */
export const TELL_SHORT_BYTES = 8 * 1024
const TELL_SHORT_MOST_BYTES = 64 * 1024
const TELL_SHORT_MS = 0.5
/** At least TELL_SHORT_BYTES are acknowledged after this time at the latest. A limited sender waits for that. */
export const TELL_REST_MS = 10
/** The lowest limit: one bulk message, and what is not acknowledged yet. */
const LEAST_BYTES = 32 * 1024
const MOST_BYTES = 64 * 1024 * 1024
/** The limit at first, while nothing is known about the connection. */
const FIRST_BYTES = 384 * 1024
/** How long the queue is kept short after an interactive channel has sent. */
const PATIENCE_MS = 250
/**
 * The target for the time from sending a byte to its acknowledgement: TRIPS round trips plus SLACK_MS. Measured on two cores
 * that all hops share: with 2 and 4 round trips an echo behind eight bulk flows took three times as long (p99 40 to 140 ms),
 * and bulk moved a fifth more.
 */
const TRIPS = 1.25
const SLACK_MS = 1
/** The limit changes by these factors, once a round trip: down faster than up, as in every congestion control. */
const STEP_DOWN = 0.8
const STEP_UP = 1.15
/** Bulk keeps this share of its rate while somebody types. */
const TYPING_SHARE = 0.75
/** While the round trip is measured the queue must be empty, so the limit is below what the connection itself holds. */
const QUIET_TRIPS = 0.75
/** Two measurements 100 ms apart, beside two round trips. */
const QUIET_MS = 120
const QUIET_EVERY_MS = 1000

const NEVER = Number.NEGATIVE_INFINITY

export class Flight {
  readonly #now: () => number
  readonly #sending = new Rate()
  readonly #receiving = new Rate()
  readonly #queue = new QueueLimit()
  #sent = 0
  #arrived = 0
  #received = 0
  #told = 0
  #shortUntil = NEVER
  /** Until when this receiver acknowledges more often. */
  #tellUntil = NEVER
  #quietUntil = NEVER
  /** The limit in bytes while the queue is kept short. */
  #limit = 0
  /** The byte that is being timed (-1: none), when it was sent, and how much was in flight then. */
  #timed = -1
  #timedAt = 0
  #timedFlight = 0
  /** True once the far side has acknowledged something. Nothing is limited before. */
  #limits = false
  readonly #roundTripMs: () => number

  constructor(now: () => number, roundTripMs: () => number) {
    this.#now = now
    this.#roundTripMs = roundTripMs
  }

  /** The far side acknowledges what has arrived after `ms` at the latest. */
  set peerTellsAfter(ms: number) {
    this.#queue.lateMs = Math.max(0, ms - TELL_REST_MS)
  }

  /** The far side acknowledges `total` bytes, modulo 2^32. */
  arrived(total: number): void {
    const now = this.#now()
    this.#limits = true
    const bytes = (total - this.#arrived) >>> 0
    this.#arrived += bytes
    if (this.#timed >= 0 && this.#arrived >= this.#timed) this.#adjust(now - this.#timedAt)
    const rate = this.#sending.add(bytes, now)
    if (rate !== undefined) this.#queue.passed(rate, now, now < this.#shortUntil)
  }

  /** A channel sends. `pulse` is that channel's; frames that nobody waits for have none. */
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

  /** Something interactive was sent. */
  hurry(): void {
    this.#shorten(this.#now())
  }

  /** How much a channel may send in spite of the limit: interactive channels never wait behind bulk. */
  ahead(pulse: Pulse): number {
    return pulse.room(this.#now())
  }

  /** The round trip is about to be measured, so the queue has to drain. */
  quiet(): void {
    const now = this.#now()
    if (now < this.#quietUntil + QUIET_EVERY_MS) return
    // The other direction is quiet then too.
    this.#quietUntil = this.#tellUntil = now + QUIET_MS + 2 * this.#roundTripMs()
  }

  /**
   * A channel has received data. `pulse` is that channel's; frames that nobody waits for have none. Returns the count to
   * acknowledge now (modulo 2^32), or -1.
   */
  received(bytes: number, pulse?: Pulse): number {
    this.#received += bytes
    const now = this.#now()
    this.#receiving.add(bytes, now)
    // The sender sees the same and keeps the queue short.
    if (pulse?.add(bytes, now)) this.#tellUntil = now + PATIENCE_MS
    const { untold } = this
    if (untold < this.#tellShortBytes) return -1
    if (untold < TELL_BYTES && now > this.#tellUntil && now > this.#shortUntil) return -1
    return this.tell()
  }

  /** Bytes that have arrived since the last acknowledgement. */
  get untold(): number {
    return this.#received - this.#told
  }

  /** The count to acknowledge now (modulo 2^32). */
  tell(): number {
    this.#told = this.#received
    return this.#received % 2 ** 32
  }

  /** True while bulk has to wait. Data in flight will be acknowledged, so `arrived` is called when this changes. */
  get full(): boolean {
    const flight = this.#sent - this.#arrived
    if (!this.#limits || flight < LEAST_BYTES) return false
    const now = this.#now()
    if (now < this.#quietUntil) return flight >= QUIET_TRIPS * this.#best * this.#roundTripMs()
    if (now < this.#shortUntil) {
      if (flight < this.#limit) return false
      this.#queue.bindLower(now)
      return true
    }
    if (flight < this.#queue.bytes(this.#best, this.#roundTripMs(), now)) return false
    this.#queue.bind(now)
    return true
  }

  /** The best recent rate in bytes per millisecond. */
  get #best(): number {
    return this.#sending.best
  }

  get #tellShortBytes(): number {
    return Math.max(TELL_SHORT_BYTES, Math.min(TELL_SHORT_MOST_BYTES, this.#receiving.best * TELL_SHORT_MS))
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

  /** The timed byte took `elapsed` ms. By Little's law the limit changes in the ratio of the target to that time. */
  #adjust(elapsed: number): void {
    const used = this.#timedFlight
    this.#timed = -1
    let step = Math.max(STEP_DOWN, Math.min(STEP_UP, this.#target / Math.max(elapsed, 0.01)))
    // It is not the queue that takes long, or the line has become slow: a lower limit would not make it shorter.
    // What was in flight by the time that it took is the rate now; the best rate would tell of it a second later.
    if (this.#queue.costs(TYPING_SHARE, used / Math.max(elapsed, 0.01))) step = STEP_UP
    // Raising a limit that was not nearly reached would mean nothing.
    if (step > 1 && used < this.#limit / 2) return
    this.#limit = Math.max(LEAST_BYTES, Math.min(MOST_BYTES, this.#limit * step))
  }
}
