// What the upstreams share: ids of their own for queries under way, the check that an answer belongs to its query, and
// the errors they reject with.
import { FLAG_QR, FLAG_TC, HEADER_LEN, putU16, sameQuestion, skipName, u16 } from './message.ts'

/** An upstream did not answer in time, or the way to it is gone. */
export class UpstreamError extends Error {
  readonly code: 'timeout' | 'lost'

  constructor(code: 'timeout' | 'lost', message: string) {
    super(message)
    this.name = 'UpstreamError'
    this.code = code
  }
}

/** Called once, with answer or error. */
export type Settle = (answer: Uint8Array | undefined, error: UpstreamError | undefined) => void

/** A query under way. */
export class Outstanding {
  /** With our id in it. */
  readonly message: Uint8Array
  /** Where its question ends. */
  readonly questionEnd: number
  readonly #queries: Map<number, Outstanding>
  readonly #settle: Settle

  constructor(queries: Map<number, Outstanding>, message: Uint8Array, settle: Settle) {
    this.#queries = queries
    this.message = message
    this.questionEnd = skipName(message, HEADER_LEN, message.length) + 4
    this.#settle = settle
  }

  resolve(answer: Uint8Array): void {
    if (this.#forget()) this.#settle(answer, undefined)
  }

  reject(error: UpstreamError): void {
    if (this.#forget()) this.#settle(undefined, error)
  }

  #forget(): boolean {
    const id = u16(this.message, 0)
    return this.#queries.get(id) === this && this.#queries.delete(id)
  }
}

/** Queries under way on one transport, by id. */
export class OutstandingQueries {
  readonly #byId = new Map<number, Outstanding>()
  readonly #random: () => number

  /** `random`: uniform in 0 .. 2^32 - 1; RFC 5452 9.2 wants ids that cannot be guessed. */
  constructor(random: () => number) {
    this.#random = random
  }

  get size(): number {
    return this.#byId.size
  }

  values(): Outstanding[] {
    return [...this.#byId.values()]
  }

  /** Writes an id that is free into the query, which is kept. `settle` is called when it is free again. */
  add(message: Uint8Array, settle: Settle): Outstanding {
    // More than this under way and a free id takes long to find; an attacker's guesses also hit too often.
    if (this.#byId.size >= 0x4000) throw new UpstreamError('lost', 'too many DNS queries under way')
    let id = this.#random() & 0xffff
    while (this.#byId.has(id)) id = (id + 1) & 0xffff
    putU16(message, 0, id)
    const outstanding = new Outstanding(this.#byId, message, settle)
    this.#byId.set(id, outstanding)
    return outstanding
  }

  /** The query that `answer` belongs to: same id, same question. */
  match(answer: Uint8Array): Outstanding | undefined {
    if (answer.length < HEADER_LEN || !(answer[2] & FLAG_QR)) return undefined
    const outstanding = this.#byId.get(u16(answer, 0))
    return outstanding && answersQuery(outstanding, answer) ? outstanding : undefined
  }

  rejectAll(error: UpstreamError): void {
    for (const outstanding of this.values()) outstanding.reject(error)
  }
}

// An error may come without the question, as from a server that does not understand EDNS (RFC 6891 7).
function answersQuery({ message, questionEnd }: Outstanding, answer: Uint8Array): boolean {
  if (u16(answer, 4) === 0) return (answer[3] & 15) !== 0 && u16(answer, 6) === 0
  return u16(answer, 4) === 1 && sameQuestion(message, HEADER_LEN, answer, HEADER_LEN, questionEnd - HEADER_LEN)
}

export const isTruncated = (answer: Uint8Array): boolean => (answer[2] & FLAG_TC) !== 0

/** A copy of an answer under the id its asker knows. */
export function withId(answer: Uint8Array, id: number): Uint8Array {
  const copy = new Uint8Array(answer) // `slice` of a Buffer would be a view
  putU16(copy, 0, id)
  return copy
}
