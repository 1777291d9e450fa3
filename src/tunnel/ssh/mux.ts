// The channels of one SSH connection, as small objects with callbacks. ssh2's own channels are Node streams with a fixed window
// of 2 MiB, and they ignore how much the transport has buffered. Client and agent use the same mux.

import type { Clock } from '../../base/clock.ts'
import type { Transport } from '../transport/transport.ts'
import { Arrivals } from './arrivals.ts'
import { Channel, type ChannelHandler, type ChannelOwner, deaf } from './channel.ts'
import { Flight } from './flight.ts'
import { type ChannelEvents, ChannelPort, type OpenConfirmation, type OpenRequest } from './internals.ts'
import { SendingTurns, TRANSPORT_LIMIT } from './sending-turns.ts'
import { INITIAL_WINDOW, ReceiveWindow, type WindowBudget } from './window.ts'

/** ssh2 numbers its own channels from 0: ours are far above. */
const FIRST_CHANNEL = 2 ** 20
const LAST_CHANNEL = 2 ** 31

/** docs/understand/agent-protocol.md: RST in order with the data. */
export const RESET_REQUEST = 'reset@kt'

export class ChannelMux implements ChannelEvents, ChannelOwner {
  readonly #port: ChannelPort
  readonly #transport: Transport
  readonly #budget: WindowBudget
  readonly flight: Flight
  readonly arrivals: Arrivals
  readonly #turns: SendingTurns
  readonly #channels = new Map<number, Channel>()
  #next = FIRST_CHANNEL
  #lost = false
  readonly #maxData: number
  bytesIn = 0
  bytesOut = 0
  /** How many channel messages have come. It shows whether the other side still says anything. */
  heard = 0
  /**
   * For servers with large windows of fixed size (OpenSSH: 2 MiB): no more is in flight than such windows as ours would let
   * be, or eight uploads put 16 MiB in front of every other byte.
   */
  limitSending = false
  /** Decides about channels the other side opens; true if it took the request (and confirms or refuses it). */
  onIncoming: (request: OpenRequest) => boolean = () => false

  /** `maxData`: the most channel data of a message that is taken, and sent to who takes so much. */
  constructor(connection: object, transport: Transport, budget: WindowBudget, maxData: number) {
    this.#maxData = maxData
    this.#transport = transport
    this.#budget = budget
    this.flight = new Flight(budget.now, () => budget.roundTripMs)
    this.arrivals = new Arrivals(this.flight, budget.clock)
    this.#port = new ChannelPort(connection, this)
    this.#turns = new SendingTurns(transport, this.flight, this.#port, maxData)
    transport.onDrain = () => this.#turns.drain()
  }

  get clock(): Clock {
    return this.#budget.clock
  }

  get size(): number {
    return this.#channels.size
  }

  /** True when a datagram is better dropped than queued. */
  get congested(): boolean {
    return this.#transport.buffered >= 2 * TRANSPORT_LIMIT || this.#port.exchangingKeys
  }

  /** To be called again after each key exchange, which makes new ciphers. Returns whether nothing is kept of the input. */
  improveCiphers(): boolean {
    const copies = this.#port.improveCiphers((length) => this.#transport.reserve(length))
    this.#turns.drain()
    return copies
  }

