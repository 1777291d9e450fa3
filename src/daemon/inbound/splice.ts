// Joins one socket of this machine with one stream of the tunnel: bytes, FIN and RST each way as they came. Back
// pressure is each side's own: the socket is not read while the tunnel takes nothing, and the tunnel gets credit only
// for what the kernel has taken from us.

import type { Socket } from 'node:net'
import { resetSocket } from '../../base/reset.ts'
import type { StreamHandler, TunnelStream } from '../../tunnel/tunnel.ts'
import { Beginning } from './beginning.ts'

export interface SpliceCounters {
  /** From the cluster to this machine. */
  bytesIn: number
  bytesOut: number
}

/** Looks on. What it is given is its to read during the call only, and it must not throw. */
export interface SpliceWatcher {
  fromCaller(chunk: Uint8Array): void
  fromProgram(chunk: Uint8Array): void
  /** The local program sends nothing more. */
  programEnded(): void
  closed(): void
}

export interface SpliceEvents {
  /** The stream's far side has accepted. */
  onOpen?(): void
  onFail?: StreamHandler['onFail']
  /** Both are over, once; not after `onFail`. */
  onClose?(reason: 'closed' | 'reset' | 'lost'): void
  watcher?: SpliceWatcher
  /**
   * The program has ended the connection without a byte of an answer, and what it was told may be told again: resolves to a paused
   * connection to its successor, or to undefined where the end stands. `harmless`: a program that lives may be told, too. Only
   * this event makes a splice keep what is said in the beginning.
   */
  again?(harmless: boolean): Promise<Socket | undefined>
}

/**
 * The stream's handler. `attach` must follow at once, with the stream that was opened with it. The socket must allow
 * half-open connections and be paused; it is read from `onOpen` on, or from `attach` if `open` is true.
 */
export class Splice implements StreamHandler {
  readonly returnsChunks = true
  #socket: Socket
  readonly #counters: SpliceCounters
  readonly #events: SpliceEvents
  readonly #watcher: SpliceWatcher | undefined
  #stream: TunnelStream | undefined
  /** What the tunnel has not taken yet of the chunk read last. */
  #rest: Uint8Array | undefined
  #ended = false
  #callerEnded = false
  /** Until the program answers. */
  #beginning: Beginning | undefined
  /** What comes while the program's successor is waited for. */
  #waiting: Uint8Array[] | undefined
  #socketOver = false
  #streamOver = false
  #sentEnd = false
  #lastMove = performance.now()
  // A connection on which nothing was said yet rests too.
  #lastFromHere = true

