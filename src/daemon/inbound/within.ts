// A limit to how long something is waited for, by a clock that is handed in.
import { type Clock, delay } from '../../base/clock.ts'

/** Resolves when `promise` has ended in any way, after `ms` at the latest. */
export async function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  await Promise.race([promise.catch(() => {}), delay(ms, over.signal, clock)])
  over.abort()
}
