// The sending half of one end of a line: numbers what is written, keeps it until the other end has it, and gives it to the path, or
// to the better one of two.
import type { Clock } from '../../base/clock.ts'
import { type Departure, Gatherer, processTurns, type Slab, type Turns } from '../transport/gatherer.ts'
import { DATA_HEADER, PATH_HEADROOM, ProtocolError, sealLineData } from './frames.ts'
import type { LinePath } from './line-path.ts'
import type { Receiver } from './receiver.ts'
import { RetransmissionQueue, sendCopy } from './retransmission-queue.ts'
import type { Stripe } from './stripe.ts'

/** What may be sent and not acknowledged: at 100 ms round trip this is 160 MB/s. */
export const MOST_UNACKED = 16 * 1024 * 1024
/** Messages below this are kept as copies: a slab is 132 KiB, whatever it holds. */
const COPY_BYTES = 32 * 1024
/**
 * Memory for messages that is held for reuse: for as much as may be unacknowledged. With less, a busy line allocates 132 KiB
 * per message, which costs more than encrypting it.
 */
const SPARE_SLABS = 128

/** What carries a line now. */
export interface Carriers {
  current: LinePath | undefined
  /** While a second path carries it as well. */
  stripe: Stripe | undefined
}

export interface SenderOptions {
  clock: Clock
  departure?: Departure
  turns?: Turns
  carriers: Carriers
  /** What has come, which every frame tells. */
  receiver: Receiver
  /** The other end has acknowledged something. */
  onProgress: () => void
}

export class Sender {
  readonly gatherer: Gatherer
  readonly #clock: Clock
  readonly #turns: Turns
  readonly #carriers: Carriers
  readonly #receiver: Receiver
  readonly #onProgress: () => void
  readonly #retransmission: RetransmissionQueue
  /** Offsets: the next byte to send, the first that is not acknowledged. */
  #sent = 0
  #acked = 0
  #sentSince = 0
  /** Lets the gatherer send its next message. */
  #next: (() => void) | undefined

  constructor({ clock, departure, turns = processTurns, carriers, receiver, onProgress }: SenderOptions) {
    this.#clock = clock
    this.#turns = turns
    this.#carriers = carriers
    this.#receiver = receiver
    this.#onProgress = onProgress
    this.gatherer = new Gatherer((message, done, slab) => this.#take(message, done, slab), {
      framing: {
        headroom: PATH_HEADROOM + DATA_HEADER,
        seal: (slab, start, end) => sealLineData(slab, start, end, this.#sent, receiver.received),
      },
      departure,
      mostSpare: SPARE_SLABS,
      turns,
    })
    this.#retransmission = new RetransmissionQueue((slab) => this.gatherer.giveBack(slab))
  }

  get sent(): number {
    return this.#sent
  }

  get acked(): number {
    return this.#acked
  }

  /** Since when bytes have waited for an acknowledgement without any progress, undefined if none do. */
  get waitingSince(): number | undefined {
    return this.#sent > this.#acked ? this.#sentSince : undefined
  }

  close(): void {
    this.gatherer.close()
    this.#retransmission.clear()
  }

  /** The other end has everything in front of `received`. Throws ProtocolError when that cannot be. */
  acknowledge(received: number): void {
    if (received > this.#sent) throw new ProtocolError(`${received} bytes are acknowledged, ${this.#sent} were sent`)
    if (received <= this.#acked) return
    this.#acked = received
    this.#sentSince = this.#clock.now()
    this.#retransmission.acknowledged(received)
    this.#onProgress()
    this.proceed()
  }

  /** Sends again over `path` what is not acknowledged, or of that what went over `from` last. */
  retransmit(path: LinePath, from?: LinePath): void {
    this.#sentSince = this.#clock.now()
    this.#retransmission.retransmit(path, this.#receiver.received, from)
    this.#receiver.ackPiggybacked()
    this.proceed()
  }

  /** Lets the gatherer go on when a path has taken what there was, and not too much waits for acknowledgement. */
  readonly proceed = (): void => {
    const done = this.#next
    const { current, stripe } = this.#carriers
    if (!done || !current || this.#sent - this.#acked >= MOST_UNACKED) return
    if (stripe ? !stripe.ready : current.pending > 0) return
    this.#next = undefined
    done()
  }

  /** A message of the gatherer's: it is numbered and kept, and leaves if there is a path. */
  #take(message: Buffer, done: () => void, slab: Slab): boolean {
    const frameStart = message.byteOffset - slab.bytes.byteOffset
    const start = frameStart + DATA_HEADER
    const size = slab.end - start
    if (this.#sent === this.#acked) this.#sentSince = this.#clock.now()
    const offset = this.#sent
    this.#sent += size
    this.#receiver.ackPiggybacked()
    this.#next = done
    const { current, stripe } = this.#carriers
    const path = stripe ? stripe.choose(size) : current
    // A path that changes the bytes (a mask in clear text) gets copies.
    const keepSlab = size >= COPY_BYTES && !path?.path.framing.alters
    const bytes = keepSlab ? slab.bytes : Buffer.from(slab.bytes.subarray(start, slab.end))
    const keptStart = keepSlab ? start : 0
    const untried = stripe?.untried(path!, size)
    // What a copy brings may be acknowledged while `path` still has the slab, which is then not used again.
    const reused = keepSlab && !untried ? slab : undefined
    this.#retransmission.keep(offset, this.#sent, bytes, keptStart, reused, path)
    // A slab that is not kept is used again for the next message. With two sockets it is copied, so that neither is waited for.
    if (stripe && !keepSlab) sendCopy(path!, bytes, offset, this.#receiver.received)
    else path?.sendData(slab.bytes, frameStart, slab.end, size)
    if (stripe && path) {
      stripe.sent(path, size)
      if (untried) {
        sendCopy(untried, bytes.subarray(keptStart, keptStart + size), offset, this.#receiver.received)
        stripe.sent(untried, size)
      }
      if (stripe.ready) this.#turns.callback(this.proceed)
    }
    // Without a path the slab is not looked at again: what is sent later is copied from what is kept.
    return keepSlab
  }
}
