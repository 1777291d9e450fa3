// Streams read and written by await, with back pressure: what is not read stays with its sender but for 64 KiB. Reading
// ahead that far is how an end is noticed while nobody reads.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { resetSocket } from '../../base/reset.ts'

const READ_AHEAD = 64 * 1024
/** How long what the far side still sends is read and dropped, so that it sees our last words and not a reset. */
const LINGER_MS = 2000

/** A stream ended before what it carried did. */
export class CutOff extends Error {}

/** Both directions of one stream. Rejections are Errors; after one, the stream is of no use. */
export class Wire {
  readonly stream: Duplex
  /** The far side has ended its direction; what it sent before may still be unread. */
  ended = false
  /** Called once when `ended` becomes true. */
  onEnded: () => void = () => {}
  /** The stream is closed in both directions, or broke. */
  closed = false
  onClosed: () => void = () => {}
  #chunks: Buffer[] = []
  #buffered = 0
  #error: Error | undefined
  #dismissed = false
  #arrivals: (() => void)[] = []
  #drained: () => void = () => {}

  constructor(stream: Duplex) {
    this.stream = stream
    stream.on('data', this.#onData)
    stream.on('end', this.#onEnd)
    stream.on('error', this.#onError)
    stream.on('close', this.#onClose)
    stream.on('drain', this.#onDrain)
    stream.resume()
  }

  /** The next bytes; undefined at the end. */
  async read(): Promise<Buffer | undefined> {
    while (this.#chunks.length === 0) {
      if (this.ended) return undefined
      if (this.#error) throw this.#error
      await this.arrival()
    }
    const chunk = this.#chunks.shift()!
    this.#buffered -= chunk.length
    if (this.#buffered < READ_AHEAD && !this.#error) this.stream.resume()
    return chunk
  }

  /** Bytes that were read and belong to somebody else. */
  unread(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.unshift(chunk)
    this.#buffered += chunk.length
    this.#wake()
  }

  /** Resolves when a read would give something, be it the end or an error. */
  async arrival(): Promise<void> {
    if (this.readable || this.ended || this.closed) return
    await new Promise<void>((resolve) => this.#arrivals.push(resolve))
  }

  /** True when a read would give bytes at once. */
  get readable(): boolean {
    return this.#buffered > 0
  }

  /** Resolves when the stream takes more. */
  async write(chunk: Uint8Array | string): Promise<void> {
    if (this.#error) throw this.#error
    const more = typeof chunk === 'string' ? this.stream.write(chunk, 'latin1') : this.stream.write(chunk)
    if (more) return
    await new Promise<void>((resolve) => {
      this.#drained = resolve
    })
    if (this.#error) throw this.#error
  }

  /** FIN after what was written. */
  end(): void {
    if (!this.stream.writableEnded && !this.closed) this.stream.end()
  }

  /** The owner is done with it in both directions: what was written still arrives. */
  dismiss(clock: Clock): void {
    this.end()
    if (this.closed) return
    this.onEnded = () => {}
    this.onClosed = clock.after(LINGER_MS, () => this.stream.destroy())
    this.#dismissed = true
    this.#chunks = []
    this.stream.resume()
  }

  /** RST, so that nobody takes what was sent for the whole. */
  reset(): void {
    if (this.stream instanceof Socket) resetSocket(this.stream)
    else this.stream.destroy(new CutOff('reset'))
  }

  /** Hands the stream over to another owner, with what was not read in front. */
  release(): Duplex {
    this.stream.pause()
    this.stream.off('data', this.#onData)
    this.stream.off('end', this.#onEnd)
    this.stream.off('error', this.#onError)
    this.stream.off('close', this.#onClose)
    this.stream.off('drain', this.#onDrain)
    if (this.#chunks.length > 0) this.stream.unshift(Buffer.concat(this.#chunks))
    return this.stream
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#dismissed) return
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    if (this.#buffered >= READ_AHEAD) this.stream.pause()
    this.#wake()
  }

  readonly #onEnd = (): void => {
    this.ended = true
    this.#wake()
    this.onEnded()
  }

  readonly #onError = (error: Error): void => this.#gone(error)
  readonly #onClose = (): void => this.#gone(new CutOff('closed'))
  #wake(): void {
    const arrivals = this.#arrivals
    this.#arrivals = []
    for (const arrived of arrivals) arrived()
  }

  readonly #onDrain = (): void => this.#drained()

  #gone(error: Error): void {
    this.#error ??= error
    this.#wake()
    this.#drained()
    if (this.closed) return
    this.closed = true
    this.onClosed()
  }
}

/** Bytes both ways until both have ended; a reset of one becomes a reset of the other. Never rejects. */
export async function splice(a: Wire, b: Wire): Promise<void> {
  a.onClosed = () => {
    if (!a.ended || !a.stream.writableFinished) b.reset()
  }
  b.onClosed = () => {
    if (!b.ended || !b.stream.writableFinished) a.reset()
  }
  if (a.closed) a.onClosed()
  if (b.closed) b.onClosed()
  await Promise.all([pour(a, b), pour(b, a)])
}

async function pour(from: Wire, to: Wire): Promise<void> {
  try {
    for (let chunk = await from.read(); chunk; chunk = await from.read()) await to.write(chunk)
    to.end()
  } catch {
    from.reset()
    to.reset()
  }
}
