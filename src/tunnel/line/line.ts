// One end of a line: a transport whose bytes outlive the connections that carry them. What it sends is numbered and kept
// until the other end has it; what arrives is put in order by its number. It does not dial: whoever owns it gives it one
// path after another (src/tunnel/line/client.ts, src/tunnel/line/agent.ts). docs/understand/line.md is the protocol.
import type { Clock } from '../../base/clock.ts'
import { type Departure, Gatherer, type Slab, type Turns } from '../transport/gatherer.ts'
import type { Transport } from '../transport/transport.ts'
import { DATA_HEADER, LineFrame, lineFrame, offsetBytes, PATH_HEADROOM, sealLineData } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** What may be sent and not acknowledged: at 100 ms round trip this is 160 MB/s. */
export const MOST_UNACKED = 16 * 1024 * 1024
/** The receiver acknowledges each time this much has come, and what is less after a while, alone or with data. */
const ACK_BYTES = 1536 * 1024
const ACK_MS = 100
/** Messages below this are kept as copies: a slab is 132 KiB, whatever it holds. */
const COPY_BYTES = 32 * 1024
/**
 * Memory for messages that is held for reuse: for as much as may be unacknowledged. With less, a busy line allocates 132 KiB
 * per message, which costs more than encrypting it.
 */
const SPARE_SLABS = 128
/** Of one message when bytes are sent again. */
const AGAIN_BYTES = 128 * 1024

/** Bytes that are sent and not acknowledged. */
interface Kept {
  offset: number
  readonly end: number
  /** `bytes[start]` is the byte at `offset`. */
  readonly bytes: Buffer
  start: number
  /** Given back when all of it is acknowledged. */
  readonly slab: Slab | undefined
}

export interface LineOptions {
  clock: Clock
  departure?: Departure
  turns?: Turns
  /** The other end has acknowledged something, or answered a probe. */
  onProgress?: () => void
  /** The line has ended, in whatever way. */
  onOver?: () => void
}

export class Line implements Transport {
  readonly #clock: Clock
  readonly #onProgress: () => void
  readonly #onOver: () => void
  readonly #gatherer: Gatherer
  #kept: Kept[] = []
  /** Offsets: the next byte to send, the first that is not acknowledged, the next to come. */
  #sent = 0
  #acked = 0
  #received = 0
  #ackSent = 0
  #cancelAck: (() => void) | undefined
  #current: LinePath | undefined
  /** Lets the gatherer send its next message. */
  #next: (() => void) | undefined
  #onData: ((chunk: Buffer) => void) | undefined
  #onClose: ((error: Error | undefined) => void) | undefined
  #early: Buffer[] = []
  #over: { error: Error | undefined } | undefined
  #ending = false
  #sentSince = 0

