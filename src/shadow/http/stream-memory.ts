// How many bytes the streams of HTTP/2 that are under way may hold together. Node takes what a peer sends on a stream until the
// stream's window is full, whether somebody reads it or not, and gives a session's window back at once: so the sum of the
// streams' windows is what can be held.
import type { IpAddress } from '../../wire/address.ts'

/** Of a caller, or of the original: both are near, so a small window fills the line. */
export const NEAR_WINDOW = 64 * 1024 - 1
/** Of the program behind a version, which is behind the client's line: at 40 ms round trip this is 6 MB/s for a stream. */
export const FAR_WINDOW = 256 * 1024
/** Half of the pod's memory: 2,048 streams with the original, or 819 with a version. */
const STREAM_MEMORY = 256 * 1024 * 1024
/** The share of one address; behind a gateway there may be many callers. */
const SHARE = 1 / 2

export class StreamMemory {
  readonly #mostPerAddress: number
  readonly #perAddress = new Map<string, number>()
  #left: number

  constructor(bytes = STREAM_MEMORY) {
    this.#left = bytes
    this.#mostPerAddress = bytes * SHARE
  }

  /** Undefined when there is no room for `bytes` of a stream that `address` has opened; else to be called once it is over. */
  take(address: IpAddress, bytes: number): (() => void) | undefined {
    const key = address.toString()
    const held = this.#perAddress.get(key) ?? 0
    if (bytes > this.#left || held + bytes > this.#mostPerAddress) return undefined
    this.#left -= bytes
    this.#perAddress.set(key, held + bytes)
    return () => {
      this.#left += bytes
      const rest = this.#perAddress.get(key)! - bytes
      if (rest === 0) this.#perAddress.delete(key)
      else this.#perAddress.set(key, rest)
    }
  }
}