  constructor(socket: Socket, counters: SpliceCounters, events: SpliceEvents = {}) {
    this.#socket = socket
    this.#counters = counters
    this.#events = events
    this.#watcher = events.watcher
    if (events.again) this.#beginning = new Beginning()
    this.#listen(socket)
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.fromSocket(chunk))
    socket.on('end', () => {
      if (this.#isRepeated('ended')) return
      this.#ended = true
      if (!this.#rest) this.#finish()
    })
    socket.on('error', () => {}) // `close` follows
    socket.on('close', (failed) => {
      if (socket !== this.#socket || this.#waiting) return
      if (failed && !this.#ended && this.#isRepeated('reset')) return
      this.#socketOver = true
      if (this.#streamOver) return
      // A close without an error follows the FIN of both sides; anything else is a reset.
      if (failed || !this.#ended || !socket.writableFinished) {
        this.#streamOver = true
        this.#stream?.reset()
        this.#over('reset')
      }
    })
    socket.pause()
  }

  /** True when what the program was told is being told to its successor. */
  #isRepeated(how: 'reset' | 'ended'): boolean {
    const beginning = this.#beginning
    if (!beginning || this.#streamOver || !this.#stream || !beginning.mayRepeat(how, this.#callerEnded)) return false
    this.#beginning = undefined
    this.#waiting = []
    this.#socketOver = true
    this.#socket.destroy()
    const stands = () => {
      this.#waiting = undefined
      if (this.#streamOver) return
      if (how === 'ended') {
        this.#finish()
        return
      }
      this.#streamOver = true
      this.#stream!.reset()
      this.#over('reset')
    }
    const said = beginning.bytes!
    this.#events.again!(beginning.isHarmless).then((socket) => (socket ? this.#goOn(socket, said) : stands()), stands)
    return true
  }

  #goOn(socket: Socket, said: Buffer): void {
    const waiting = this.#waiting!
    this.#waiting = undefined
    if (this.#streamOver) {
      socket.destroy()
      return
    }
    this.#socket = socket
    this.#socketOver = false
    this.#beginning = new Beginning()
    this.#listen(socket)
    // The tunnel has had its credit for these.
    this.#beginning.add(said)
    if (said.length > 0) socket.write(said)
    for (const chunk of waiting) this.#toSocket(chunk)
    if (this.#callerEnded) socket.end()
    socket.resume()
  }

  attach(stream: TunnelStream, open: boolean): void {
    this.#stream = stream
    if (this.#socketOver) {
      this.#streamOver = true
      stream.reset()
      this.#over('reset')
    } else if (open) this.#socket.resume()
  }

  /** Lets go of a socket that was never read, after `onFail`: another may have it. */
  detach(): void {
    this.#socketOver = true
    for (const event of ['data', 'end', 'close']) this.#socket.removeAllListeners(event)
    this.#socket.pause()
  }

  /** This machine spoke last, that long ago, and nothing of it is on its way. */
  restsFor(ms: number): boolean {
    const under = this.#rest !== undefined || this.#waiting !== undefined || this.#socket.writableLength > 0
    return !under && this.#lastFromHere && performance.now() - this.#lastMove >= ms
  }

  /** FIN to the far side, which then ends its own; what this machine still sends is dropped. */
  endStream(): void {
    this.#finish()
  }

  /** Ends both with a reset. */
  reset(): void {
    if (!this.#streamOver) {
      this.#streamOver = true
      this.#stream?.reset()
      this.#over('reset')
    }
    if (!this.#socketOver) resetSocket(this.#socket)
  }

  onOpen(): void {
    if (this.#socketOver) return
    this.#events.onOpen?.()
    this.#socket.resume()
  }

  onFail(reason: Parameters<StreamHandler['onFail']>[0], message: string): void {
    this.#streamOver = true
    this.#events.onFail?.(reason, message)
  }

  onData(chunk: Uint8Array): void {
    this.#counters.bytesIn += chunk.length
    this.#moved(false)
    if (this.#waiting) this.#waiting.push(Uint8Array.from(chunk))
    else if (this.#socketOver) return
    else if (!this.#socket.destroyed) this.#toSocket(chunk)
    else if (this.#beginning) this.#keep(chunk)
    else return
    this.#watcher?.fromCaller(chunk)
  }

  /** Its connection has gone, and `close` is about to say so. */
  #keep(chunk: Uint8Array): void {
    const { length } = chunk
    this.#beginning!.add(chunk)
    queueMicrotask(() => {
      if (!this.#streamOver) this.#stream!.consumed(length)
    })
  }

  #toSocket(chunk: Uint8Array): void {
    const { length } = chunk
    this.#beginning?.add(chunk)
    this.#socket.write(chunk, () => {
      if (!this.#streamOver) this.#stream!.consumed(length)
    })
  }

  onEnd(): void {
    this.#moved(false)
    this.#callerEnded = true
    if (!this.#waiting) this.#socket.end()
  }

  onDrain(): void {
    const rest = this.#rest
    if (rest) {
      this.#rest = undefined
      if (!this.#send(rest)) return
    }
    if (this.#ended) this.#finish()
    else this.#socket.resume()
  }

  onClose(reason: 'closed' | 'reset' | 'lost'): void {
    if (this.#streamOver) return
    this.#streamOver = true
    if (reason !== 'closed' && !this.#socketOver) resetSocket(this.#socket)
    this.#over(reason)
  }

  /** What was read of a socket that is read into memory of its owner's; it is not looked at after the call. */
  fromSocket(chunk: Uint8Array): void {
    if (this.#streamOver || this.#sentEnd) return
    this.#beginning = undefined
    this.#counters.bytesOut += chunk.length
    this.#moved(true)
    if (!this.#send(chunk)) this.#socket.pause()
    this.#watcher?.fromProgram(chunk)
  }

  /** False when some of it must wait for `onDrain`. */
  #send(chunk: Uint8Array): boolean {
    const taken = this.#stream!.write(chunk, 0, chunk.length)
    if (taken === chunk.length) return true
    // A copy: the chunk's memory may be read into again.
    this.#rest = Uint8Array.from(chunk.subarray(taken))
    return false
  }

  #finish(): void {
    if (this.#streamOver || this.#sentEnd) return
    this.#sentEnd = true
    this.#stream?.end()
    this.#watcher?.programEnded()
  }

  #over(reason: 'closed' | 'reset' | 'lost'): void {
    this.#watcher?.closed()
    this.#events.onClose?.(reason)
  }

  #moved(fromHere: boolean): void {
    this.#lastMove = performance.now()
    this.#lastFromHere = fromHere
  }
}
