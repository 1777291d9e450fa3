// The compiled cipher, for the processes that hold a tunnel.
import { loadAddon, REPAIR } from '../base/installation.ts'
import { loadGcm, WITHOUT_COMPILED_GCM } from '../tunnel/index.ts'

/** Loads it for this process. Without it kt works, and this says what is lost and what to do. */
export function slowCiphers(): { message: string; hint: string } | undefined {
  const why = loadGcm(() => loadAddon('kt_gcm.node'))
  return why === undefined
    ? undefined
    : { message: `the compiled cipher cannot be loaded (${why}): ${WITHOUT_COMPILED_GCM}`, hint: REPAIR }
}
