// A Transport in the shape of a socket, for ssh2: only the parts that ssh2 uses. A real Duplex would add another queue.
import { EventEmitter } from 'node:events'
import type { Transport } from '../transport/transport.ts'

/** ssh2 refuses longer lines. */
const MAX_HEADING = 8192

export class SshSocket extends EventEmitter {
  writable = true
  readable = true
  /** ssh2 asks this before each write (its isWritable). */
  readonly _readableState = { ended: false }
  readonly remoteAddress: string | undefined
  /**
   * Whether each piece is copied for ssh2. Its deciphers keep views of their input, and the transport reuses its buffer. False
   * when our decipher is in place.
   */
  copyInput = true
  readonly #transport: Transport
  #started = false
  #heading: Buffer | undefined = Buffer.alloc(0)

  constructor(transport: Transport, remoteAddress?: string) {
    super()
    this.#transport = transport
    this.remoteAddress = remoteAddress
  }

  resume(): this {
    if (this.#started) return this
    this.#started = true
    this.#transport.start(
      (chunk) => this.#receive(chunk),
      (error) => {
        this.writable = false
        this.readable = false
        this._readableState.ended = true
        if (error) this.emit('error', error)
        this.emit('close')
      },
    )
    return this
  }

  /** ssh2 loses bytes of an identification that comes in more than two pieces, so it gets whole lines first. */
  #receive(chunk: Buffer): void {
    if (this.#heading) {
      this.#heading = Buffer.concat([this.#heading, chunk])
      if (!this.#heading.includes('\n') && this.#heading.length < MAX_HEADING) return
      chunk = this.#heading
      this.#heading = undefined
    } else if (this.copyInput) chunk = Buffer.from(chunk)
    this.emit('data', chunk)
  }

  pause(): this {
    return this
  }

  write(chunk: Uint8Array): boolean {
    this.#transport.write(chunk)
    return true
  }

  end(): this {
    this.writable = false
    this.#transport.end()
    return this
  }

  destroy(error?: Error): this {
    this.writable = false
    this.#transport.destroy(error)
    return this
  }

  setNoDelay(): this {
    return this
  }

  setTimeout(): this {
    return this
  }
}
