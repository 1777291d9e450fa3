// Bytes that have come before those in front of them, over the faster one of two paths. They wait here as copies, in memory that is
// used again: fresh memory for each cost more than decrypting it.
import { MAX_PAYLOAD, ProtocolError } from './frames.ts'

const CHUNK_BYTES = 256 * 1024
/** Chunks that are held for reuse; a path is ahead of the other one by a few megabytes. */
const SPARE_CHUNKS = 16

/** Memory that is filled from its beginning. It is used again when nothing of it waits. */
interface Chunk {
  readonly bytes: Buffer
  end: number
  pieces: number
}

interface Piece {
  readonly offset: number
  readonly bytes: Buffer
  readonly chunk: Chunk
}

export class Reorder {
  /** In order of their offsets, none twice. */
  readonly #pieces: Piece[] = []
  readonly #most: number
  #filling: Chunk | undefined
  readonly #spare: Chunk[] = []
  /** What `take` has given last. */
  #given: Piece | undefined

  /** `most`: what the sender may have unacknowledged. */
  constructor(most: number) {
    this.#most = most + MAX_PAYLOAD
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#pieces.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  /** Keeps what is new of `piece`, while byte `expected` is the next to come. Throws ProtocolError if that is too far ahead. */
  hold(offset: number, piece: Buffer, expected: number): void {
    const end = offset + piece.length
    if (end > expected + this.#most) throw new ProtocolError(`bytes at ${offset} when ${expected} are expected`)
    const pieces = this.#pieces
    // Most pieces belong behind all others.
    let at = pieces.length
    while (at > 0 && pieces[at - 1].offset > offset) at--
    let from = at > 0 ? Math.max(offset, endOf(pieces[at - 1])) : offset
    for (; from < end; at++) {
      const next = pieces[at]
      const to = next ? Math.min(end, next.offset) : end
      if (to > from) pieces.splice(at++, 0, this.#copy(from, piece.subarray(from - offset, to - offset)))
      if (!next) return
      from = endOf(next)
    }
  }

  /** Takes out what follows the bytes in front of `expected`, valid until the next call; undefined if that has not come. */
  take(expected: number): Buffer | undefined {
    if (this.#given) this.#release(this.#given.chunk)
    this.#given = undefined
    while (this.#pieces.length > 0 && this.#pieces[0].offset <= expected) {
      const piece = this.#pieces.shift()!
      if (endOf(piece) > expected) {
        this.#given = piece
        return piece.bytes.subarray(expected - piece.offset)
      }
      this.#release(piece.chunk)
    }
    return undefined
  }

  clear(): void {
    this.#pieces.length = 0
    this.#spare.length = 0
    this.#filling = undefined
    this.#given = undefined
  }

  #copy(offset: number, bytes: Buffer): Piece {
    let chunk = this.#filling
    if (!chunk || chunk.end + bytes.length > chunk.bytes.length) {
      chunk = this.#spare.pop()
      // A frame is larger than a chunk only where another kt has other messages.
      if (!chunk || chunk.bytes.length < bytes.length)
        chunk = { bytes: Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes.length)), end: 0, pieces: 0 }
      chunk.end = 0
      this.#filling = chunk
    }
    const start = chunk.end
    chunk.bytes.set(bytes, start)
    chunk.end += bytes.length
    chunk.pieces++
    return { offset, bytes: chunk.bytes.subarray(start, chunk.end), chunk }
  }

  #release(chunk: Chunk): void {
    chunk.pieces--
    if (chunk.pieces > 0) return
    if (chunk === this.#filling) chunk.end = 0
    else this.#keep(chunk)
  }

  #keep(chunk: Chunk): void {
    if (this.#spare.length < SPARE_CHUNKS) this.#spare.push(chunk)
  }
}

const endOf = ({ offset, bytes }: Piece): number => offset + bytes.length
