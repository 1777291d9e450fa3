// The last questions that programs asked, with what was decided about each: a ring that is written on the hot path, so a
// question is kept as the octets it came as and turned into words only when somebody looks.
import { nameText, u16 } from './message.ts'
import { rcodeName, typeName } from './records.ts'

/** Questions that are kept. */
const ENTRIES = 500
/** A name and its type. */
const QUESTION = 255 + 2

/** One question of a program and its answer. */
export interface PastDecision {
  /** Counts up by one a question; `since` takes it. */
  seq: number
  /** When it was answered, and how long that took, in the server's clock. */
  at: number
  ms: number
  name: string
  type: string
  /** Row of the decision table; '' for what was refused before it. */
  rule: string
  /** Who gave the answer: an upstream, `cache`, `cache, stale`, or `kt`. */
  upstream: string
  rcode: string
}

interface Slot {
  question: Uint8Array
  nameLength: number
  at: number
  ms: number
  rule: string
  upstream: string
  rcode: number
}

export class DnsHistory {
  readonly #slots: Slot[] = []
  #count = 0

  /** `buffer[start .. end)` is the question: name, type, class. */
  add(
    buffer: Uint8Array,
    start: number,
    end: number,
    at: number,
    ms: number,
    rule: string,
    upstream: string,
    rcode: number,
  ): void {
    const index = this.#count++ % ENTRIES
    const slot = (this.#slots[index] ??= {
      question: new Uint8Array(QUESTION),
      nameLength: 0,
      at: 0,
      ms: 0,
      rule: '',
      upstream: '',
      rcode: 0,
    })
    const { question } = slot
    for (let from = start, to = 0; from < end - 2; ) question[to++] = buffer[from++]
    slot.nameLength = end - start - 4
    slot.at = at
    slot.ms = ms
    slot.rule = rule
    slot.upstream = upstream
    slot.rcode = rcode
  }

  /** What came after `seq`, oldest first; with 0 all that is kept. */
  since(seq: number): PastDecision[] {
    const first = Math.max(seq, this.#count - this.#slots.length)
    return Array.from({ length: Math.max(0, this.#count - first) }, (_, i) => {
      const { question, nameLength, at, ms, rule, upstream, rcode } = this.#slots[(first + i) % ENTRIES]
      return {
        seq: first + i + 1,
        at,
        ms,
        name: nameText(question),
        type: typeName(u16(question, nameLength)),
        rule,
        upstream,
        rcode: rcodeName(rcode),
      }
    })
  }
}
