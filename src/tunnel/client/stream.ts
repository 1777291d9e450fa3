// A TCP connection of the shadow over an SSH channel: the mux's channel in the words of the port.
import { type Endpoint, formatEndpoint } from '../../wire/address.ts'
import { failureOfOpen } from '../agent-protocol/failure.ts'
import type { Channel, ChannelHandler } from '../ssh/channel.ts'
import type { OpenRequest } from '../ssh/internals.ts'
import type { ChannelMux } from '../ssh/mux.ts'
import type { StreamHandler, TunnelStream } from '../tunnel.ts'

export class MuxStream implements TunnelStream, ChannelHandler {
  readonly #handler: StreamHandler
  readonly #target: Endpoint | undefined
  readonly #channel: Channel
  #opened: boolean

  private constructor(
    handler: StreamHandler,
    target: Endpoint | undefined,
    channelFor: (handler: ChannelHandler) => Channel,
  ) {
    this.#handler = handler
    this.#target = target
    this.#opened = target === undefined
    this.#channel = channelFor(this)
    if (handler.returnsChunks) this.#channel.use = 'returned'
  }

  /** A connection that the shadow shall make. */
  static dial(mux: ChannelMux, target: Endpoint, origin: Endpoint, handler: StreamHandler): MuxStream {
    return new MuxStream(handler, target, (stream) =>
      mux.openChannel('direct-tcpip', stream, {
        destIP: target.address.toString(),
        destPort: target.port,
        srcIP: origin.address.toString(),
        srcPort: origin.port,
      }),
    )
  }

  /** A connection that the shadow has got. */
  static accept(mux: ChannelMux, request: OpenRequest, handler: StreamHandler): MuxStream {
    return new MuxStream(handler, undefined, (stream) => mux.accept(request, stream))
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
    this.#handler.onFail(failureOfOpen(reason, description), `${formatEndpoint(this.#target!)}: ${description}`)
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
    else this.#handler.onFail('lost', `${formatEndpoint(this.#target!)}: the tunnel was lost`)
  }
}
