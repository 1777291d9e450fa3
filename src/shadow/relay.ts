// One TCP connection of the agent: dialled first, confirmed when connected, then bytes both ways with back pressure.
import { connect, isIP, type Socket } from 'node:net'
import type { Channel, ChannelHandler } from '../tunnel/ssh/channel.ts'
import { type ChannelMux, OpenFailure, type OpenRequest } from '../tunnel/ssh/mux.ts'

/** Sockets are read into one buffer, since what is read is sent before the next read: four channel messages. */
const READ_BUFFER = Buffer.allocUnsafeSlow(128 * 1024)
/** Of all sessions together; more are refused as a shortage. */
const MAX_RELAYS = 20_000

export class RelaySet {
  readonly #relays = new Set<Relay>()

  get size(): number {
    return this.#relays.size
  }

  /** Serves a direct-tcpip request. */
  open(mux: ChannelMux, request: OpenRequest): void {
    const { destIP: host = '', destPort: port = 0 } = request.data
    if (isIP(host) === 0 || port < 1 || port > 65_535) {
      mux.refuse(request, OpenFailure.prohibited, 'only addresses can be dialled')
    } else if (this.#relays.size >= MAX_RELAYS) {
      mux.refuse(request, OpenFailure.shortage, 'too many connections')
    } else {
      const relay = new Relay(mux, request, host, port, () => this.#relays.delete(relay))
      this.#relays.add(relay)
    }
  }

  /** The session of `mux` is lost: connections that are being dialled have no channel yet to tell them. */
  lose(mux: ChannelMux): void {
    for (const relay of [...this.#relays]) if (relay.mux === mux) relay.lose()
  }
}

class Relay implements ChannelHandler {
  readonly mux: ChannelMux
  readonly #request: OpenRequest
  readonly #socket: Socket
  readonly #over: () => void
  #channel: Channel | undefined
  /** Read from the socket and not taken by the channel. */
  #rest: Buffer | undefined
  #socketEnded = false
  #done = false
  /** Bytes from the channel that the socket has not passed to the kernel. */
  #unwritten = 0

  constructor(mux: ChannelMux, request: OpenRequest, host: string, port: number, over: () => void) {
    this.mux = mux
    this.#request = request
    this.#over = over
    this.#socket = connect({
      host,
      port,
      allowHalfOpen: true,
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (bytes) => this.#fromSocket(bytes) },
    })
    this.#socket.on('connect', () => {
      this.#channel = mux.accept(request, this)
      this.#channel.use = 'returned'
    })
    this.#socket.on('end', () => {
      this.#socketEnded = true
      if (!this.#rest) this.#channel?.end()
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    this.#socket.on('close', () => this.#finish())
  }

  lose(): void {
    if (this.#done) return
    this.#finish()
    this.#socket.resetAndDestroy()
  }

  // The channel's side.

  onData(chunk: Buffer): void {
    this.#unwritten += chunk.length
    this.#socket.write(chunk, this.#written)
  }

  onEnd(): void {
    this.#socket.end()
  }

  onDrain(): void {
    const rest = this.#rest
    if (!rest) return
    const taken = this.#channel!.write(rest, 0, rest.length)
    if (taken < rest.length) {
      this.#rest = rest.subarray(taken)
      return
    }
    this.#rest = undefined
    if (this.#socketEnded) this.#channel!.end()
    else this.#socket.resume()
  }

  onClose(how: 'clean' | 'reset' | 'lost'): void {
    this.#finish()
    if (how !== 'clean') this.#socket.resetAndDestroy()
  }

  onOpen(): void {}
  onRefused(): void {}

  // The socket's side.

  #fromSocket(bytes: number): boolean {
    const channel = this.#channel
    if (!channel) return true
    const taken = channel.write(READ_BUFFER, 0, bytes)
    if (taken === bytes) return true
    this.#rest = Buffer.from(READ_BUFFER.subarray(taken, bytes))
    return false
  }

  readonly #written = (): void => {
    const left = this.#socket.writableLength
    const written = this.#unwritten - left
    this.#unwritten = left
    if (written > 0 && !this.#done) this.#channel?.consumed(written)
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#done) return
    this.#finish()
    if (this.#channel) this.#channel.reset()
    else this.mux.refuse(this.#request, OpenFailure.connectFailed, `${error.code ?? 'EIO'}: ${error.message}`)
  }

  #finish(): void {
    if (this.#done) return
    this.#done = true
    this.#rest = undefined
    this.#over()
  }
}
