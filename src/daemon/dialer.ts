// The way to a shadow as this process has it: with this machine's clock, random numbers and port-forwards.
import { randomBytes } from 'node:crypto'
import { homedir } from 'node:os'
import { systemClock } from '../base/clock.ts'
import type { ClusterClient } from '../cluster/calls.ts'
import { ShadowDialer } from '../connection/shadow-dialer.ts'
import { ShadowTunnels } from '../connection/shadow-tunnel.ts'
import type { ShadowConfig } from '../control/config.ts'
import { frontDoorsFile } from '../control/paths.ts'
import { FrontDoors } from '../tunnel/index.ts'
import { frontDoorNotes } from './front-door-notes.ts'
import type { Log } from './log.ts'
import { type Moderation, moderated } from './moderation.ts'
import { shadowImage } from './shadow-options.ts'

/** `moderation` stops the thread now and then, so it is for a process that has little else to do. Default: no pauses. */
export function createDialer(
  cluster: Pick<ClusterClient, 'portForward' | 'shadowState'>,
  config: ShadowConfig,
  log: Log,
  closing: AbortSignal,
  moderation?: Moderation,
): ShadowDialer {
  const memory = frontDoorNotes(frontDoorsFile(homedir(), process.env), Date.now)
  const doors = new FrontDoors({ memory, clock: systemClock, log })
  const tunnels = new ShadowTunnels({
    cluster,
    paths: config.paths,
    openPath: moderation
      ? async (endpoint, signal) => moderated(await doors.open(endpoint, signal), moderation)
      : doors.open,
    clock: systemClock,
    wall: Date.now,
    random: randomBytes,
    log,
  })
  const image = shadowImage(config)
  return new ShadowDialer({ cluster, open: tunnels.open, image, clock: systemClock, log, closing })
}
