// The receive queue of a flow: bytes in order that the owner has not taken yet, and segments behind a gap. A flow gets one
// when it first needs it, and drops it when it is empty. Its memory counts towards the stack's budget.
import type { Core } from '../core.ts'

/** The memory of an entry beside its bytes (array header, buffer, object). */
const OVERHEAD = 256
/** Smallest allocation for bytes in order, so that a drip of single bytes does not become as many entries. */
const CHUNK = 4096
/**
 * The size of a buffer for the payload of one large frame. These buffers are reused: on uploads nearly all bytes wait here for
 * the tunnel, and with fresh memory for each V8 collected all garbage three times a second.
 */
const FRAME_BYTES = 64 * 1024
/** How many such buffers are kept for reuse: 4 MiB. */
const MAX_SPARE = 64
const spare: ArrayBuffer[] = []
/** The limit of segments behind gaps. */
const MAX_PIECES = 1024

interface Piece {
  sequence: number
  bytes: Uint8Array
}

export class ReceiveQueue {
  private ready: Uint8Array[] = []
  private lastUsed = 0
  private firstTaken = 0
  private pieces: Piece[] = []
  /** Bytes in order that wait for the owner. */
  readyBytes = 0
  private cost = 0
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
  }

  private account(bytes: number): void {
    this.cost += bytes
    this.core.receiveHeld += bytes
  }

  get pieceCount(): number {
    return this.pieces.length
  }

  get isEmpty(): boolean {
    return this.readyBytes === 0 && this.pieces.length === 0
  }

  /** Keeps a copy of `buffer[start .. end)` behind what is in order. */
  append(buffer: Uint8Array, start: number, end: number): void {
    this.readyBytes += end - start
    const last = this.ready[this.ready.length - 1]
    if (last !== undefined) {
      const room = Math.min(last.length - this.lastUsed, end - start)
      last.set(buffer.subarray(start, start + room), this.lastUsed)
      this.lastUsed += room
      start += room
    }
    if (start === end) return
    const chunk = memoryFor(end - start)
    chunk.set(buffer.subarray(start, end))
    this.ready.push(chunk)
    this.lastUsed = end - start
    this.account(chunk.length + OVERHEAD)
  }

  clear(): void {
    this.ready = []
    this.pieces = []
    this.readyBytes = this.lastUsed = this.firstTaken = 0
    this.account(-this.cost)
  }

  /** Offers the bytes in order until `take` takes less than it is offered. */
  drain(take: (buffer: Uint8Array, start: number, end: number) => number): void {
    while (this.readyBytes > 0) {
      const chunk = this.ready[0]
      const end = this.ready.length === 1 ? this.lastUsed : chunk.length
      const offered = end - this.firstTaken
      const taken = Math.max(0, Math.min(offered, take(chunk, this.firstTaken, end)))
      if (this.ready[0] !== chunk) return // emptied meanwhile
      this.firstTaken += taken
      this.readyBytes -= taken
      if (taken < offered) return
      if (this.firstTaken === (this.ready.length === 1 ? this.lastUsed : chunk.length)) {
        this.ready.shift()
        this.firstTaken = 0
        this.account(-(chunk.length + OVERHEAD))
        if (chunk.buffer.byteLength === FRAME_BYTES && spare.length < MAX_SPARE) spare.push(chunk.buffer as ArrayBuffer)
      }
    }
  }

  /** Keeps a copy of a segment behind a gap, without bytes that are here already. Returns false if there are too many. */
  insert(sequence: number, buffer: Uint8Array, start: number, end: number): boolean {
    const { pieces } = this
    let at = 0
    while (at < pieces.length && start < end) {
      const piece = pieces[at]
      const right = (piece.sequence + piece.bytes.length) | 0
      if (((right - sequence) | 0) <= 0) {
        at++
        continue
      }
      const before = (piece.sequence - sequence) | 0
      if (before > 0) {
        const length = Math.min(before, end - start)
        if (!this.place(at, sequence, buffer, start, start + length)) return false
        at++
        start += length
        sequence = (sequence + length) | 0
      }
      if (start >= end) return true
      const overlap = (right - sequence) | 0
      start += overlap
      sequence = (sequence + overlap) | 0
      at++
    }
    return start >= end || this.place(at, sequence, buffer, start, end)
  }

  private place(at: number, sequence: number, buffer: Uint8Array, start: number, end: number): boolean {
    if (this.pieces.length >= MAX_PIECES) return false
    this.pieces.splice(at, 0, { sequence, bytes: buffer.slice(start, end) })
    this.account(end - start + OVERHEAD)
    return true
  }

  /** Takes the piece out that contains `sequence`, if there is one: its bytes from there on. */
  pull(sequence: number): Uint8Array | undefined {
    const { pieces } = this
    while (pieces.length > 0) {
      const { sequence: left, bytes } = pieces[0]
      const skip = (sequence - left) | 0
      if (skip < 0) return undefined
      pieces.shift()
      this.account(-(bytes.length + OVERHEAD))
      if (skip < bytes.length) return skip === 0 ? bytes : bytes.subarray(skip)
    }
    return undefined
  }

  /**
   * RFC 2018 4: fills `edges` with up to `max` blocks, the one that contains `latest` first, then from the lowest on.
   * Returns how many.
   */
  sackBlocks(edges: Int32Array, max: number, latest: number): number {
    const { pieces } = this
    let count = 0
    let found = false
    for (let i = 0; i < pieces.length; ) {
      const left = pieces[i].sequence
      let right = (left + pieces[i].bytes.length) | 0
      for (i++; i < pieces.length && pieces[i].sequence === right; i++) right = (right + pieces[i].bytes.length) | 0
      const isLatest = ((latest - left) | 0) >= 0 && ((latest - right) | 0) < 0
      if (isLatest) {
        found = true
        if (count === max) count--
        for (let k = 2 * count - 1; k >= 0; k--) edges[k + 2] = edges[k]
        edges[0] = left
        edges[1] = right
        count++
      } else if (count < max) {
        edges[2 * count] = left
        edges[2 * count + 1] = right
        count++
      }
      if (found && count === max) break
    }
    return count
  }
}

/** A buffer of at least `length` bytes. A small one is larger than needed, so that more bytes can follow; a large one has exactly that size. */
function memoryFor(length: number): Uint8Array {
  if (length < FRAME_BYTES / 2 || length > FRAME_BYTES) return new Uint8Array(Math.max(CHUNK, length))
  return new Uint8Array(spare.pop() ?? new ArrayBuffer(FRAME_BYTES), 0, length)
}
