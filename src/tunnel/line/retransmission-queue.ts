// The retransmission queue (RFC 9293 3.4): what one end of a line has sent and the other has not acknowledged.
import type { Slab } from '../transport/gatherer.ts'
import { DATA_HEADER, PATH_HEADROOM, sealLineData } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** Of one message when bytes are sent again. */
const RETRANSMIT_BYTES = 128 * 1024

interface Kept {
  offset: number
  readonly end: number
  /** `bytes[start]` is the byte at `offset`. */
  readonly bytes: Buffer
  start: number
  /** Given back when all of it is acknowledged. */
  slab: Slab | undefined
  /** What it was sent over last. */
  path: LinePath | undefined
}

export class RetransmissionQueue {
  #kept: Kept[] = []
  readonly #giveBack: (slab: Slab) => void

  constructor(giveBack: (slab: Slab) => void) {
    this.#giveBack = giveBack
  }

  /** `bytes[start]` is the byte at `offset`; it goes over `path` for now. */
  keep(
    offset: number,
    end: number,
    bytes: Buffer,
    start: number,
    slab: Slab | undefined,
    path: LinePath | undefined,
  ): void {
    this.#kept.push({ offset, end, bytes, start, slab, path })
  }

  /** The other end has everything in front of `received`. */
  acknowledged(received: number): void {
    let count = 0
    for (const kept of this.#kept) {
      if (kept.end > received) {
        if (kept.offset < received) {
          kept.start += received - kept.offset
          kept.offset = received
        }
        break
      }
      count++
      if (kept.slab) this.#giveBack(kept.slab)
    }
    this.#kept.splice(0, count)
  }

  /** Sends over `path` what is kept, or of that what went over `from` last. `received` is for the frames' headers. */
  retransmit(path: LinePath, received: number, from?: LinePath): void {
    for (const kept of this.#kept) {
      if (from && kept.path !== from) continue
      // Its memory must not be used again while a path that is still open has it in its socket.
      if (kept.path && kept.path !== path && kept.path.open && kept.path.pending > 0) kept.slab = undefined
      kept.path = path
      const { offset, end, bytes, start } = kept
      for (let at = offset; at < end; at += RETRANSMIT_BYTES) {
        const size = Math.min(RETRANSMIT_BYTES, end - at)
        sendCopy(path, bytes.subarray(start + at - offset, start + at - offset + size), at, received)
      }
    }
  }

  clear(): void {
    this.#kept = []
  }
}

/** Sends a copy of `payload`, whose first byte is that at `offset`. */
export function sendCopy(path: LinePath, payload: Buffer, offset: number, received: number): void {
  const begin = PATH_HEADROOM + DATA_HEADER
  const copy = Buffer.allocUnsafe(begin + payload.length)
  copy.set(payload, begin)
  sealLineData(copy, begin, copy.length, offset, received)
  path.sendData(copy, PATH_HEADROOM, copy.length, payload.length)
}
