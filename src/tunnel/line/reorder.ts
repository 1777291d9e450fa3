// Bytes that have come before those in front of them, over the faster one of two paths. They wait here as copies.
import { MAX_PAYLOAD } from './frames.ts'

interface Piece {
  readonly offset: number
  readonly bytes: Buffer
}

export class Reorder {
  /** In order of their offsets, none twice. */
  readonly #pieces: Piece[] = []
  readonly #most: number

  /** `most`: what the sender may have unacknowledged. */
  constructor(most: number) {
    this.#most = most + MAX_PAYLOAD
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#pieces.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  /** Keeps what is new of `piece`, while byte `expected` is the next to come. Throws RangeError if that is too far ahead. */
  hold(offset: number, piece: Buffer, expected: number): void {
    const end = offset + piece.length
    if (end > expected + this.#most) throw new RangeError(`bytes at ${offset} when ${expected} are expected`)
    const pieces = this.#pieces
    // Most pieces belong behind all others.
    let at = pieces.length
    while (at > 0 && pieces[at - 1].offset > offset) at--
    let from = at > 0 ? Math.max(offset, endOf(pieces[at - 1])) : offset
    for (; from < end; at++) {
      const next = pieces[at]
      const to = next ? Math.min(end, next.offset) : end
      if (to > from) {
        pieces.splice(at, 0, { offset: from, bytes: Buffer.from(piece.subarray(from - offset, to - offset)) })
        at++
      }
      if (!next) return
      from = endOf(next)
    }
  }

  /** Takes out what follows the bytes in front of `expected`; undefined if that has not come. */
  take(expected: number): Buffer | undefined {
    while (this.#pieces.length > 0 && this.#pieces[0].offset <= expected) {
      const { offset, bytes } = this.#pieces.shift()!
      if (offset + bytes.length > expected) return bytes.subarray(expected - offset)
    }
    return undefined
  }

  clear(): void {
    this.#pieces.length = 0
  }
}

const endOf = ({ offset, bytes }: Piece): number => offset + bytes.length
