// Time as the DNS part sees it. Handed in by the daemon, so that time-outs and TTLs can be tested without waiting.

export interface Clock {
  /** Milliseconds of any origin, never going back. */
  now(): number
  /** Calls `fire` once, `ms` from now; the result cancels it. */
  after(ms: number, fire: () => void): () => void
}
