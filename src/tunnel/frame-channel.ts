// The control channel over an SSH channel, the same for client and agent: frames that must arrive wait for credit,
// datagrams that find no room are dropped.
import { encodeFrame, FrameReader } from './control.ts'
import type { Channel, ChannelHandler } from './ssh/channel.ts'
import type { ChannelMux } from './ssh/mux.ts'

/** Larger than a flow's, since datagrams are dropped when it is used up. */
export const CONTROL_WINDOW = 2 * 1024 * 1024

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
    const frame = encodeFrame(type, id, ...parts)
    if (this.#waiting.length > 0 || !this.#channel?.open || !this.#channel.writeUrgent(frame)) this.#waiting.push(frame)
  }

  /** Sends a frame now or not at all. */
  sendNow(type: number, id: number, ...parts: Uint8Array[]): boolean {
    if (this.#waiting.length > 0 || this.#mux.congested || !this.#channel?.open) return false
    this.#mux.flight.hurry()
    return this.#channel.writeUrgent(encodeFrame(type, id, ...parts))
  }

  onOpen(): void {
    this.onDrain()
  }

  onRefused(_reason: number, description: string): void {
    this.#owner.onGone(`the far side has no control channel: ${description || 'refused'}`)
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
    this.#owner.onGone('the control channel was closed')
  }

  onDrain(): void {
    while (this.#waiting.length > 0 && this.#channel?.writeUrgent(this.#waiting[0])) this.#waiting.shift()
  }

  onClose(how: 'clean' | 'reset' | 'lost'): void {
    // The whole session is gone then, which has its own reason.
    if (how !== 'lost') this.#owner.onGone('the control channel was closed')
  }
}
