// A connection to a host as Node's programs know connections: it connects, ends when the other side has ended, has back
// pressure both ways, and a reset is an error ECONNRESET. It has the calls and events of net.Socket that drivers use
// without asking, so a database driver takes it in the place of one.
import { Duplex } from 'node:stream'
import { type Clock, systemClock } from '../base/clock.ts'
import type { DialFailure, StreamHandler, Tunnel, TunnelStream } from '../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../wire/address.ts'
import { connectDirect } from './direct.ts'
import { ReachError } from './errors.ts'
import type { Reach } from './reach.ts'
import { socketStream } from './socket-stream.ts'

/** Where the shadow's connections seem to come from. */
const ORIGIN: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 0 }

export class ReachSocket extends Duplex {
  remoteAddress: string | undefined
  remotePort: number | undefined
  remoteFamily: 'IPv4' | 'IPv6' | undefined
  readonly localAddress = '127.0.0.1'
  readonly localPort = 0
  connecting = true
  bytesRead = 0
  bytesWritten = 0
  timeout = 0
  readonly #clock: Clock
  #stream: TunnelStream | undefined
  #streamOver = false
  /** Given to the reader's queue and not yet acknowledged. */
  #owed = 0
  #writing: { chunk: Uint8Array; done: () => void } | undefined
  #ending: (() => void) | undefined
  #stopTimeout: () => void = () => {}

  /** Begins to connect: `connect` follows, or `error` with a ReachError. */
  constructor(reach: Reach, host: string, port: number, options: { clock?: Clock; allowHalfOpen?: boolean } = {}) {
    const { clock = systemClock, allowHalfOpen = false } = options
    super({ allowHalfOpen })
    this.#clock = clock
    const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
    reach
      .dial(host, port, {
        isOver: () => this.destroyed,
        cluster: (tunnel, target) => this.#through(tunnel, target),
        direct: (addresses) => this.#direct(addresses, port, where),
      })
      .catch((error: Error) => this.destroy(error))
  }

  get readyState(): string {
    if (this.connecting) return 'opening'
    if (this.destroyed) return 'closed'
    if (this.writable) return this.readable ? 'open' : 'writeOnly'
    return this.readable ? 'readOnly' : 'closed'
  }

  get pending(): boolean {
    return this.connecting
  }

  /** For drivers that connect the socket they were given: it does so already. */
  connect(...args: unknown[]): this {
    const callback = args.findLast((one) => typeof one === 'function') as (() => void) | undefined
    if (callback) this.once('connect', callback)
    if (!this.connecting && !this.destroyed) process.nextTick(() => this.emit('connect'))
    return this
  }

  address(): { address: string; port: number; family: string } {
    return { address: this.localAddress, port: this.localPort, family: 'IPv4' }
  }

  /** As of net.Socket: `timeout` is emitted when nothing has moved for so long. 0 ends that. */
  setTimeout(ms: number, callback?: () => void): this {
    this.timeout = ms
    if (callback && ms === 0) this.off('timeout', callback)
    else if (callback) this.once('timeout', callback)
    this.#moved()
    return this
  }

  /** Reset, where the far side can be reset. */
  resetAndDestroy(): this {
    return this.destroy()
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  // The tunnel never waits for more to send, watches its line itself, and keeps the process alive as a whole.
  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  override _read(): void {
    const bytes = this.#owed
    this.#owed = 0
    if (bytes > 0 && !this.#streamOver) this.#stream?.consumed(bytes)
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.#writing = { chunk, done }
    this.bytesWritten += chunk.length
    this.#moved()
    this.#send()
  }

  override _final(done: () => void): void {
    if (this.connecting) {
      this.#ending = done
      return
    }
    if (!this.#streamOver) this.#stream?.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.connecting = false
    this.#stopTimeout()
    // Both directions have ended: what lies below closes by itself.
    const isWhole = !error && this.readableEnded && this.writableFinished
    if (!this.#streamOver && !isWhole) this.#stream?.reset()
    this.#streamOver = true
    done(error)
  }

  /** One dial. What comes of a stream that was given up is not heard. */
  #through(tunnel: Tunnel, target: Endpoint): Promise<DialFailure | undefined> {
    return new Promise((resolve) => {
      const handler = this.#handler()
      const stream = tunnel.openStream(target, ORIGIN, {
        ...handler,
        onOpen: () => {
          resolve(undefined)
          this.#opened(stream, target.address, target.port)
        },
        onFail: (reason) => resolve(reason),
        onClose: (reason) => {
          resolve(undefined)
          handler.onClose(reason)
        },
      })
    })
  }

  async #direct(addresses: IpAddress[], port: number, where: string): Promise<void> {
    const socket = await connectDirect(addresses, port, { where, clock: this.#clock })
    const address = IpAddress.tryParse(socket.remoteAddress ?? '') ?? addresses[0]
    this.#opened(socketStream(socket, this.#handler()), address, port)
  }

  #handler(): Omit<StreamHandler, 'onOpen' | 'onFail'> {
    return {
      onData: (chunk) => this.#received(chunk),
      onEnd: () => {
        this.#moved()
        this.push(null)
      },
      onDrain: () => this.#send(),
      onClose: (reason) => this.#over(reason),
    }
  }

  #opened(stream: TunnelStream, address: IpAddress, port: number): void {
    if (this.destroyed) {
      stream.reset()
      return
    }
    this.#stream = stream
    this.connecting = false
    this.remoteAddress = address.toString()
    this.remotePort = port
    this.remoteFamily = address.family === 4 ? 'IPv4' : 'IPv6'
    this.#moved()
    this.#send()
    this.emit('connect')
    this.emit('ready')
    const ending = this.#ending
    if (!ending) return
    this.#ending = undefined
    this._final(ending)
  }

  #received(chunk: Uint8Array): void {
    this.bytesRead += chunk.length
    this.#owed += chunk.length
    this.#moved()
    // What the queue has no room for is acknowledged when the reader wants more.
    if (this.push(chunk)) this._read()
  }

  #over(reason: 'closed' | 'reset' | 'lost'): void {
    this.#streamOver = true
    if (reason === 'closed') return
    const [words, hint] =
      reason === 'reset'
        ? ['read ECONNRESET', 'the other side has reset the connection']
        : ['the tunnel to the cluster was lost', 'connect again: another tunnel is being made']
    this.destroy(new ReachError('ECONNRESET', words, hint))
  }

  #send(): void {
    const writing = this.#writing
    if (!writing || this.connecting) return
    if (!this.#streamOver && this.#stream) {
      const taken = this.#stream.write(writing.chunk, 0, writing.chunk.length)
      if (taken < writing.chunk.length) {
        writing.chunk = writing.chunk.subarray(taken)
        return
      }
    }
    this.#writing = undefined
    writing.done()
  }

  #moved(): void {
    this.#stopTimeout()
    const isTimed = this.timeout > 0 && !this.destroyed
    this.#stopTimeout = isTimed ? this.#clock.after(this.timeout, () => this.emit('timeout')) : () => {}
  }
}
