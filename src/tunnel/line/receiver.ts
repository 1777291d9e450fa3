// The receiving half of one end of a line: puts bytes in order by their numbers, passes each on once, and acknowledges them.
import type { Clock } from '../../base/clock.ts'
import { LineFrame, lineFrame, offsetBytes, ProtocolError } from './frames.ts'
import type { LinePath } from './line-path.ts'
import { PathAcks } from './path-acks.ts'
import { Reorder } from './reorder.ts'

/** Each time this much has come it is acknowledged, and what is less after a while, alone or with data. */
const ACK_BYTES = 1536 * 1024
const ACK_MS = 100

export interface ReceiverEffects {
  clock: Clock
  /** The path for acknowledgements. */
  path(): LinePath | undefined
  /** The other end's stream is over. */
  over(error?: Error): void
}

export class Receiver {
  readonly #effects: ReceiverEffects
  /** The next byte to come. */
  #received = 0
  #ackSent = 0
  #cancelAck: (() => void) | undefined
  /** Once there was a second path. */
  #reorder: Reorder | undefined
  #pathAcks: PathAcks | undefined
  #onData: ((chunk: Buffer) => void) | undefined
  #unheard: Buffer[] = []
  #endAt: number | undefined
  #closed = false

  constructor(effects: ReceiverEffects) {
    this.#effects = effects
  }

  /** Bytes go to `onData` from now on, beginning with those that waited. */
  start(onData: (chunk: Buffer) => void): void {
    this.#onData = onData
    for (const chunk of this.#unheard.splice(0)) onData(chunk)
  }

  get received(): number {
    return this.#received
  }

  /** The other end has said where its stream ends, and not all of it has come. */
  get isEnding(): boolean {
    return this.#endAt !== undefined
  }

  /** Bytes that wait for those in front of them. */
  get early(): number {
    return this.#reorder?.size ?? 0
  }

  /** A frame that leaves now carries the acknowledgement, so none is sent alone. */
  ackPiggybacked(): void {
    this.#ackSent = this.#received
  }

  /** From now on bytes may come before those in front of them: `most` may be on their way. */
  expectEarly(most: number): void {
    this.#reorder ??= new Reorder(most)
    this.#pathAcks ??= new PathAcks(this.#effects.clock, () => this.#received)
  }

  /** Bytes, valid during the call, that `path` has brought; those that were here before are passed over. */
  receive(offset: number, piece: Buffer, path: LinePath): void {
    if (this.#closed) return
    path.received += piece.length
    if (offset > this.#received) {
      if (!this.#reorder) throw new ProtocolError(`bytes at ${offset} when ${this.#received} are expected`)
      this.#reorder.hold(offset, piece, this.#received)
    } else {
      const known = this.#received - offset
      if (known < piece.length) this.#deliver(known === 0 ? piece : piece.subarray(known))
    }
    if (!this.#reorder) return
    this.#release(this.#reorder)
    this.#pathAcks?.arrived(path)
  }

  /** The other end has sent END. What went over the second path may still come. */
  ended(offset: number | undefined): void {
    if (this.#reorder && offset !== undefined && offset > this.#received) this.#endAt = offset
    else
      this.#effects.over(offset === this.#received ? undefined : new Error('the line ended before all of it had come'))
  }

  close(): void {
    this.#closed = true
    this.#cancelAck?.()
    this.#reorder?.clear()
    this.#pathAcks?.close()
  }

  #deliver(fresh: Buffer): void {
    this.#received += fresh.length
    if (this.#received - this.#ackSent >= ACK_BYTES) this.#sendAck()
    else this.#cancelAck ??= this.#effects.clock.after(ACK_MS, this.#sendAck)
    if (this.#onData) this.#onData(fresh)
    else this.#unheard.push(Buffer.from(fresh))
  }

  /** Passes on what has waited and is next. */
  #release(reorder: Reorder): void {
    for (let piece = reorder.take(this.#received); piece; piece = reorder.take(this.#received)) this.#deliver(piece)
    if (this.#endAt === this.#received) this.#effects.over()
  }

  readonly #sendAck = (): void => {
    this.#cancelAck?.()
    this.#cancelAck = undefined
    const path = this.#effects.path()
    // Data that left meanwhile has carried it.
    if (this.#received === this.#ackSent || !path) return
    this.#ackSent = this.#received
    path.send(lineFrame(LineFrame.ack, offsetBytes(this.#received)))
  }
}
