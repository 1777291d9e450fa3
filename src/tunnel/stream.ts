// A TCP connection of the shadow over an SSH channel: the mux's channel in the words of the port.
import { type Endpoint, formatEndpoint } from '../wire/address.ts'
import { failureOfOpen } from './failure.ts'
import type { StreamHandler, TunnelStream } from './port.ts'
import type { Channel, ChannelHandler } from './ssh/channel.ts'
import type { ChannelMux } from './ssh/mux.ts'

export class MuxStream implements TunnelStream, ChannelHandler {
  readonly #handler: StreamHandler
  readonly #target: Endpoint
  readonly #channel: Channel
  #opened = false

  constructor(mux: ChannelMux, target: Endpoint, origin: Endpoint, handler: StreamHandler) {
    this.#handler = handler
    this.#target = target
    this.#channel = mux.openChannel('direct-tcpip', this, {
      destIP: target.address.toString(),
      destPort: target.port,
      srcIP: origin.address.toString(),
      srcPort: origin.port,
    })
    if (handler.returnsChunks) this.#channel.use = 'returned'
  }

  write(buffer: Uint8Array, start: number, end: number): number {
    return this.#channel.write(buffer, start, end)
  }

  end(): void {
    this.#channel.end()
  }

  reset(): void {
    this.#channel.reset()
  }

  consumed(bytes: number): void {
    this.#channel.consumed(bytes)
  }

  onOpen(): void {
    this.#opened = true
    this.#handler.onOpen()
  }

  onRefused(reason: number, description: string): void {
    this.#handler.onFail(failureOfOpen(reason, description), `${formatEndpoint(this.#target)}: ${description}`)
  }

  onData(chunk: Buffer): void {
    this.#handler.onData(chunk)
  }

  onEnd(): void {
    this.#handler.onEnd()
  }

  onDrain(): void {
    this.#handler.onDrain()
  }

  onClose(how: 'clean' | 'reset' | 'lost'): void {
    if (this.#opened) this.#handler.onClose(how === 'clean' ? 'closed' : how)
    else this.#handler.onFail('lost', `${formatEndpoint(this.#target)}: the tunnel was lost`)
  }
}
