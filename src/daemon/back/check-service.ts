// Before it is said that requests come here: does the Service's own address lead here? It must be true.
import { type Clock, delay } from '../../base/clock.ts'
import type { BackHandle } from '../../cluster/back-port.ts'
import { IpAddress } from '../../wire/address.ts'
import type { checkWay } from './check-way.ts'
import type { Crew } from './crew.ts'
import type { Steps } from './holding.ts'

export interface CheckServiceEffects {
  clock: Clock
  closing: AbortSignal
  checkWay: typeof checkWay
  crew: Pick<Crew, 'tunnels'>
  steps: Steps
  log(line: string): void
}

/** Notes it when it is not true yet; nothing where it cannot be asked (headless, no TCP). */
export async function checkService(effects: CheckServiceEffects, handle: BackHandle, name: string): Promise<void> {
  const { clock, closing, crew, steps, log } = effects
  const port = handle.ports.find(({ exposed, protocol }) => exposed && protocol === 'TCP')?.port
  if (!handle.address || !port) return
  steps.running('service', `asks ${name} whether it leads here`)
  const found = await effects.checkWay(
    crew.tunnels,
    { address: IpAddress.parse(handle.address), port },
    { now: () => clock.now(), delay: (ms) => delay(ms, closing, clock), aborted: () => closing.aborted },
  )
  log(`service: asked at ${handle.address}, port ${port}: ${found}`)
  if (found === 'not-yet')
    steps.note('service', `its address ${handle.address} does not lead here on every node yet; it should soon`)
}
