// How much the other side may send on a channel. The window is small for an idle flow. It grows for a busy one, until it no longer
// limits the flow. All windows share one budget, because 2,000 flows with 2 MiB each would take 4 GB.
import type { Clock } from '../../base/clock.ts'
import { MAX_OWN_DATA } from './packet-shape.ts'

/** Every channel's window at the start, 251 KiB. OpenSSH starts with 2 MiB. */
export const INITIAL_WINDOW = 4 * MAX_OWN_DATA
/** No window is larger. 83 MB/s at 40 ms round trip is 3.3 MB in flight; four times that for faster lines. */
export const MAX_WINDOW = 16 * 1024 * 1024
const DEFAULT_BUDGET = 64 * 1024 * 1024
/**
 * Added to the round trip, for the turns of the event loops and programs on the way. Under load these take many times longer than
 * at rest. Other flows wait this long behind a busy one. With 2 ms a loaded machine uploaded 14 MB/s, where 40 were possible.
 */
const SLACK_MS = 20
/**
 * The same where bulk makes way for who waits behind it (flight.ts). Flows that wait for credit move in small pieces: eight uploads at
 * once took 4.9 CPU s a GB with 20 ms, 4.7 with 80, 4.0 with 200.
 */
export const OWN_SLACK_MS = 100
/** A window that lasts this many times longer than needed is halved. */
const SHRINK_FACTOR = 4

/** The memory by which all windows of one session may grow, with the clock and the round trip that they are judged by. */
export class WindowBudget {
  /** Smallest round trip seen in ms. */
  roundTripMs = 5
  /** How much longer than the line's round trip a window may last and still be too small. */
  slackMs = SLACK_MS
  readonly clock: Clock
  readonly now: () => number
  #left: number

  constructor(clock: Clock, bytes = DEFAULT_BUDGET) {
    this.clock = clock
    this.now = () => clock.now()
    this.#left = bytes
  }

  get left(): number {
    return this.#left
  }

  take(bytes: number): boolean {
    if (bytes > this.#left) return false
    this.#left -= bytes
    return true
  }

  giveBack(bytes: number): void {
    this.#left += bytes
  }
}

/** The receiving window of one channel. */
export class ReceiveWindow {
  size: number
  #initial: number
  #budget: WindowBudget
  /** Consumed and not yet given back. */
  #owed = 0
  #consumedInRound = 0
  #busyRounds = 0
  #settled = false
  #roundStart: number

  constructor(budget: WindowBudget, initial = INITIAL_WINDOW) {
    this.#budget = budget
    this.#initial = initial
    this.size = initial
    this.#roundStart = budget.now()
  }

  /** Returns what is to be given back to the sender now: 0 or the amount of a window adjust. */
  consumed(bytes: number): number {
    this.#owed += bytes
    this.#consumedInRound += bytes
    // Each adjust is a packet, a frame and a system call.
    if (this.#owed < this.size / 2) return 0
    let amount = this.#owed
    if (this.#consumedInRound >= this.size) amount += this.#resize()
    // After shrinking, the sender's credit runs down first.
    this.#owed = Math.min(0, amount)
    return Math.max(0, amount)
  }

  /** Called after a whole window was consumed. Returns by how much the window grows or shrinks. */
  #resize(): number {
    const now = this.#budget.now()
    const elapsed = now - this.#roundStart
    this.#roundStart = now
    this.#consumedInRound = 0
    // Credit comes in halves, so a sender that waits for us uses a window in one to two round trips; and the kernel's TCP below
    // does not open its own window while ours holds it back: with 2 here a fresh line stayed at 256 KiB for seconds.
    const busy = 4 * this.#budget.roundTripMs + this.#budget.slackMs
    this.#busyRounds = elapsed < busy ? this.#busyRounds + 1 : 0
    if (elapsed >= busy) this.#settled = true
    // At first the window grows in every round, as in TCP's slow start. Later a single quick round may be chance.
    const mayGrow = this.#busyRounds >= (this.#settled ? 2 : 1) && 2 * this.size <= MAX_WINDOW
    if (mayGrow && this.#budget.take(this.size)) {
      this.#busyRounds = 0
      this.size *= 2
      return this.size / 2
    }
    // Data in flight beyond what is needed stands in queues on the way, and other flows wait behind it.
    if (elapsed > SHRINK_FACTOR * busy && this.size > this.#initial) {
      this.size /= 2
      this.#budget.giveBack(this.size)
      return -this.size
    }
    return 0
  }

  /** The channel is gone. */
  release(): void {
    this.#budget.giveBack(this.size - this.#initial)
    this.size = this.#initial
  }
}
