// Time, handed in by the composition root, so that time-outs can be tested without waiting.

export interface Clock {
  /** Milliseconds of any origin, never going back. */
  now(): number
  /** Calls `fire` once, `ms` from now; the result cancels it. */
  after(ms: number, fire: () => void): () => void
}

/** This machine's own time: for composition roots. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, fire) => {
    const timer = setTimeout(fire, ms)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function delay(ms: number, signal: AbortSignal, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const cancel = clock.after(ms, done)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
