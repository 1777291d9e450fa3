// One end of a line: a transport whose bytes outlive the connections that carry them. What it sends is numbered and kept
// until the other end has it; what arrives is put in order by its number. It does not dial: whoever owns it gives it one
// path after another (src/tunnel/line/client.ts, src/tunnel/line/agent.ts). docs/understand/line.md is the protocol.
import type { Clock } from '../../base/clock.ts'
import type { Departure, Gatherer, Turns } from '../transport/gatherer.ts'
import type { Transport } from '../transport/transport.ts'
import { LineFrame, lineFrame, offsetBytes } from './frames.ts'
import type { LinePath } from './line-path.ts'
import { Receiver } from './receiver.ts'
import { type Carriers, MOST_UNACKED, Sender } from './sender.ts'
import { Stripe } from './stripe.ts'

/** How long a path may take for what is left when the line ends in order. */
const LEAVING_MS = 30_000

export interface LineOptions {
  clock: Clock
  departure?: Departure
  turns?: Turns
  /** The other end has acknowledged something, or answered a probe. */
  onProgress?: () => void
  /** One of two paths is gone, and the line goes on over the other one. `wasFirst`: it was `current` until now. */
  onParted?: (why: string, wasFirst: boolean) => void
  /** The line has ended, in whatever way. */
  onOver?: () => void
}

export class Line implements Transport {
  readonly #options: LineOptions
  readonly #carriers: Carriers = { current: undefined, stripe: undefined }
  readonly #receiver: Receiver
  readonly #sender: Sender
  readonly #gatherer: Gatherer
  #onClose: ((error: Error | undefined) => void) | undefined
  #over: { error: Error | undefined } | undefined
  #ending = false
  /** All was given to paths, and END is said on each that carries the line from now on. */
  #emptied = false
  /** Paths whose sockets have taken END. */
  readonly #endTaken = new Set<LinePath>()

