// A clock that a test moves.
import type { Clock } from '../../src/base/clock.ts'
import type { Turns } from '../../src/tunnel/transport/gatherer.ts'

/** Nothing waits: time goes on when everything that is due has happened. */
export class VirtualTime implements Clock {
  #now = 0
  #count = 0
  #timers = new Map<number, { at: number; fire: () => void }>()
  readonly turns: Turns = {
    callback: (fire) => void this.after(0, fire),
    turn: (fire) => void this.after(0, fire),
    after: (ms, fire) => this.after(ms, fire),
  }

  /** Timers that are still to fire. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  after(ms: number, fire: () => void): () => void {
    const id = ++this.#count
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), fire })
    return () => void this.#timers.delete(id)
  }

  /** Lets promises settle, then runs what is due next; false when nothing is due until `until`. */
  async step(until: number): Promise<boolean> {
    for (let i = 0; i < 12; i++) await Promise.resolve()
    let next: [number, { at: number; fire: () => void }] | undefined
    for (const entry of this.#timers) if (!next || entry[1].at < next[1].at) next = entry
    if (!next || next[1].at > until) {
      this.#now = Math.max(this.#now, until)
      return false
    }
    this.#timers.delete(next[0])
    this.#now = Math.max(this.#now, next[1].at)
    next[1].fire()
    return true
  }

  /** Runs everything of the next `ms`. */
  async run(ms: number): Promise<void> {
    const until = this.#now + ms
    while (await this.step(until));
  }

  /** Runs until `done`, `ms` at most; false when it did not come. */
  async runUntil(done: () => boolean, ms: number): Promise<boolean> {
    const until = this.#now + ms
    while (!done()) if (!(await this.step(until))) return done()
    return true
  }
}
