// The compiled cipher, for the processes that hold a tunnel.
import { loadAddon, REPAIR } from '../base/installation.ts'
import { loadGcm } from '../tunnel/index.ts'

/** Loads it for this process. Without it kt works, and this says what is lost and what to do. */
export function slowCiphers(): { message: string; hint: string } | undefined {
  const why = loadGcm(() => loadAddon('kt_gcm.node'))
  return why === undefined
    ? undefined
    : { message: `the compiled cipher cannot be loaded (${why}): ${SLOWER}`, hint: REPAIR }
}

/** `node bench/tunnel.ts agent`, with and without it: 0.3 and 0.8 CPU seconds a GB. */
const SLOWER = 'kt encrypts with node:crypto, for two to three times the CPU time'
