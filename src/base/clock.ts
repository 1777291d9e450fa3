// Time, handed in by the composition root, so that time-outs can be tested without waiting.

export interface Clock {
  /** Milliseconds of any origin, never going back. */
  now(): number
  /** Calls `fire` once, `ms` from now; the result cancels it. `alone`: does not keep the process from ending. */
  after(ms: number, fire: () => void, alone?: 'alone'): () => void
}

/** This machine's own time: for composition roots. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, fire, alone) => {
    const timer = setTimeout(fire, ms)
    if (alone) timer.unref()
    return () => clearTimeout(timer)
  },
}

/** What tells time: the clock for waiting, and the wall clock (ms since 1970, may jump) for what others wrote down. */
export interface Time {
  clock: Clock
  wall(): number
}

/** This machine's own: for composition roots. */
export const systemTime: Time = { clock: systemClock, wall: Date.now }

/** Calls `fire` again and again; the result ends it. `alone` as in `Clock.after`. */
export function every(ms: number, clock: Clock, fire: () => void, alone?: 'alone'): () => void {
  let cancel = clock.after(ms, tick, alone)
  let over = false
  function tick() {
    fire()
    if (!over) cancel = clock.after(ms, tick, alone)
  }
  return () => {
    over = true
    cancel()
  }
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function delay(ms: number, signal: AbortSignal | undefined, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const cancel = clock.after(ms, done)
    signal?.addEventListener('abort', done, { once: true })
    function done() {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
  })
}
