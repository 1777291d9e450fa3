// While something is put back: does the cluster answer at all? What waits for the cluster's own time (pods that start,
// endpoints that move) may take as long as it has to; what waits for an API server out of reach is given up.
import { ToldError } from '../../base/told-error.ts'

const ASK_EVERY_MS = 2_000

export interface ReachEffects {
  /** A small question to the API server. */
  ask(): Promise<unknown>
  now(): number
  /** Calls once after `ms`; returns what takes it back. */
  after(ms: number, call: () => void): () => void
}

export class Reach {
  readonly #effects: ReachEffects
  readonly #patienceMs: number
  readonly #lost: Promise<never>
  readonly #rejectAll: (error: Error) => void
  #answered: number
  /** It has been given up. */
  lost = false
  #cancel: () => void = () => {}

  /** Begins to ask. */
  constructor(effects: ReachEffects, patienceMs: number) {
    this.#effects = effects
    this.#patienceMs = patienceMs
    this.#answered = effects.now()
    const { promise, reject } = Promise.withResolvers<never>()
    promise.catch(() => {})
    this.#lost = promise
    this.#rejectAll = reject
    this.#ask()
  }

  /** As `promise`; rejects with code `unreachable` once the cluster has not answered for the time of patience. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {})
    return await Promise.race([promise, this.#lost])
  }

  stop(): void {
    this.#cancel()
  }

  #ask(): void {
    let open = true
    const answered = (error?: unknown) => {
      open = false
      // An answer that refuses is one.
      if ((error as { code?: string } | undefined)?.code !== 'unreachable') this.#answered = this.#effects.now()
    }
    const look = () => {
      if (this.#effects.now() - this.#answered >= this.#patienceMs) {
        this.#giveUp()
        return
      }
      if (open) this.#cancel = this.#effects.after(ASK_EVERY_MS, look)
      else this.#ask()
    }
    this.#cancel = this.#effects.after(ASK_EVERY_MS, look)
    this.#effects.ask().then(() => answered(), answered)
  }

  #giveUp(): void {
    this.lost = true
    const hint = 'check the network, VPN or proxy to the API server'
    this.#rejectAll(new ToldError('unreachable', 'the API server does not answer', hint))
  }
}
