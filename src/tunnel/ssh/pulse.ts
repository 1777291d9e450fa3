// How much has passed recently: on one channel, which tells whether it is interactive, and in one direction of a session.

/** A channel that carries no more than this within STRETCH_MS is interactive. */
const THIN_BYTES = 32 * 1024
const STRETCH_MS = 250
/** The rate is the best of this many slices. One slow slice must not lower it, because what it limits would then be slow. */
const SLICES = 10
const SLICE_MS = 100

/** How much one channel has sent, or received, recently. */
export class Pulse {
  #since = 0
  #bytes = 0
  /** True if it was bulk in the previous stretch, too. */
  #bulk = false

  /** Counts `bytes` and returns whether the channel is interactive. */
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

  /** How many more bytes it may carry and still be interactive. */
  room(now: number): number {
    const elapsed = now - this.#since
    if (elapsed <= STRETCH_MS) return this.#bulk ? 0 : Math.max(0, THIN_BYTES - this.#bytes)
    return this.#bytes > THIN_BYTES && elapsed < 2 * STRETCH_MS ? 0 : THIN_BYTES
  }
}

export class Rate {
  readonly #rates = new Float64Array(SLICES)
  #slice = 0
  #sliceStart = 0
  #sliceBytes = 0

  /** Counts `bytes`. Returns the rate of a slice, in bytes per millisecond, when it is over; else undefined. */
  add(bytes: number, now: number): number | undefined {
    this.#sliceBytes += bytes
    const elapsed = now - this.#sliceStart
    if (elapsed < SLICE_MS) return undefined
    // A slice that lasted long was mostly idle. It says little about the rate and counts as one slice.
    const rate = this.#sliceBytes / elapsed
    this.#rates[this.#slice] = rate
    this.#slice = (this.#slice + 1) % SLICES
    this.#sliceStart = now
    this.#sliceBytes = 0
    return rate
  }

  /** The best recent rate in bytes per millisecond; 0 before the first. */
  get best(): number {
    let best = 0
    for (const rate of this.#rates) if (rate > best) best = rate
    return best
  }
}
