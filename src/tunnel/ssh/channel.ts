// One channel: its two windows, how far it is from its end, and what its owner may do. The mux drives it.
import { MAX_DATA } from './packet-shape.ts'
import { Pulse } from './pulse.ts'
import type { Slab } from './slab.ts'
import type { ReceiveWindow } from './window.ts'

/** A channel's owner. No call comes after onRefused or onClose, nor after `reset` or `abandon` here. */
export interface ChannelHandler {
  onOpen(): void
  onRefused(reason: number, description: string): void
  onData(chunk: Buffer): void
  onEnd(): void
  onDrain(): void
  /** `clean`: both directions ended with EOF. */
  onClose(how: 'clean' | 'reset' | 'lost'): void
}

/** What a channel needs of its mux. */
export interface ChannelOwner {
  write(channel: Channel, buffer: Uint8Array, start: number, end: number, urgent: boolean): number
  consumed(channel: Channel, bytes: number): void
  end(channel: Channel): void
  drop(channel: Channel, withReset: boolean): void
}

/** What becomes of the chunks given to `onData`. */
export type ChunkUse =
  | 'kept' // for as long as the owner likes
  | 'returned' // not looked at after `consumed`
  | 'read' // not looked at after the call

/** Chunks whose owner has not consumed them, oldest first. */
class Loans {
  #slabs: Slab[] = []
  #bytes: number[] = []
  #first = 0

  add(slab: Slab, bytes: number): void {
    slab.retain()
    const last = this.#slabs.length - 1
    // Chunks of one slab come one after the other.
    if (last >= this.#first && this.#slabs[last] === slab) {
      slab.release()
      this.#bytes[last] += bytes
      return
    }
    this.#slabs.push(slab)
    this.#bytes.push(bytes)
  }

  settle(bytes: number): void {
    while (bytes > 0 && this.#first < this.#slabs.length) {
      const part = Math.min(bytes, this.#bytes[this.#first])
      bytes -= part
      this.#bytes[this.#first] -= part
      if (this.#bytes[this.#first] === 0) this.#slabs[this.#first++].release()
    }
    if (this.#first === this.#slabs.length || this.#first > 64) {
      this.#slabs.splice(0, this.#first)
      this.#bytes.splice(0, this.#first)
      this.#first = 0
    }
  }
}

export class Channel {
  handler: ChannelHandler
  use: ChunkUse = 'kept'
  readonly loans = new Loans()
  readonly id: number
  readonly #mux: ChannelOwner
  readonly window: ReceiveWindow
  remoteId = -1
  /** Bytes the other side still takes. */
  credit = 0
  maxData = MAX_DATA
  /** While more is to be sent, less credit than this is not used. 0 where the window is too small to wait. */
  wholeCredit = 0
  /** What we leave of a window that is larger than the line needs; see `ChannelMux.limitSending`. */
  reserve = 0
  #fullCredit = 0
  #sending: ReceiveWindow | undefined
  open = false
  sentEof = false
  gotEof = false
  sentClose = false
  gotClose = false
  gotReset = false
  parked = false
  /** Waiting for credit, so a window adjust must wake the owner. */
  starved = false
  quantum = 0
  readonly pulse = new Pulse()
  readonly incoming = new Pulse()
  /** The owner has let go. */
  abandoned = false

  constructor(mux: ChannelOwner, id: number, handler: ChannelHandler, window: ReceiveWindow) {
    this.#mux = mux
    this.id = id
    this.handler = handler
    this.window = window
  }

  /** What the other side takes: `window` bytes for now, `maxData` of them in a message. */
  permit(window: number, maxData: number): void {
    this.credit = window
    this.maxData = maxData
    // The other side returns credit when half of its window is consumed, at the latest. So waiting for this much cannot stall.
    this.wholeCredit = window >= 4 * maxData ? maxData : 0
  }

  /** From now on no more is in flight than `sending` would let be; `fullCredit` is the other side's window. */
  limit(sending: ReceiveWindow, fullCredit: number): void {
    this.#sending = sending
    this.#fullCredit = fullCredit
    this.reserve = Math.max(0, fullCredit - sending.size)
  }

  /** The other side takes `bytes` more. */
  credited(bytes: number): void {
    this.credit += bytes
    if (!this.#sending) return
    this.#sending.consumed(bytes)
    this.reserve = Math.max(0, this.#fullCredit - this.#sending.size)
  }

  /** Gives the memory of both windows back to the budget. */
  release(): void {
    this.window.release()
    this.#sending?.release()
  }

  /** As TunnelStream.write. */
  write(buffer: Uint8Array, start: number, end: number): number {
    return this.#mux.write(this, buffer, start, end, false)
  }

  /** Writes all or nothing, even when the transport is full (to a bound); for control frames. */
  writeUrgent(buffer: Uint8Array): boolean {
    if (this.credit < buffer.length) {
      this.starved = true
      return false
    }
    return this.#mux.write(this, buffer, 0, buffer.length, true) === buffer.length
  }

  consumed(bytes: number): void {
    this.#mux.consumed(this, bytes)
  }

  end(): void {
    this.#mux.end(this)
  }

  /** Tells the other side of a reset, closes, and is silent from then on. */
  reset(): void {
    this.#mux.drop(this, true)
  }

  /** Closes without a word, and is silent from then on. */
  abandon(): void {
    this.#mux.drop(this, false)
  }
}

/** The handler of a channel whose owner has let go. */
export const deaf: ChannelHandler = {
  onOpen() {},
  onRefused() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}
