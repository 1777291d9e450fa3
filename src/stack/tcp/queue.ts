// What is to be sent: the chunks of the owner, by reference, from the first byte that is not acknowledged on. A ring
// that only grows allocates nothing in steady state; a cursor makes sending in sequence independent of its length.
import { copyBytes } from '../../wire/bytes.ts'

const NOTHING = new Uint8Array(0)

export class SendQueue {
  /** Sequence number of the first byte kept, and of the one behind the last. */
  start = 0
  end = 0
  private ring: Uint8Array[] = [NOTHING, NOTHING]
  // Both count up for ever; the place in the ring is the count modulo the ring's length.
  private head = 0
  private tail = 0
  /** Bytes of the head chunk that are acknowledged. */
  private headOffset = 0
  // Where the copy before this one ended.
  private cursor = 0
  private cursorOffset = 0
  private cursorSequence = 0

  /** Empties it; the next byte will be `sequence`. */
  restart(sequence: number): void {
    this.start = this.end = this.cursorSequence = sequence
    this.head = this.tail = this.headOffset = this.cursor = this.cursorOffset = 0
    this.ring = [NOTHING, NOTHING]
  }

  push(chunk: Uint8Array): void {
    const size = this.ring.length
    if (this.tail - this.head === size) this.grow()
    this.ring[this.tail & (this.ring.length - 1)] = chunk
    this.tail++
    this.end = (this.end + chunk.length) | 0
  }

  /** Forgets the first `count` bytes. */
  release(count: number): void {
    const { ring } = this
    const mask = ring.length - 1
    this.start = (this.start + count) | 0
    while (count > 0) {
      const left = ring[this.head & mask].length - this.headOffset
      if (count < left) {
        this.headOffset += count
        break
      }
      count -= left
      ring[this.head & mask] = NOTHING
      this.head++
      this.headOffset = 0
    }
    if (((this.cursorSequence - this.start) | 0) < 0) this.rewind()
    else if (this.head === this.tail && ring.length > 64) this.restart(this.start)
  }

  /** Copies the `count` bytes from `sequence` on, all of which are here, to `target[at ..)`. */
  copy(sequence: number, count: number, target: Uint8Array, at: number): void {
    const { ring } = this
    const mask = ring.length - 1
    let skip = (sequence - this.cursorSequence) | 0
    if (skip < 0) {
      this.rewind()
      skip = (sequence - this.start) | 0
    }
    let index = this.cursor
    let offset = this.cursorOffset
    while (skip > 0) {
      const left = ring[index & mask].length - offset
      if (skip < left) {
        offset += skip
        break
      }
      skip -= left
      index++
      offset = 0
    }
    this.cursorSequence = (sequence + count) | 0
    while (count > 0) {
      const chunk = ring[index & mask]
      const left = chunk.length - offset
      if (count < left) {
        copyBytes(target, at, chunk, offset, count)
        offset += count
        break
      }
      copyBytes(target, at, chunk, offset, left)
      at += left
      count -= left
      index++
      offset = 0
    }
    this.cursor = index
    this.cursorOffset = offset
  }

  private rewind(): void {
    this.cursor = this.head
    this.cursorOffset = this.headOffset
    this.cursorSequence = this.start
  }

  private grow(): void {
    const old = this.ring
    const ring = new Array<Uint8Array>(old.length * 2).fill(NOTHING)
    for (let i = this.head; i < this.tail; i++) ring[i & (ring.length - 1)] = old[i & (old.length - 1)]
    this.ring = ring
  }
}
