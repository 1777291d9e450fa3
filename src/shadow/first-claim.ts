// A pod that has just started gets requests as soon as the cluster says that it runs, which may be before its client has claimed the
// ports. So in its first moments a connection waits for the claim, and only then goes to the original.
import type { Clock } from '../base/clock.ts'
import type { AgentPort } from './ports.ts'

/** How long after the start. A client that is there claims within a second. */
export const FIRST_CLAIM_MS = 2_000

export class FirstClaim {
  readonly #claimed = new Set<AgentPort>()
  readonly #waiting = new Map<AgentPort, (() => void)[]>()
  #over = false
  /** Resolves when a client has claimed a port, or none will soon. */
  readonly settled: Promise<void>
  #settle: () => void = () => {}

  constructor(clock: Clock, ms = FIRST_CLAIM_MS) {
    this.settled = new Promise((resolve) => {
      this.#settle = resolve
    })
    clock.after(ms, () => this.#end(), 'alone')
  }

  /** Calls `ready` when the port has been claimed, or will not be: at once if that is known. */
  wait(port: AgentPort, ready: () => void): void {
    const waiting = this.#waiting.get(port)
    if (this.#over || this.#claimed.has(port)) ready()
    else if (waiting) waiting.push(ready)
    else this.#waiting.set(port, [ready])
  }

  claimed(port: AgentPort): void {
    this.#claimed.add(port)
    this.#settle()
    this.#wake(port)
  }

  #end(): void {
    this.#over = true
    this.#settle()
    for (const port of [...this.#waiting.keys()]) this.#wake(port)
  }

  #wake(port: AgentPort): void {
    const waiting = this.#waiting.get(port) ?? []
    this.#waiting.delete(port)
    for (const ready of waiting) ready()
  }
}
