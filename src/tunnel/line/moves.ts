// Leaves a path that something on the way will soon end, as it has ended others: the line goes on over a new path before
// that, without a gap. The old path stays open for a while, and so shows whether it is really ended.
import type { Clock } from '../../base/clock.ts'
import type { LinePath } from './line-path.ts'

/** An attempt that failed is repeated after this. */
const AGAIN_MS = 500

export interface MovesOptions {
  clock: Clock
  /** Makes a new path carry the line. */
  attempt(signal: AbortSignal): Promise<void>
  /** How long an attempt may take. */
  timeoutMs(): number
  log(message: string): void
}

export class Moves {
  readonly #options: MovesOptions
  #leaving: LinePath | undefined
  #attempt: AbortController | undefined
  #notBefore = 0
  readonly #left = new Set<LinePath>()

  constructor(options: MovesOptions) {
    this.#options = options
  }

  /** Begins to leave `path` if it is time. */
  look(path: LinePath): void {
    const { clock, attempt, timeoutMs, log } = this.#options
    const fate = path.path.fate?.()
    if (!fate || fate.moveInMs > 0 || this.#attempt || clock.now() < this.#notBefore) return
    const controller = new AbortController()
    this.#attempt = controller
    this.#leaving = path
    log(`the path will be ended in ${Math.round(fate.endInMs)} ms: the line moves to another one`)
    const cancel = clock.after(timeoutMs(), () => controller.abort())
    attempt(controller.signal)
      .catch((error: Error) => {
        if (!controller.signal.aborted) log(`a new path: ${error.message}`)
      })
      .finally(() => {
        cancel()
        this.#attempt = undefined
        this.#leaving = undefined
        this.#notBefore = clock.now() + AGAIN_MS
      })
  }

  /**
   * True if the line is moving away from `path` because it will be ended. The path stays open until it is ended, or has lived
   * for so long that the expectation was wrong.
   */
  keep(path: LinePath): boolean {
    if (path !== this.#leaving) return false
    const fate = path.path.fate?.()
    if (!fate) return false
    this.#left.add(path)
    this.#options.clock.after(Math.max(0, fate.disprovedInMs), () => this.#close(path), 'alone')
    return true
  }

  close(): void {
    this.#attempt?.abort()
    for (const path of this.#left) this.#close(path)
  }

  #close(path: LinePath): void {
    if (this.#left.delete(path)) path.close()
  }
}