  /** Opens a channel; `handler` hears whether it was confirmed. */
  openChannel(
    type: string,
    handler: ChannelHandler,
    target?: Required<OpenRequest['data']>,
    window = INITIAL_WINDOW,
  ): Channel {
    const channel = this.#create(handler, window)
    if (this.#lost) queueMicrotask(() => this.#lose(channel))
    else {
      this.flight.hurry()
      this.#port.open(type, channel.id, window, this.#maxData, target)
    }
    return channel
  }

  /** Says yes to what the other side wants to open. */
  accept(request: OpenRequest, handler: ChannelHandler, window = INITIAL_WINDOW): Channel {
    const channel = this.#create(handler, window)
    channel.remoteId = request.sender
    channel.permit(request.window, Math.min(this.#maxData, request.packetSize))
    channel.open = true
    if (this.#lost) queueMicrotask(() => this.#lose(channel))
    else {
      this.flight.hurry()
      this.#port.confirm(request.sender, channel.id, window, this.#maxData)
    }
    return channel
  }

  refuse(request: OpenRequest, reason: number, description: string): void {
    this.#port.refuse(request.sender, reason, description)
  }

  /** The connection is gone: every owner hears so, once. */
  lose(): void {
    if (this.#lost) return
    this.#lost = true
    this.#turns.clear()
    this.arrivals.end()
    for (const channel of [...this.#channels.values()]) this.#lose(channel)
  }

  write(channel: Channel, buffer: Uint8Array, start: number, end: number, urgent: boolean): number {
    if (!channel.open || channel.sentEof || channel.sentClose || this.#lost) return 0
    let p = start
    while (p < end) {
      const credit = urgent ? channel.credit : channel.credit - channel.reserve
      if (credit <= 0 || (credit < channel.wholeCredit && credit < end - p && !urgent)) {
        channel.starved = true
        break
      }
      const room = urgent ? this.#maxData : this.#turns.room(channel)
      if (room <= 0) {
        this.#turns.wait(channel)
        break
      }
      const size = Math.min(end - p, credit, channel.maxData, room)
      this.#port.data(channel.remoteId, buffer, p, p + size)
      this.flight.sent(size, urgent ? undefined : channel.pulse)
      channel.credit -= size
      channel.quantum -= size
      p += size
    }
    this.bytesOut += p - start
    return p - start
  }

  /** The far side has got `total` bytes of channel data, modulo 2^32. */
  arrived(total: number): void {
    this.flight.arrived(total)
    this.#turns.drain()
  }

  consumed(channel: Channel, bytes: number): void {
    if (channel.use === 'returned') channel.loans.settle(bytes)
    if (channel.sentClose || this.#lost) return
    const amount = channel.window.consumed(bytes)
    if (amount > 0 && !channel.gotEof) this.#port.adjustWindow(channel.remoteId, amount)
  }

  end(channel: Channel): void {
    if (channel.sentEof || channel.sentClose) return
    channel.sentEof = true
    if (!channel.open) return
    this.#port.eof(channel.remoteId)
    if (channel.gotEof) this.#sendClose(channel)
  }

  drop(channel: Channel, withReset: boolean): void {
    if (channel.abandoned) return
    channel.abandoned = true
    channel.handler = deaf
    if (!channel.open || channel.sentClose || this.#lost) return
    if (withReset) this.#port.request(channel.remoteId, RESET_REQUEST)
    this.#sendClose(channel)
  }

  #create(handler: ChannelHandler, window: number): Channel {
    while (this.#channels.has(this.#next)) this.#next++
    const channel = new Channel(this, this.#next, handler, new ReceiveWindow(this.#budget, window))
    this.#next = this.#next >= LAST_CHANNEL ? FIRST_CHANNEL : this.#next + 1
    this.#channels.set(channel.id, channel)
    return channel
  }

  #sendClose(channel: Channel): void {
    if (channel.sentClose) return
    channel.sentClose = true
    const close = () => this.#port.close(channel.remoteId)
    // The other side knows of the end already. This message only lets it forget the channel, so it may wait.
    if (channel.gotClose || (channel.sentEof && channel.gotEof)) this.#transport.unhurried(close)
    else close()
  }

  #forget(channel: Channel): void {
    this.#channels.delete(channel.id)
    channel.release()
    channel.open = false
    this.#turns.forget(channel)
  }

  #lose(channel: Channel): void {
    this.#forget(channel)
    channel.handler.onClose('lost')
  }

  // ChannelEvents: false means that the channel is not ours.

  onOpenRequest(request: OpenRequest): boolean {
    this.heard++
    return this.onIncoming(request)
  }

  onConfirmed(confirmation: OpenConfirmation): boolean {
    this.heard++
    const channel = this.#channels.get(confirmation.recipient)
    if (!channel) return this.isOurs(confirmation.recipient)
    channel.open = true
    channel.remoteId = confirmation.sender
    channel.permit(confirmation.window, Math.min(this.#maxData, confirmation.packetSize))
    if (this.limitSending) channel.limit(new ReceiveWindow(this.#budget), confirmation.window)
    if (channel.abandoned) {
      this.#sendClose(channel)
      return true
    }
    if (channel.sentEof) this.#port.eof(channel.remoteId)
    channel.handler.onOpen()
    return true
  }

  onRefused(id: number, reason: number, description: string): boolean {
    this.heard++
    const channel = this.#channels.get(id)
    if (!channel) return this.isOurs(id)
    this.#forget(channel)
    channel.handler.onRefused(reason, description)
    return true
  }

  isOurs(id: number): boolean {
    return id >= FIRST_CHANNEL
  }

  onData(id: number, data: Buffer): boolean {
    this.heard++
    if (!this.isOurs(id)) return false
    const channel = this.#channels.get(id)
    const { slab } = this.#port.source
    this.arrivals.received(data.length, channel?.use === 'read' ? undefined : channel?.incoming)
    if (!channel) {
      slab?.keep()
      return true
    }
    this.bytesIn += data.length
    if (slab && !channel.abandoned) {
      if (channel.use === 'returned') channel.loans.add(slab, data.length)
      else if (channel.use === 'kept') slab.keep()
    }
    channel.handler.onData(data)
    return true
  }

  onWindow(id: number, bytes: number): boolean {
    this.heard++
    const channel = this.#channels.get(id)
    if (!channel) return this.isOurs(id)
    channel.credited(bytes)
    if (!channel.starved) return true
    channel.starved = false
    channel.handler.onDrain()
    return true
  }

  onEof(id: number): boolean {
    this.heard++
    const channel = this.#channels.get(id)
    if (!channel) return this.isOurs(id)
    if (channel.gotEof) return true
    channel.gotEof = true
    channel.handler.onEnd()
    if (channel.sentEof) this.#sendClose(channel)
    return true
  }

  onClosed(id: number): boolean {
    this.heard++
    const channel = this.#channels.get(id)
    if (!channel) return this.isOurs(id)
    channel.gotClose = true
    this.#sendClose(channel)
    this.#forget(channel)
    const clean = channel.gotEof && channel.sentEof && !channel.gotReset
    channel.handler.onClose(clean ? 'clean' : 'reset')
    return true
  }

  onRequest(id: number, type: string, wantReply: boolean): boolean {
    this.heard++
    const channel = this.#channels.get(id)
    if (!channel) return this.isOurs(id)
    if (type === RESET_REQUEST) channel.gotReset = true
    else if (wantReply) this.#port.denyRequest(channel.remoteId)
    return true
  }
}
