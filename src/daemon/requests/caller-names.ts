// Which pod an address is: asked of the cluster, and remembered for a while, since a pod's address gets another owner
// within minutes.
import type { PodName } from '../../cluster/calls.ts'

const ASK_AGAIN_MS = 60_000
const MOST_NAMES = 1_000
/** Questions under way at a time; the callers beyond them stay without a name this time. */
const MOST_ASKED = 16

export interface CallerNamesOptions {
  /** Null for an address that is no pod's, or of several. May reject. */
  ask(address: string): Promise<PodName | null>
  /** Milliseconds of a clock that only goes ahead. */
  now(): number
}

export class CallerNames {
  readonly #options: CallerNamesOptions
  /** In the order in which they were learned. */
  readonly #known = new Map<string, { name: PodName | null; at: number }>()
  readonly #asked = new Map<string, Promise<void>>()

  constructor(options: CallerNamesOptions) {
    this.#options = options
  }

  /** Undefined: not known yet; `whenKnown` waits for it. Null: the cluster does not know. */
  nameOf(address: string): PodName | null | undefined {
    const known = this.#known.get(address)
    return known && this.#options.now() - known.at < ASK_AGAIN_MS ? known.name : undefined
  }

  /** Resolves when `nameOf` is not undefined any more. Never rejects. */
  whenKnown(address: string): Promise<void> {
    if (this.nameOf(address) !== undefined) return Promise.resolve()
    const asked = this.#asked.get(address)
    if (asked) return asked
    const learn = (name: PodName | null) => {
      this.#asked.delete(address)
      this.#known.delete(address)
      this.#known.set(address, { name, at: this.#options.now() })
      if (this.#known.size > MOST_NAMES) this.#known.delete(this.#known.keys().next().value!)
    }
    if (this.#asked.size >= MOST_ASKED) {
      learn(null)
      return Promise.resolve()
    }
    const answer = this.#options.ask(address).then(learn, () => learn(null)) // a right that is missing
    this.#asked.set(address, answer)
    return answer
  }
}
