// Time for what waits: passed in, so that tests turn it.

export interface Clock {
  now(): number
  /** Calls once after `ms`; returns what takes it back. */
  after(ms: number, call: () => void): () => void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}