  constructor({ clock, departure, turns, onProgress = () => {}, onOver = () => {} }: LineOptions) {
    this.#clock = clock
    this.#onProgress = onProgress
    this.#onOver = onOver
    this.#gatherer = new Gatherer((message, done, slab) => this.#take(message, done, slab), {
      framing: {
        headroom: PATH_HEADROOM + DATA_HEADER,
        seal: (slab, start, end) => sealLineData(slab, start, end, this.#sent, this.#received),
      },
      departure,
      mostSpare: SPARE_SLABS,
      turns,
    })
  }

  // The transport that SSH sees.

  start(onData: (chunk: Buffer) => void, onClose: (error: Error | undefined) => void): void {
    this.#onData = onData
    this.#onClose = onClose
    for (const chunk of this.#early.splice(0)) onData(chunk)
    if (this.#over) onClose(this.#over.error)
  }

  reserve(length: number): Buffer {
    return this.#gatherer.reserve(length)
  }

  write(chunk: Uint8Array): void {
    this.#gatherer.write(chunk)
  }

  unhurried(write: () => void): void {
    this.#gatherer.unhurried(write)
  }

  get buffered(): number {
    return this.#gatherer.buffered
  }

  get onDrain(): () => void {
    return this.#gatherer.onDrain
  }

  set onDrain(callback: () => void) {
    this.#gatherer.onDrain = callback
  }

  /** The END frame tells the other end that nothing more comes; the path then closes. Without a path it ends at once. */
  end(): void {
    this.#ending = true
    if (!this.#current) this.destroy()
    else this.#gatherer.whenEmpty(() => this.#farewell())
  }

  #farewell(): void {
    const path = this.#current
    if (!path) this.destroy()
    else path.send(lineFrame(LineFrame.end, offsetBytes(this.#sent)), () => this.destroy())
  }

  destroy(error?: Error): void {
    if (this.#over) return
    this.#over = { error }
    this.#cancelAck?.()
    this.#gatherer.close()
    this.#kept = []
    const path = this.#current
    this.#current = undefined
    // An orderly end lets what was sent leave first.
    if (this.#ending && path?.open) path.path.end()
    else path?.close()
    this.#onOver()
    this.#onClose?.(error)
  }

  // What its owner sees.

  get over(): boolean {
    return this.#over !== undefined
  }

  get current(): LinePath | undefined {
    return this.#current
  }

  /** What the other end has got for certain. */
  get acked(): number {
    return this.#acked
  }

  /** The next byte to come: what a resuming end tells the other. */
  get received(): number {
    return this.#received
  }

  get unacked(): number {
    return this.#sent - this.#acked
  }

  /** Can the other end have received so many bytes? */
  couldHave(received: number): boolean {
    return received <= this.#sent
  }

  /** Since when bytes have waited for an acknowledgement without any progress, undefined if none do. */
  get waitingSince(): number | undefined {
    return this.#sent > this.#acked ? this.#sentSince : undefined
  }

  /**
   * Bytes go over `path` from now on, beginning with the first that the other end has not got: `peerReceived` is what it
   * says. Throws RangeError when that cannot be. The path before is the owner's to close.
   */
  attach(path: LinePath, peerReceived: number): void {
    this.acknowledge(peerReceived)
    const before = this.#current
    this.#current = path
    path.onIdle = () => this.#proceed()
    // Its messages lie in memory that is used again as soon as the new path has carried the bytes.
    if (before && before !== path && before.pending > 0) before.close()
    this.#sentSince = this.#clock.now()
    this.#sendAgain(path)
  }

  /** `path` is gone. Nothing is sent until another is attached. */
  detach(path: LinePath): void {
    path.lost()
    if (this.#current === path) this.#current = undefined
  }

  /** The other end has sent END. */
  ended(offset: number | undefined): void {
    this.destroy(offset === this.#received ? undefined : new Error('the line ended before all of it had come'))
  }

  /** Bytes of the other end, valid during the call; those that were here before are passed over. */
  receive(offset: number, piece: Buffer): void {
    if (offset > this.#received) throw new RangeError(`bytes at ${offset} when ${this.#received} are expected`)
    const known = this.#received - offset
    if (known >= piece.length || this.#over) return
    const fresh = known === 0 ? piece : piece.subarray(known)
    this.#received += fresh.length
    if (this.#received - this.#ackSent >= ACK_BYTES) this.#sendAck()
    else this.#cancelAck ??= this.#clock.after(ACK_MS, this.#sendAck)
    if (this.#onData) this.#onData(fresh)
    else this.#early.push(Buffer.from(fresh))
  }

  readonly #sendAck = (): void => {
    this.#cancelAck?.()
    this.#cancelAck = undefined
    // Data that left meanwhile has told it.
    if (this.#received === this.#ackSent || !this.#current) return
    this.#ackSent = this.#received
    this.#current.send(lineFrame(LineFrame.ack, offsetBytes(this.#received)))
  }

  /** The other end has everything in front of `received`. */
  acknowledge(received: number): void {
    if (!this.couldHave(received)) throw new RangeError(`${received} bytes are acknowledged, ${this.#sent} were sent`)
    if (received <= this.#acked) return
    this.#acked = received
    this.#sentSince = this.#clock.now()
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
      if (kept.slab) this.#gatherer.giveBack(kept.slab)
    }
    this.#kept.splice(0, count)
    this.#onProgress()
    this.#proceed()
  }

  /** A message of the gatherer's: it is numbered and kept, and leaves if there is a path. */
  #take(message: Buffer, done: () => void, slab: Slab): boolean {
    const frameStart = message.byteOffset - slab.bytes.byteOffset
    const start = frameStart + DATA_HEADER
    const size = slab.end - start
    if (this.#sent === this.#acked) this.#sentSince = this.#clock.now()
    const offset = this.#sent
    this.#sent += size
    this.#ackSent = this.#received // the header says it
    this.#next = done
    const path = this.#current
    // A path that changes the bytes (a mask in clear text) gets copies.
    const keepSlab = size >= COPY_BYTES && !path?.path.framing.alters
    const bytes = keepSlab ? slab.bytes : Buffer.from(slab.bytes.subarray(start, slab.end))
    this.#kept.push({ offset, end: this.#sent, bytes, start: keepSlab ? start : 0, slab: keepSlab ? slab : undefined })
    if (path) path.sendSealed(slab.bytes, frameStart, slab.end)
    // Without a path the slab is not looked at again: what is sent later is copied from what is kept.
    return keepSlab
  }

  /** Lets the gatherer go on when the path has taken what there was, and not too much waits for acknowledgement. */
  #proceed(): void {
    const done = this.#next
    if (!done || !this.#current || this.#current.pending > 0 || this.unacked >= MOST_UNACKED) return
    this.#next = undefined
    done()
  }

  #sendAgain(path: LinePath): void {
    for (const { offset, end, bytes, start } of this.#kept) {
      for (let from = offset; from < end; ) {
        const size = Math.min(AGAIN_BYTES, end - from)
        const begin = PATH_HEADROOM + DATA_HEADER
        const copy = Buffer.allocUnsafe(begin + size)
        copy.set(bytes.subarray(start + from - offset, start + from - offset + size), begin)
        sealLineData(copy, begin, copy.length, from, this.#received)
        path.sendSealed(copy, PATH_HEADROOM, copy.length)
        from += size
      }
    }
    this.#ackSent = this.#received
    this.#proceed()
  }
}
