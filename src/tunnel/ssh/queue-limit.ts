// How much bulk data may be in flight while nobody waits for an answer. Without a limit bulk fills every buffer on the way,
// and the first keystroke after silence waits behind it: up to half a second at 100 Mbit/s. The limit is what passes in two
// round trips and a slack. It yields where it costs throughput, since on a busy machine it is the processes on the way that
// take long, and not a queue.

const TRIPS = 2
const SLACK_MS = 20
/** The slack grows up to this while the limit costs throughput. Nothing is limited then. */
const MOST_SLACK_MS = 1_000
/** The limit is at least this. */
const LEAST_BYTES = 256 * 1024
/** The limit costs throughput when less than this share of the best rate passes. */
const FAIR_SHARE = 0.85
const SLACK_UP = 1.2
/** Slack that was not needed, and a rate that was not seen again, fall to 1/e in this time. */
const FADE_MS = 30_000
/** The same for the rate while somebody types, when little passes. */
const FADE_TYPING_MS = 120_000
/** Most of the time the limit is lower. Where more passes when it is not, it was too low. */
const MOSTLY = 0.8
const TRY_EVERY_MS = 4_000
const TRY_MS = 300

export class QueueLimit {
  /** How long the receiver may wait with its acknowledgement, ms, beyond what the slack allows for. */
  lateMs = 0
  #slackMs = SLACK_MS
  /** The best rate that was seen, bytes per ms; it fades. */
  #peak = 0
  #bound = false
  #last = 0

  /** The limit in bytes at the best recent rate `best`, in bytes per millisecond. */
  bytes(best: number, roundTripMs: number, now: number): number {
    if (best === 0) return Number.POSITIVE_INFINITY
    const factor = now % TRY_EVERY_MS < TRY_MS ? 1 : MOSTLY
    return Math.max(LEAST_BYTES, factor * best * (TRIPS * roundTripMs + this.#slackMs + this.lateMs))
  }

  /** Bulk waits for this limit. */
  bind(): void {
    this.#bound = true
  }

  /** Passes less than `share` of what did, when the best recent rate is `best`? */
  costs(share: number, best: number): boolean {
    return best < share * this.#peak
  }

  /**
   * The best recent rate is `best` bytes per millisecond. To be called a few times a second while data is sent. `typing`:
   * bulk makes way for somebody.
   */
  passed(best: number, now: number, typing: boolean): void {
    const fade = Math.exp((this.#last - now) / FADE_MS)
    const peakFade = typing ? Math.exp((this.#last - now) / FADE_TYPING_MS) : fade
    this.#last = now
    this.#peak = Math.max(best, this.#peak * peakFade)
    if (this.#bound && this.costs(FAIR_SHARE, best)) this.#slackMs = Math.min(MOST_SLACK_MS, this.#slackMs * SLACK_UP)
    else this.#slackMs = SLACK_MS + (this.#slackMs - SLACK_MS) * fade
    this.#bound = false
  }
}
