// For holders, which have no helper that tells them of changes: looks by itself whether this machine is in another network,
// and has the lines to the shadows look for another connection at once.
import { systemClock } from '../base/clock.ts'
import { EVERY_MS, NetworkWatch, seeNetwork } from './network-watch.ts'

export const NETWORK_CHANGED = 'the network of this machine changed'

/** Watches until `closing` aborts. */
export function watchOwnNetwork(line: { suspect(cause: string): void }, closing: AbortSignal): void {
  const watch = new NetworkWatch({
    // Resolvers are no concern of a holder; `kt up` may be one of them.
    see: () => seeNetwork('resolvconf', []),
    after: systemClock.after,
    onChange: () => {},
    onWays: () => line.suspect(NETWORK_CHANGED),
    everyMs: EVERY_MS.alone,
  })
  closing.addEventListener('abort', () => watch.close(), { once: true })
}
