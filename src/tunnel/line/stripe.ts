// Two paths that carry one line: which frame goes over which, and when one of them has fallen behind or is dead.
// docs/understand/line.md, "Two paths at once".
import type { Clock } from '../../base/clock.ts'
import type { LinePath } from './line-path.ts'
import { PathFlight, TELLING_BYTES } from './path-flight.ts'

/** While bytes are in flight the paths are looked at so often. */
const LOOK_MS = 50
/** What is late by this many times of the other path, and by so many ms, is sent again over that one. */
const LATE_TIMES = 3
const LATE_MS = 100
/** A path is given up that has brought no news of what is in flight for so long, or for four round trips. */
const DEAD_MS = 1_000
const DEAD_TRIPS = 4
/** A path that has carried no bulk for so long gets a copy of some. */
const UNTRIED_MS = 2_000
/** What bulk is sent in: the next message is about so long. */
const MESSAGE_BYTES = 128 * 1024

export interface StripeEffects {
  clock: Clock
  /** Sends again over `to` what went over `from`. */
  retransmit(from: LinePath, to: LinePath): void
  /** The path is of no use. It is the owner's to close it and to leave the stripe. */
  giveUp(path: LinePath, why: string): void
  /** What was not ready may be. */
  onReady(): void
}

export class Stripe {
  readonly #flights: readonly [PathFlight, PathFlight]
  readonly #effects: StripeEffects
  #cancelLook: (() => void) | undefined
  /** How much had been sent on a path when what was late there was sent again. */
  readonly #repeated = new Map<PathFlight, number>()

  constructor(first: LinePath, second: LinePath, effects: StripeEffects) {
    this.#effects = effects
    const now = effects.clock.now()
    this.#flights = [new PathFlight(first, now), new PathFlight(second, now)]
  }

  has(path: LinePath): boolean {
    return this.#flights.some((flight) => flight.path === path)
  }

  /** The other one of the two. */
  other(path: LinePath): LinePath {
    const [first, second] = this.#flights
    return first.path === path ? second.path : first.path
  }

  /** The path that has been silent for longer. */
  get quieter(): LinePath {
    const [first, second] = this.#flights
    return first.path.heardAt < second.path.heardAt ? first.path : second.path
  }

  /** The path on which a message of `size` bytes arrives first. */
  choose(size: number): LinePath {
    return this.#best(size).path
  }

  /** May the next message be sent? If not, `onReady` comes. */
  get ready(): boolean {
    return this.#best(MESSAGE_BYTES).path.pending === 0
  }

  /** A message of `size` bytes was sent over `path`. */
  sent(path: LinePath, size: number): void {
    this.#mark(this.#flightOf(path)!, size)
  }

  /** The path that should get a copy of the message of `size` bytes that goes over `path`, if there is one. */
  untried(path: LinePath, size: number): LinePath | undefined {
    if (size < TELLING_BYTES) return undefined
    const flight = this.#flightOf(this.other(path))!
    const idle = flight.bytes === 0 && flight.path.pending === 0
    return idle && this.#effects.clock.now() - flight.triedAt > UNTRIED_MS ? flight.path : undefined
  }

  /** PATH_ACK has come over `path`. Throws ProtocolError if it cannot be true. */
  acked(path: LinePath, arrived: number): void {
    this.#flightOf(path)?.acked(arrived, this.#effects.clock.now())
    this.#effects.onReady()
  }

  close(): void {
    this.#cancelLook?.()
    this.#cancelLook = undefined
  }

  #flightOf(path: LinePath): PathFlight | undefined {
    return this.#flights.find((flight) => flight.path === path)
  }

  #best(size: number): PathFlight {
    const [first, second] = this.#flights
    const now = this.#effects.clock.now()
    return second.arrivesIn(size, now) < first.arrivesIn(size, now) ? second : first
  }

  #mark(flight: PathFlight, size: number): void {
    flight.sent(size, this.#effects.clock.now())
    this.#cancelLook ??= this.#effects.clock.after(LOOK_MS, this.#look, 'alone')
  }

  readonly #look = (): void => {
    this.#cancelLook = undefined
    const [first, second] = this.#flights
    if (this.#isDead(first, second) || this.#isDead(second, first)) return
    this.#repeat(first, second)
    this.#repeat(second, first)
    this.#effects.onReady()
    if (first.bytes + second.bytes > 0) this.#cancelLook ??= this.#effects.clock.after(LOOK_MS, this.#look, 'alone')
  }

  #isDead(flight: PathFlight, other: PathFlight): boolean {
    if (flight.bytes === 0) return false
    const silence = this.#effects.clock.now() - flight.progressAt
    const most = Math.max(DEAD_MS, DEAD_TRIPS * Math.max(flight.tripMs, other.tripMs))
    if (silence <= most || other.path.heardAt <= flight.progressAt) return false
    this.#effects.giveUp(flight.path, `nothing was acknowledged on it for ${(silence / 1000).toFixed(1)} s`)
    return true
  }

  #repeat(flight: PathFlight, other: PathFlight): void {
    if (flight.bytes === 0 || other.bytes > 0) return
    const late = flight.waited(this.#effects.clock.now(), this.#repeated.get(flight))
    if (late <= Math.max(LATE_MS, LATE_TIMES * other.tripMs)) return
    this.#repeated.set(flight, flight.path.sent)
    const before = other.path.sent
    this.#effects.retransmit(flight.path, other.path)
    if (other.path.sent > before) this.#mark(other, other.path.sent - before)
  }
}
