// What an exchange, mesh or run is built of. The holder's process passes in the real ones (machineParts), a test its own.
import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '../../base/clock.ts'
import type { InboundConfig } from '../../control/holder.ts'
import { createDialer } from '../dialer.ts'
import { watchOwnNetwork } from '../own-network.ts'
import { requireListening } from './check-local.ts'
import { checkWay } from './check-way.ts'
import { Crew, type CrewEffects } from './crew.ts'
import type { HolderDeps } from './holding.ts'
import { MACHINE, type ProgramNetwork } from './program-network.ts'

export interface ExchangeParts {
  clock: Clock
  /** Milliseconds since 1970, for people. */
  wall(): number
  /** Another one at each call. */
  id(): string
  dialer(closing: AbortSignal): CrewEffects['dialer']
  crew(effects: CrewEffects): Pick<Crew, keyof Crew>
  /** Rejects when no program listens on one of the local ports. */
  requireListening: typeof requireListening
  checkWay: typeof checkWay
  /** Where the program listens. */
  network: ProgramNetwork
}

export function machineParts(
  config: InboundConfig,
  { cluster, log }: HolderDeps,
  network: ProgramNetwork = MACHINE,
): ExchangeParts {
  return {
    clock: systemClock,
    wall: Date.now,
    id: () => randomUUID().slice(0, 8),
    dialer: (closing) => {
      const dialer = createDialer(cluster, config, log, closing)
      watchOwnNetwork(dialer, closing)
      return dialer
    },
    crew: (effects) => new Crew(effects),
    requireListening,
    checkWay,
    network,
  }
}
