// Tells the far side how much channel data has arrived: at once when much has, otherwise a moment later.
import type { Clock } from '../../base/clock.ts'
import { type Flight, TELL_REST_MS, TELL_SHORT_BYTES } from './flight.ts'
import type { Pulse } from './pulse.ts'

export class Arrivals {
  /** Tells the total, in bytes modulo 2^32. Set where the far side understands that. */
  tell: (total: number) => void = () => {}
  readonly #flight: Flight
  readonly #clock: Clock
  #cancel: (() => void) | undefined

  constructor(flight: Flight, clock: Clock) {
    this.#flight = flight
    this.#clock = clock
  }

  received(bytes: number, pulse: Pulse | undefined): void {
    const total = this.#flight.received(bytes, pulse)
    if (total >= 0) this.tell(total)
    else if (!this.#cancel && this.#flight.untold >= TELL_SHORT_BYTES)
      this.#cancel = this.#clock.after(TELL_REST_MS, this.#tellRest, 'alone')
  }

  readonly #tellRest = (): void => {
    this.#cancel = undefined
    if (this.#flight.untold >= TELL_SHORT_BYTES) this.tell(this.#flight.tell())
  }

  /** The connection is gone: nobody is told any more. */
  end(): void {
    this.tell = () => {}
    this.#cancel?.()
  }
}
