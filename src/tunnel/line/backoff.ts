// The back-off of a client's line: how long a search for another path waits before its first attempt. A path that ends soon
// after it was found is no success. A peer that breaks the protocol on each path would otherwise be dialled again and again
// without a pause.

/** A path that carried the line for less than this was found in vain. */
const SOON_MS = 5_000
/** The second path in a row that was found in vain costs this pause, each further one twice as much, up to the most. */
const FIRST_PAUSE_MS = 250
const MOST_PAUSE_MS = 4_000

export class Backoff {
  #adoptedAt = Number.NEGATIVE_INFINITY
  /** Paths in a row that were found in vain. */
  #vain = 0

  /** A path was found and carries the line. */
  adopted(now: number): void {
    this.#adoptedAt = now
  }

  /** A search begins: how long its first attempt waits, ms. */
  nextMs(now: number): number {
    this.#vain = now - this.#adoptedAt < SOON_MS ? this.#vain + 1 : 0
    return this.#vain < 2 ? 0 : Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#vain - 2))
  }
}