  constructor(options: LineOptions) {
    const carriers = this.#carriers
    this.#options = options
    this.#receiver = new Receiver({
      clock: options.clock,
      path: () => carriers.current,
      over: (error) => this.#peerEnded(error),
    })
    this.#sender = new Sender({
      ...options,
      carriers,
      receiver: this.#receiver,
      onProgress: () => options.onProgress?.(),
    })
    this.#gatherer = this.#sender.gatherer
  }

  // The transport that SSH sees.

  start(onData: (chunk: Buffer) => void, onClose: (error: Error | undefined) => void): void {
    this.#onClose = onClose
    this.#receiver.start(onData)
    if (this.#over) onClose(this.#over.error)
  }

  reserve(length: number): Buffer {
    return this.#gatherer.reserve(length)
  }

  write(chunk: Uint8Array): void {
    this.#gatherer.write(chunk)
  }

  unhurried(write: () => void): void {
    this.#gatherer.unhurried(write)
  }

  get buffered(): number {
    return this.#gatherer.buffered
  }

  get onDrain(): () => void {
    return this.#gatherer.onDrain
  }

  set onDrain(callback: () => void) {
    this.#gatherer.onDrain = callback
  }

  /** The END frame tells the other end that nothing more comes; the paths then close. Without a path it ends at once. */
  end(): void {
    this.#ending = true
    if (!this.#carriers.current) this.destroy()
    else this.#gatherer.whenEmpty(() => this.#farewell())
  }

  #farewell(): void {
    this.#emptied = true
    const { paths } = this
    if (paths.length === 0) this.destroy()
    for (const path of paths) this.#sayEnd(path)
  }

  /** One of two paths may swallow it, so it is said on both. Once their sockets have taken it they have all that was sent. */
  #sayEnd(path: LinePath): void {
    if (!this.#emptied) return
    this.#endTaken.delete(path)
    this.#sendEnd(path, () => {
      this.#endTaken.add(path)
      if (this.paths.every((one) => this.#endTaken.has(one))) this.destroy()
    })
  }

  /** The other end's stream is over. END is answered with END, so that nobody waits for a socket, or for an acknowledgement. */
  #peerEnded(error: Error | undefined): void {
    if (!error && !this.#emptied) {
      this.#ending = true
      for (const path of this.paths) this.#sendEnd(path)
    }
    this.destroy(error)
  }

  #sendEnd(path: LinePath, then?: () => void): void {
    path.send(lineFrame(LineFrame.end, offsetBytes(this.#sender.sent)), then)
  }

  destroy(error?: Error): void {
    if (this.#over) return
    // Once END was said, the other end may have gone because of it, and whatever else ends the line is no loss.
    const over = { error: this.#emptied ? undefined : error }
    this.#over = over
    this.#sender.close()
    this.#receiver.close()
    const { paths } = this
    this.#unstripe()
    this.#carriers.current = undefined
    for (const path of paths) {
      // An orderly end lets what was sent leave first.
      if (this.#ending) this.#endSoon(path)
      else path.close()
    }
    this.#options.onOver?.()
    this.#onClose?.(over.error)
  }

  #endSoon(path: LinePath): void {
    path.end()
    this.#options.clock.after(LEAVING_MS, () => path.path.destroy(), 'alone')
  }

  // What its owner sees.

  get over(): boolean {
    return this.#over !== undefined
  }

  get current(): LinePath | undefined {
    return this.#carriers.current
  }

  /** What carries it: `current`, and a second one. */
  get paths(): LinePath[] {
    const path = this.#carriers.current
    if (!path) return []
    return this.#carriers.stripe ? [path, this.#carriers.stripe.other(path)] : [path]
  }

  /** Do two paths carry it? */
  get isStriped(): boolean {
    return this.#carriers.stripe !== undefined
  }

  carriedBy(path: LinePath): boolean {
    return this.#carriers.current === path || this.#carriers.stripe?.has(path) === true
  }

  /** What the other end has got for certain. */
  get acked(): number {
    return this.#sender.acked
  }

  /** The next byte to come: what a resuming end tells the other. */
  get received(): number {
    return this.#receiver.received
  }

  /** Bytes that wait for those in front of them, which went over another path. */
  get early(): number {
    return this.#receiver.early
  }

  get unacked(): number {
    return this.#sender.sent - this.#sender.acked
  }

  /** Can the other end have received so many bytes? */
  couldHave(received: number): boolean {
    return received <= this.#sender.sent
  }

  /** Since when bytes have waited for an acknowledgement without any progress, undefined if none do. */
  get waitingSince(): number | undefined {
    return this.#sender.waitingSince
  }

  /**
   * Bytes go over `path` from now on, beginning with the first that the other end has not got: `peerReceived` is what it
   * says. Throws ProtocolError when that cannot be. The path before is the owner's to close.
   */
  attach(path: LinePath, peerReceived: number): void {
    this.acknowledge(peerReceived)
    const before = this.#carriers.current
    const [, second] = this.paths
    this.#unstripe()
    if (second !== path) second?.close()
    this.#carriers.current = path
    path.onIdle = this.#sender.proceed
    // Its messages lie in memory that is used again as soon as the new path has carried the bytes.
    if (before && before !== path && before.pending > 0) before.close()
    this.#sender.retransmit(path)
    this.#sayEnd(path)
  }

  /** A second path may bring bytes before those in front of them, from now on. */
  expectEarly(): void {
    this.#receiver.expectEarly(MOST_UNACKED)
  }

  /** Bytes go over `path`, too. Throws ProtocolError when the other end cannot have so many bytes. */
  join(path: LinePath, peerReceived: number): void {
    this.acknowledge(peerReceived)
    this.expectEarly()
    if (this.#carriers.stripe) this.giveUp(this.#carriers.stripe.quieter, 'there is a newer one')
    const first = this.#carriers.current
    if (!first) {
      this.attach(path, peerReceived)
      return
    }
    path.onIdle = this.#sender.proceed
    this.#carriers.stripe = new Stripe(first, path, {
      clock: this.#options.clock,
      retransmit: (from, to) => this.#sender.retransmit(to, from),
      giveUp: (one, why) => this.giveUp(one, why),
      onReady: this.#sender.proceed,
    })
    this.#sayEnd(path)
  }

  /** Closes one of two paths. */
  giveUp(path: LinePath, why: string): void {
    path.close()
    this.detach(path, why)
  }

  /** `path` is gone. The line goes on over the second one if there is one; else nothing is sent until another is attached. */
  detach(path: LinePath, why: string): void {
    path.lost()
    if (!this.carriedBy(path)) return
    const other = this.#carriers.stripe?.other(path)
    const wasFirst = this.#carriers.current === path
    this.#unstripe()
    if (wasFirst) this.#carriers.current = other
    if (!other) return
    this.#sender.retransmit(other, path)
    this.#sayEnd(other)
    this.#options.onParted?.(why, wasFirst)
  }

  #unstripe(): void {
    this.#carriers.stripe?.close()
    this.#carriers.stripe = undefined
  }

  /** The other end has sent END. */
  ended(offset: number | undefined): void {
    this.#receiver.ended(offset)
  }

  /** The other end has sent all it had, and is gone when its paths are. */
  get isEnding(): boolean {
    return this.#receiver.isEnding
  }

  /** Bytes of the other end, valid during the call, that `path` has brought. */
  receive(offset: number, piece: Buffer, path: LinePath): void {
    this.#receiver.receive(offset, piece, path)
  }

  /** `path` has brought PATH_ACK. Throws ProtocolError if it cannot be true. */
  pathAcked(path: LinePath, received: number, arrived: number): void {
    this.acknowledge(received)
    if (this.#carriers.stripe?.has(path)) this.#carriers.stripe.acked(path, arrived)
  }

  /** The other end has everything in front of `received`. Throws ProtocolError when that cannot be. */
  acknowledge(received: number): void {
    this.#sender.acknowledge(received)
  }
}
