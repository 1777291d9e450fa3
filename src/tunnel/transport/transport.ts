// The bytes under the SSH session: a TCP socket, or a port-forward's WebSocket. ssh2 ignores what `sock.write()` returns, so
// the transport says how much it holds (`buffered`), and the mux offers no more while that is too much.

/** A way for bytes, both directions, that ends once. */
export interface Transport {
  /** Starts reading. `onData` gets chunks that are valid during the call; `onClose` comes once, with an error if it did not end well. */
  start(onData: (chunk: Buffer) => void, onClose: (error: Error | undefined) => void): void
  /**
   * A view of `length` bytes inside the buffer that will be sent next. Fill it and give it to `write`, before anything
   * else is reserved or written: it is then not copied.
   */
  reserve(length: number): Buffer
  /** Queues bytes; they are copied, if they are not what `reserve` gave. All that is written in one turn goes out together. */
  write(chunk: Uint8Array): void
  /** Nobody waits for what `write` writes: it leaves with what is written next, or alone after some milliseconds. */
  unhurried(write: () => void): void
  /** Bytes queued here, not yet taken by the kernel. */
  readonly buffered: number
  /** Called each time the kernel has taken something. Set by the mux. */
  onDrain: () => void
  /** Sends what is queued, then closes. */
  end(): void
  /** Closes at once; `onClose` comes with `error`. */
  destroy(error?: Error): void
}

/** How a transport's bytes are wrapped: nothing for TCP, a frame header for a WebSocket. */
export interface Framing {
  /** Bytes to leave free in front of a message. */
  readonly headroom: number
  /** True when `seal` changes the message itself, so that it cannot be sent again. */
  readonly alters?: boolean
  /** Writes the header of the message `slab[start .. end)` right in front of `start`; returns where it begins. */
  seal(slab: Buffer, start: number, end: number): number
}

export const plainFraming: Framing = { headroom: 0, seal: (_slab, start) => start }

/** What a socket is read with: reused for each read, which saves a buffer of 16 KiB (TLS) or 64 KiB (TCP) each time. */
const READ_BYTES = 128 * 1024

/** Reads a socket into one buffer by Node's `onread`; keeps what comes before anybody listens. */
export class Inlet {
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  /** The view of the last read. Bulk data comes in TLS records of one length, so the next read mostly needs the same view. */
  #view = this.#buffer
  readonly onread = {
    buffer: this.#buffer,
    callback: (bytes: number): boolean => {
      if (this.#view.length !== bytes) this.#view = this.#buffer.subarray(0, bytes)
      this.push(this.#view)
      return true
    },
  }
  #sink: ((chunk: Buffer) => void) | undefined
  #early: Buffer[] = []

  /** For sockets that cannot be read so. */
  push(chunk: Buffer): void {
    if (this.#sink) this.#sink(chunk)
    else this.#early.push(Buffer.from(chunk))
  }

  /** Bytes go to `sink` from now on, beginning with those that waited. They are valid during the call. */
  listen(sink: (chunk: Buffer) => void): void {
    this.#sink = sink
    const early = this.#early
    this.#early = []
    // One by one, since the sink may stop listening.
    for (const chunk of early) this.push(chunk)
  }

  /** Keeps `rest`, and what comes after it, until somebody listens again. */
  hold(rest?: Buffer): void {
    this.#sink = undefined
    if (rest && rest.length > 0) this.#early.unshift(Buffer.from(rest))
  }
}
