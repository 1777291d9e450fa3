// Changes of objects that others change too: the API server refuses one that was planned on an older state (409), and then
// it is planned anew. That has an end, since something that is changed all the time may be changed by a fault.
import { clusterError } from '../errors.ts'

const MOST_ATTEMPTS = 8
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 2_000

/** What an attempt returns when somebody else was faster. */
export const AGAIN = Symbol('again')

/** Throws `timeout` when somebody else was faster each time. `doing` completes "while ...": `renewing the Lease x`. */
export async function attempts<T>(
  sleep: (ms: number) => Promise<void>,
  doing: string,
  attempt: () => Promise<T | typeof AGAIN>,
): Promise<T> {
  for (let made = 1, pause = FIRST_PAUSE_MS; ; made++, pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const result = await attempt()
    if (result !== AGAIN) return result
    if (made === MOST_ATTEMPTS)
      throw clusterError('timeout', `${doing}: somebody else changed it at the same moment, ${made} times in a row`)
    await sleep(pause)
  }
}

/** The state that a change was planned on is not the newest, or what was to be made is there. */
export function isOutdated(status: number): boolean {
  return status === 409
}
