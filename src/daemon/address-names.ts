// What the cluster's addresses are called: filled from the answers that programs got, so that a flow is named as its
// program named it, and by reverse look-ups for addresses nobody asked about. Bounded; only asked when somebody looks.
import { addressesIn, pointerIn } from '../dns/answers.ts'
import { reverseName } from '../dns/reverse.ts'
import type { IpAddress } from '../wire/address.ts'

/** Addresses whose name is kept; the longest known goes first. A cluster's Services and pods in use by one machine. */
const MOST_NAMES = 4096
/** Answers that wait to be read; nearly all are in the DNS server's cache as well. Longer ones are read at once. */
const MOST_HEARD = 4096
const LONGEST_HEARD = 512
// A reverse look-up is not repeated sooner, whatever it gave. A pod's address gets another owner within minutes.
const ASK_AGAIN_MS = 60_000
/** Reverse look-ups under way at a time. */
const MOST_ASKED = 16

export interface AddressNamesOptions {
  clusterDomain: string
  /** The answer to a PTR question for this name; rejects when there is none. */
  ask(name: string): Promise<Uint8Array>
  /** Milliseconds, never going back. */
  now(): number
}

export class AddressNames {
  readonly #options: AddressNamesOptions
  // Both in the order in which they were learned.
  readonly #names = new Map<string, string>()
  readonly #asked = new Map<string, number>()
  readonly #own = new Map<string, string>()
  // The last answers, from `#heardFirst` on, round: read when somebody looks, since most are never looked for.
  #heard: Uint8Array[] = []
  #heardFirst = 0
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: AddressNamesOptions) {
    this.#options = options
  }

  /** Names an address of kt itself. */
  add(address: IpAddress, name: string): void {
    this.#own.set(address.toString(), name)
  }

  /** Takes note of an answer to a question for addresses, which is not to change any more. */
  learn(message: Uint8Array): void {
    if (message.length > LONGEST_HEARD) {
      this.#readHeard()
      this.#read(message)
    } else if (this.#heard.length < MOST_HEARD) this.#heard.push(message)
    else {
      this.#heard[this.#heardFirst] = message
      this.#heardFirst = (this.#heardFirst + 1) % MOST_HEARD
    }
  }

  /** As a program in the cluster would write it: `web.shop`, `db-0.db.shop`. Undefined if it is not known. */
  nameOf(address: IpAddress): string | undefined {
    this.#readHeard()
    const text = address.toString()
    return this.#own.get(text) ?? this.#names.get(text)
  }

  /** Asks for the names that are not known, as many at a time as is polite. `settled` waits for what is under way. */
  lookUp(addresses: Iterable<IpAddress>): void {
    const now = this.#options.now()
    for (const address of addresses) {
      if (this.#underWay.size >= MOST_ASKED) return
      const text = address.toString()
      if (
        this.nameOf(address) !== undefined ||
        (this.#asked.get(text) ?? Number.NEGATIVE_INFINITY) > now - ASK_AGAIN_MS
      )
        continue
      this.#put(this.#asked, text, now)
      const answer = this.#options.ask(reverseName(address)).then(
        (message) => {
          const name = pointerIn(message)
          this.#readHeard()
          if (name !== undefined && !this.#names.has(text)) this.#put(this.#names, text, this.#shortened(name))
        },
        () => {}, // a cluster that does not answer: the flow stays without a name
      )
      const entry = answer.finally(() => this.#underWay.delete(entry))
      this.#underWay.add(entry)
    }
  }

  /** Resolves when no look-up is under way. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  #readHeard(): void {
    const { length } = this.#heard
    if (length === 0) return
    for (let i = 0; i < length; i++) this.#read(this.#heard[(this.#heardFirst + i) % length])
    this.#heard = []
    this.#heardFirst = 0
  }

  #read(message: Uint8Array): void {
    addressesIn(message, (name, address) => this.#put(this.#names, address.toString(), this.#shortened(name)))
  }

  #shortened(name: string): string {
    for (const tail of [`.svc.${this.#options.clusterDomain}`, `.${this.#options.clusterDomain}`])
      if (name.endsWith(tail)) return name.slice(0, -tail.length)
    return name
  }

  #put<V>(map: Map<string, V>, key: string, value: V): void {
    map.delete(key)
    map.set(key, value)
    if (map.size > MOST_NAMES) map.delete(map.keys().next().value!)
  }
}
