// After the Service leads back, connections that are open here may finish: each is ended when nothing moves on it and it
// was this side that spoke last, so that no request is under way. Those that never fall silent are ended between an
// answer and the next request.
import type { Splice } from './splice.ts'

// kube-proxy applies changes within a second (--iptables-min-sync-period 1s); until then new ones still come.
const AT_LEAST_MS = 1_500
const AT_MOST_MS = 20_000
const TICK_MS = 5
/** For so long only quiet ones are ended... */
const PATIENT_MS = 6_000
const QUIET_MS = 1_000
/** ...then also busy ones that have just answered. */
const PAUSE_MS = 3
/** Who waits is told why after this. */
const TELL_MS = 3_000
/** Connections to a cluster that does not answer are given up after this. */
const CUT_OFF_MS = 4_000

/** A connection, as far as it matters here. */
export type Lingering = Pick<Splice, 'restsFor' | 'endStream'>

/** The time that passes. `delay` ends early when the signal is aborted. */
export interface LingerClock {
  now(): number
  delay(ms: number, hurry: AbortSignal): Promise<void>
}

export interface LingerEvents {
  /** Does anything get to the cluster now? */
  reaches(): boolean
  /** So many are in the middle of a request, and are waited for. Called once at most. */
  onWait(count: number): void
}

/**
 * Resolves when none of `open()` is left, `hurry` is aborted, the cluster has been out of reach for 4 s, or after 20 s; to how
 * many are left.
 */
export async function linger(
  open: () => Iterable<Lingering>,
  hurry: AbortSignal,
  clock: LingerClock,
  { reaches, onWait }: LingerEvents,
): Promise<number> {
  const began = clock.now()
  let reachedAt = began
  let told = false
  const passed = () => clock.now() - began
  const left = () => [...open()].length
  while (!hurry.aborted && passed() < AT_MOST_MS) {
    if (left() === 0 && passed() > AT_LEAST_MS) return 0
    if (passed() > AT_LEAST_MS) {
      const quiet = passed() < PATIENT_MS ? QUIET_MS : PAUSE_MS
      for (const splice of open()) if (splice.restsFor(quiet)) splice.endStream()
    }
    if (reaches()) reachedAt = clock.now()
    else if (clock.now() - reachedAt >= CUT_OFF_MS) break
    if (!told && passed() >= TELL_MS) {
      told = true
      onWait(left())
    }
    await clock.delay(TICK_MS, hurry)
  }
  return left()
}
