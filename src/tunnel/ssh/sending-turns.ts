// Which channel may write now. While the transport is full, or as much is in flight as may be, channels wait. When there is room
// again they write one after the other, each a limited amount, so that none keeps the others waiting.
import type { Transport } from '../transport/transport.ts'
import type { Channel } from './channel.ts'
import type { Flight } from './flight.ts'
import { MAX_OWN_DATA } from './packet-shape.ts'

/** Bytes the transport may hold before channels wait: enough to keep a line busy for a turn, short enough for an echo behind it. */
export const TRANSPORT_LIMIT = 256 * 1024
/** Channels that send little may go on up to this limit, so that keystrokes do not queue behind bulk data. */
const AHEAD_LIMIT = 4 * TRANSPORT_LIMIT
/** How much one waiting channel may send before it is the next one's turn. */
const QUANTUM = 2 * MAX_OWN_DATA

export class SendingTurns {
  readonly #transport: Transport
  readonly #flight: Flight
  readonly #port: { readonly exchangingKeys: boolean }
  readonly #maxData: number
  #waiting: Channel[] = []
  #draining = false

  /** `maxData`: the most channel data of a message. */
  constructor(transport: Transport, flight: Flight, port: { readonly exchangingKeys: boolean }, maxData: number) {
    this.#transport = transport
    this.#flight = flight
    this.#port = port
    this.#maxData = maxData
  }

  /** How much this channel may write now. */
  room(channel: Channel): number {
    if (this.#port.exchangingKeys) return 0
    const { buffered } = this.#transport
    if (buffered < TRANSPORT_LIMIT && !this.#flight.full) {
      if (this.#draining) return channel.quantum
      if (this.#waiting.length === 0) return this.#maxData
    }
    return buffered >= AHEAD_LIMIT ? 0 : this.#flight.ahead(channel.pulse)
  }

  /** The channel has more to write than there is room for. */
  wait(channel: Channel): void {
    if (channel.parked) return
    channel.parked = true
    this.#waiting.push(channel)
  }

  /** Lets channels write while there is room. The first error of an owner is thrown when all have had their turn. */
  drain(): void {
    if (this.#draining || this.#port.exchangingKeys) return
    this.#draining = true
    let failure: { error: unknown } | undefined
    while (this.#waiting.length > 0 && this.#transport.buffered < TRANSPORT_LIMIT && !this.#flight.full) {
      const channel = this.#waiting.shift()!
      channel.parked = false
      channel.quantum = QUANTUM
      try {
        channel.handler.onDrain()
      } catch (error) {
        failure ??= { error }
      }
    }
    this.#draining = false
    if (failure) throw failure.error
  }

  forget(channel: Channel): void {
    if (channel.parked) this.#waiting = this.#waiting.filter((other) => other !== channel)
    channel.parked = false
  }

  /** The connection is gone: nobody waits any more. */
  clear(): void {
    this.#waiting = []
  }
}
