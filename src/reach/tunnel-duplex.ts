// A connection through the tunnel as Node's programs know connections: half-closed when the other side is, with back
// pressure both ways, and a reset is an error ECONNRESET. It has the calls of net.Socket that drivers make without asking.
import { Duplex } from 'node:stream'
import { type Clock, systemClock } from '../base/clock.ts'
import type { DialFailure, StreamHandler, Tunnel, TunnelStream } from '../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../wire/address.ts'

/** Where the shadow's connections seem to come from. */
const ORIGIN: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 0 }

export class TunnelDuplex extends Duplex {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly remoteFamily: 'IPv4' | 'IPv6'
  readonly localAddress = '127.0.0.1'
  readonly localPort = 0
  /** As of net.Socket. */
  readonly connecting = false
  bytesRead = 0
  bytesWritten = 0
  timeout = 0
  readonly #clock: Clock
  #stream!: TunnelStream
  #streamOver = false
  /** Given to the reader's queue and not yet acknowledged. */
  #owed = 0
  #writing: { chunk: Uint8Array; done: () => void } | undefined
  #stopTimeout: () => void = () => {}

  private constructor(target: Endpoint, clock: Clock) {
    super({ allowHalfOpen: true })
    this.remoteAddress = target.address.toString()
    this.remotePort = target.port
    this.remoteFamily = target.address.family === 4 ? 'IPv4' : 'IPv6'
    this.#clock = clock
  }

  /** Opens one. Resolves to the connection, or to why there is none. Never rejects. */
  static open(tunnel: Tunnel, target: Endpoint, clock: Clock = systemClock): Promise<TunnelDuplex | DialFailure> {
    return new Promise((resolve) => {
      const duplex = new TunnelDuplex(target, clock)
      const handler: StreamHandler = {
        onOpen: () => resolve(duplex),
        onFail: (reason) => {
          duplex.#streamOver = true
          duplex.destroy()
          resolve(reason)
        },
        onData: (chunk) => duplex.#received(chunk),
        onEnd: () => {
          duplex.#moved()
          duplex.push(null)
        },
        onDrain: () => duplex.#send(),
        onClose: (reason) => duplex.#over(reason),
      }
      duplex.#stream = tunnel.openStream(target, ORIGIN, handler)
    })
  }

  get readyState(): string {
    if (this.destroyed) return 'closed'
    if (this.writable) return this.readable ? 'open' : 'writeOnly'
    return this.readable ? 'readOnly' : 'closed'
  }

  get pending(): boolean {
    return false
  }

  address(): { address: string; port: number; family: string } {
    return { address: this.localAddress, port: this.localPort, family: 'IPv4' }
  }

  /** As of net.Socket: `timeout` is emitted when nothing has moved for so long. 0 ends that. */
  setTimeout(ms: number, callback?: () => void): this {
    this.timeout = ms
    if (callback) {
      if (ms === 0) this.off('timeout', callback)
      else this.once('timeout', callback)
    }
    this.#moved()
    return this
  }

  /** Reset, where the far side can be reset. */
  resetAndDestroy(): this {
    return this.destroy()
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
    if (bytes > 0 && !this.#streamOver) this.#stream.consumed(bytes)
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.#writing = { chunk, done }
    this.bytesWritten += chunk.length
    this.#moved()
    this.#send()
  }

  override _final(done: () => void): void {
    if (!this.#streamOver) this.#stream.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stopTimeout()
    if (!this.#streamOver) {
      this.#streamOver = true
      this.#stream.reset()
    }
    done(error)
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
    const words = reason === 'reset' ? 'read ECONNRESET' : 'the tunnel to the cluster was lost'
    this.destroy(Object.assign(new Error(words), { code: 'ECONNRESET', syscall: 'read' }))
  }

  #send(): void {
    const writing = this.#writing
    if (!writing) return
    if (!this.#streamOver) {
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
    this.#stopTimeout =
      this.timeout > 0 && !this.destroyed ? this.#clock.after(this.timeout, () => this.emit('timeout')) : () => {}
  }
}
