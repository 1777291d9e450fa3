// Attempts at a new path for a line: one after the other and several at a time, until one carries it or there is nothing
// to find.
import type { Clock } from '../../base/clock.ts'

/** Attempts at a new path begin so long after each other, and later more slowly. */
const AGAIN_MS = 250
const AGAIN_LATER_MS = 500
const FIRST_ATTEMPTS = 4
/**
 * An attempt waits for the answer to the one before it, up to a limit. The agent follows the last attempt that reaches it, so an
 * attempt that is made before that answer would take the line from the path that was just found.
 */
const AGAIN_TRIPS = 1.5
const MOST_ANSWER_MS = 2_000
/** Without a route to the cluster attempts are useless: the pause doubles up to this. */
const MOST_AGAIN_MS = 4_000
/** Attempts at a time, and how long each may take at least. */
const MOST_ATTEMPTS = 10
/** The cluster is asked whether the pod is there when an attempt has failed, at the latest after this. */
const FIRST_LOOK_MS = 300
/** While there is no path the cluster is asked so often whether the pod is still there. */
const LOOK_EVERY_MS = 2_000
// EHOSTUNREACH is not among them: the route is there, and a router does not answer, which nothing tells the end of.
const NO_ROUTE = new Set(['ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL'])

/** How long an attempt may take, at least and in round trips. */
const ATTEMPT_MS = 5_000
const ATTEMPT_TRIPS = 10

/** How long an attempt may take, ms. */
export function attemptTimeoutMs(roundTripMs = 0): number {
  return Math.max(ATTEMPT_MS, ATTEMPT_TRIPS * roundTripMs)
}

/** The agent's own words: it does not have the line. It says the same to each attempt. */
export class RefusedByAgent extends Error {}

interface SearchOptions {
  clock: Clock
  attempt(signal: AbortSignal): Promise<void>
  /** The first attempt begins so long from now, ms. */
  pauseMs: number
  /** The round trip, if it is known. */
  roundTripMs: number | undefined
  isAlive(): Promise<boolean>
  /** There is nothing to find. */
  gone(why: string): void
  log(message: string): void
}

/** Attempts at a new path, one after the other and several at a time, until it is stopped. */
export class Search {
  readonly #options: SearchOptions
  readonly #attempts = new Set<AbortController>()
  #cancelNext: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #count = 0
  readonly #leastPause: number
  #pause: number
  #stopped = false
  #looked = false

  constructor(options: SearchOptions) {
    this.#options = options
    const answerMs = Math.min(MOST_ANSWER_MS, AGAIN_TRIPS * (options.roundTripMs ?? 0))
    this.#leastPause = this.#pause = Math.max(AGAIN_MS, answerMs)
    if (options.pauseMs > 0) this.#cancelNext = options.clock.after(options.pauseMs, this.#next)
    else this.#next()
    this.#cancelLook = options.clock.after(FIRST_LOOK_MS, this.#look)
  }

  stop(): void {
    this.#stopped = true
    this.#cancelNext?.()
    this.#cancelLook?.()
    for (const attempt of this.#attempts) attempt.abort()
    this.#attempts.clear()
  }

  /** The network has changed: an attempt now. */
  hurry(): void {
    if (this.#stopped) return
    this.#pause = this.#leastPause
    // Attempts from before wait for answers that may never come, and must not be what keeps a new one from beginning.
    const [oldest] = this.#attempts
    if (oldest && this.#attempts.size >= MOST_ATTEMPTS) {
      oldest.abort()
      this.#attempts.delete(oldest)
    }
    this.#next()
  }

  readonly #next = (): void => {
    this.#cancelNext?.()
    if (this.#attempts.size < MOST_ATTEMPTS) this.#begin()
    this.#count++
    if (this.#count > FIRST_ATTEMPTS) this.#pause = Math.max(this.#pause, AGAIN_LATER_MS)
    this.#cancelNext = this.#options.clock.after(this.#pause, this.#next)
  }

  #begin(): void {
    const { clock, attempt, roundTripMs, log, gone } = this.#options
    const controller = new AbortController()
    this.#attempts.add(controller)
    const cancel = clock.after(attemptTimeoutMs(roundTripMs), () => controller.abort())
    attempt(controller.signal)
      .catch((error: Error & { code?: string; cause?: { code?: string } }) => {
        if (controller.signal.aborted) return
        log(`a new path: ${error.message}`)
        if (!this.#looked) this.#look()
        if (error instanceof RefusedByAgent) gone(`the agent: ${error.message}`)
        else if (NO_ROUTE.has(error.cause?.code ?? error.code ?? ''))
          this.#pause = Math.min(MOST_AGAIN_MS, 2 * this.#pause)
      })
      .finally(() => {
        cancel()
        this.#attempts.delete(controller)
      })
  }

  readonly #look = (): void => {
    const { clock, isAlive, gone } = this.#options
    this.#cancelLook?.()
    this.#looked = true
    isAlive().then(
      (alive) => {
        if (this.#stopped) return
        if (alive) this.#cancelLook = clock.after(LOOK_EVERY_MS, this.#look)
        else gone('the pod is gone')
      },
      () => {
        if (!this.#stopped) this.#cancelLook = clock.after(LOOK_EVERY_MS, this.#look)
      },
    )
  }
}
