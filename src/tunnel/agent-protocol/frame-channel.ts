// The frame channel over an SSH channel, the same for client and agent: frames that must arrive wait for credit,
// datagrams that find no room are dropped. The datagrams of one turn, and those that may wait, leave as one SSH message: each
// message costs every process on the way a system call or a cipher's run, which is more than a datagram itself costs.

import type { Channel, ChannelHandler } from '../ssh/channel.ts'
import type { ChannelMux } from '../ssh/mux.ts'
import { MAX_DATA } from '../ssh/packet-shape.ts'
import { encodeFrame, FrameReader, frameSize, putFrame } from './frames.ts'

/** Larger than a flow's, since datagrams are dropped when it is used up. */
export const FRAME_CHANNEL_WINDOW = 2 * 1024 * 1024

export interface FrameChannelOwner {
  onFrame(type: number, id: number, body: Buffer): void
  /** The channel is gone or the other side sent nonsense: the session is of no use any more. */
  onGone(why: string): void
}

export class FrameChannel implements ChannelHandler {
  readonly #owner: FrameChannelOwner
  readonly #mux: ChannelMux
  readonly #reader: FrameReader
  #channel: Channel | undefined
  #waiting: Buffer[] = []
  /** Datagrams that have not left yet: `#gathered` bytes of frames. Made for the first one. */
  #gathering: Buffer | undefined
  #gathered = 0
  #turn: NodeJS.Immediate | undefined
  #cancelTimer: (() => void) | undefined

  constructor(mux: ChannelMux, owner: FrameChannelOwner) {
    this.#mux = mux
    this.#owner = owner
    this.#reader = new FrameReader((type, id, body) => owner.onFrame(type, id, body))
  }

  attach(channel: Channel): void {
    this.#channel = channel
    channel.use = 'read'
  }

  /** Sends a frame, later if it must be. */
  send(type: number, id: number, ...parts: Uint8Array[]): void {
    this.#leave()
    const frame = encodeFrame(type, id, ...parts)
    if (this.#waiting.length > 0 || !this.#channel?.open || !this.#channel.writeUrgent(frame)) this.#waiting.push(frame)
  }

  /** Ends the channel behind what was sent. */
  end(): void {
    this.#leave()
    this.#channel?.end()
  }

  /** Sends a frame in this turn, or drops it and returns false if there is no room. */
  sendNow(type: number, id: number, ...parts: Uint8Array[]): boolean {
    if (!this.#gather(type, id, parts)) return false
    if (this.#gathered > 0) this.#turn ??= setImmediate(this.#leave)
    return true
  }

  /** As `sendNow`, but the frame may wait up to `ms` to be batched with others. */
  sendWithin(ms: number, type: number, id: number, ...parts: Uint8Array[]): boolean {
    if (!this.#gather(type, id, parts)) return false
    if (this.#gathered > 0 && !this.#turn) this.#cancelTimer ??= this.#mux.clock.after(ms, this.#leave)
    return true
  }

  #gather(type: number, id: number, parts: Uint8Array[]): boolean {
    if (this.#waiting.length > 0 || this.#mux.congested || !this.#channel?.open) return false
    const size = frameSize(parts)
    if (this.#gathered + size > MAX_DATA) this.#leave()
    // What is taken here leaves: nothing else uses the channel's credit before.
    if (this.#channel.credit < this.#gathered + size) return false
    if (size > MAX_DATA) {
      this.#mux.flight.hurry()
      return this.#channel.writeUrgent(encodeFrame(type, id, ...parts))
    }
    this.#gathering ??= Buffer.allocUnsafeSlow(MAX_DATA)
    this.#gathered = putFrame(this.#gathering, this.#gathered, type, id, parts)
    return true
  }

  readonly #leave = (): void => {
    clearImmediate(this.#turn)
    this.#cancelTimer?.()
    this.#turn = undefined
    this.#cancelTimer = undefined
    if (!this.#gathering || this.#gathered === 0) return
    const batch = this.#gathering.subarray(0, this.#gathered)
    this.#gathered = 0
    this.#mux.flight.hurry()
    this.#channel?.writeUrgent(batch)
  }

  onOpen(): void {
    this.onDrain()
  }

  onRefused(_reason: number, description: string): void {
    this.#owner.onGone(`the far side has no frame channel: ${description || 'refused'}`)
  }

  onData(chunk: Buffer): void {
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.#channel?.abandon()
      this.#owner.onGone((error as Error).message)
      return
    }
    this.#channel?.consumed(chunk.length)
  }

  onEnd(): void {
    this.#channel?.abandon()
    this.#owner.onGone('the frame channel was closed')
  }

  onDrain(): void {
    while (this.#waiting.length > 0 && this.#channel?.writeUrgent(this.#waiting[0])) this.#waiting.shift()
  }

  onClose(how: 'clean' | 'reset' | 'lost'): void {
    // The whole session is gone then, which has its own reason.
    if (how !== 'lost') this.#owner.onGone('the frame channel was closed')
  }
}
