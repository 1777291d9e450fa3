// How many connections the agent serves for the cluster at a time, so that one caller cannot use up its memory.
import type { IpAddress } from '../wire/address.ts'

/** A connection holds up to 128 KiB here when both its sides are slow: all of them fit the pod's limit of memory. */
const MAX_CONNECTIONS = 4096
/** Of one address; behind a gateway or a node's address there may be many callers. */
const MAX_PER_ADDRESS = 1024

export class Admission {
  readonly #most: number
  readonly #mostPerAddress: number
  readonly #perAddress = new Map<string, number>()
  #size = 0
  /** Connections that were turned away. */
  refused = 0

  constructor(most = MAX_CONNECTIONS, mostPerAddress = MAX_PER_ADDRESS) {
    this.#most = most
    this.#mostPerAddress = mostPerAddress
  }

  /** Connections now. */
  get size(): number {
    return this.#size
  }

  /** Addresses that have connections now. */
  get addresses(): number {
    return this.#perAddress.size
  }

  /** Undefined when there is no room for a connection from `address`; else to be called when it is over. */
  admit(address: IpAddress): (() => void) | undefined {
    const key = address.toString()
    const before = this.#perAddress.get(key) ?? 0
    if (this.#size >= this.#most || before >= this.#mostPerAddress) {
      this.refused++
      return undefined
    }
    this.#size++
    this.#perAddress.set(key, before + 1)
    return () => {
      this.#size--
      const left = this.#perAddress.get(key)! - 1
      if (left === 0) this.#perAddress.delete(key)
      else this.#perAddress.set(key, left)
    }
  }
}
