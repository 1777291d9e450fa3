// How much bulk data may be in flight while nobody waits for an answer. Without a limit bulk fills every buffer on the way,
// and the first keystroke after silence waits behind it: up to half a second at 100 Mbit/s. The limit is what passes in two
// round trips and a slack. It yields where it costs throughput, since on a busy machine it is the processes on the way that
// take long, and not a queue.

const TRIPS = 2
const SLACK_MS = 20
/**
 * On paths that only processors limit, from FASTEST bytes per millisecond on, the slack is at least this, and the limit is
 * not lowered most of the time. With shorter queues each process on the way moves less whenever it runs, which costs
 * throughput, and a message is not faster, since it waits for the processors. Up to GIGABIT a line may limit the rate.
 */
const FASTEST_SLACK_MS = 32
const GIGABIT = 125_000
const FASTEST = 200_000
/** The slack grows up to this while the limit costs throughput, and bulk begins with it. Hardly anything is limited then. */
const MOST_SLACK_MS = 1_000
/** Bulk begins when the limit has held nothing back for so long. */
const BEGINS_MS = 5_000
/** The limit is at least this. */
const LEAST_BYTES = 256 * 1024
/**
 * The limit costs throughput when less than this share of the best rate passes: up to SLOW bytes per millisecond the first,
 * from FAST on the second. On a fast path processors limit the rate, which therefore varies all the time. With the first
 * share there, three of four loads moved 13 to 19 % less than without a limit. A fast line whose rate is steady keeps its
 * limit.
 */
const FAIR_SHARE = 0.85
const FAIR_SHARE_FAST = 0.97
const SLOW = 25_000
const FAST = 75_000
/** The slack changes by these factors ten times a second: up while the limit costs throughput, else down. */
const SLACK_UP = 1.4
const SLACK_DOWN = 0.85
/** What the newest rate counts. */
const NEWEST = 0.4
/** A rate that was not seen again falls to 1/e in this time. */
const FADE_MS = 30_000
/** The same for the rate while somebody types, when little passes. */
const FADE_TYPING_MS = 120_000
/**
 * When less than this share of the best rate has passed for so many slices, the path has become slower, as after a change
 * from a cable to Wi-Fi. It is not the limit that costs so much, because its slack has grown 29-fold by then. What passes
 * now is taken for the best rate.
 */
const SLOWER_SHARE = 0.5
const SLOWER_SLICES = 10
/** Most of the time the limit is lower. Where more passes when it is not, it was too low. */
const MOSTLY = 0.8
const TRY_EVERY_MS = 4_000
const TRY_MS = 300

export class QueueLimit {
  /** How long the receiver may wait with its acknowledgement, ms, beyond what the slack allows for. */
  lateMs = 0
  #slackMs = MOST_SLACK_MS
  /** The rate of the last slices, bytes per ms. Single ones jump on a machine that stands still now and then. */
  #rate = 0
  /** The best rate that was seen; it fades. */
  #peak = 0
  /** Slices in a row with much less than that. */
  #slower = 0
  #bound = false
  #boundAt = Number.NEGATIVE_INFINITY
  #last = 0

  /** The limit in bytes at the best recent rate `best`, in bytes per millisecond. */
  bytes(best: number, roundTripMs: number, now: number): number {
    if (best === 0) return Number.POSITIVE_INFINITY
    const fastest = between(best, GIGABIT, FASTEST)
    const factor = now % TRY_EVERY_MS < TRY_MS ? 1 : MOSTLY + fastest * (1 - MOSTLY)
    const slackMs = Math.max(this.#slackMs, SLACK_MS + fastest * (FASTEST_SLACK_MS - SLACK_MS))
    return Math.max(LEAST_BYTES, factor * best * (TRIPS * roundTripMs + slackMs + this.lateMs))
  }

  /** Bulk waits for this limit. */
  bind(now: number): void {
    this.#bound = true
    // What passed before says nothing about what may pass.
    if (now - this.#boundAt > BEGINS_MS) this.#slackMs = MOST_SLACK_MS
    this.#boundAt = now
  }

  /** Bulk waits for the lower limit that there is while somebody types. */
  bindLower(now: number): void {
    this.#boundAt = now
  }

  /** Is `rate`, in bytes per millisecond, less than `share` of the best that was seen? */
  costs(share: number, rate: number): boolean {
    return rate < share * this.#peak
  }

  /**
   * `rate` bytes per millisecond have passed lately. To be called ten times a second while data is sent. `typing`: bulk
   * makes way for somebody.
   */
  passed(rate: number, now: number, typing: boolean): void {
    this.#rate += NEWEST * (rate - this.#rate)
    this.#peak = Math.max(this.#rate, this.#peak * Math.exp((this.#last - now) / (typing ? FADE_TYPING_MS : FADE_MS)))
    this.#last = now
    this.#slower = !typing && this.costs(SLOWER_SHARE, this.#rate) ? this.#slower + 1 : 0
    if (this.#slower === SLOWER_SLICES) this.#peak = this.#rate
    const factor = this.#bound && this.costs(fairShare(this.#peak), this.#rate) ? SLACK_UP : SLACK_DOWN
    this.#slackMs = Math.max(SLACK_MS, Math.min(MOST_SLACK_MS, this.#slackMs * factor))
    this.#bound = false
  }
}

function fairShare(best: number): number {
  return FAIR_SHARE + between(best, SLOW, FAST) * (FAIR_SHARE_FAST - FAIR_SHARE)
}

/** 0 up to `low`, 1 from `high` on. */
function between(rate: number, low: number, high: number): number {
  return Math.max(0, Math.min(1, (rate - low) / (high - low)))
}
