// After a flood of connections the agent is idle, and an idle V8 collects no garbage: the pod would keep for good what the flood
// took. So the agent collects once when a flood is over, which takes some 20 ms.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Of fewer connections the garbage is not worth the pause. */
const FLOOD = 256

/** Watches how many connections there are; `collect` is called when most of a flood has gone. */
export class FloodWatch {
  readonly #collect: () => void
  #most = 0

  constructor(collect: () => void) {
    this.#collect = collect
  }

  opened(now: number): void {
    this.#most = Math.max(this.#most, now)
  }

  /** To be called now and then. */
  check(now: number): void {
    if (this.#most < FLOOD || now > this.#most / 8) return
    this.#most = now
    this.#collect()
  }
}

export function collectGarbage(): void {
  // The only way to ask a Node for it that was not started with the flag.
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (() => void) | undefined
  // What only the first round finds to be unused takes a second.
  gc?.()
  setImmediate(() => gc?.())
}
