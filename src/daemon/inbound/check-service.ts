// Before it is said that requests come here: does the Service's own address lead here? It must be true.
import { type Clock, delay } from '../../base/clock.ts'
import type { InboundHandle } from '../../cluster/inbound-calls.ts'
import { IpAddress } from '../../wire/address.ts'
import type { checkWay } from './check-way.ts'
import type { Crew } from './crew.ts'
import type { Steps } from './holding.ts'

// A router that runs is dialled and claimed within a second; one that is being made anew takes a few.
const SECOND_MS = 5_000
const LOOK_MS = 25

export interface CheckServiceEffects {
  clock: Clock
  closing: AbortSignal
  checkWay: typeof checkWay
  crew: Pick<Crew, 'tunnels'>
  steps: Steps
  log(line: string): void
}

/** Notes it when it is not true yet; nothing where it cannot be asked (headless, no TCP). */
export async function checkService(effects: CheckServiceEffects, handle: InboundHandle, name: string): Promise<void> {
  const { clock, closing, crew, steps, log } = effects
  if (handle.joined) await waitForSecond(effects)
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

/** A router where nothing is claimed yet would lead its share of the requests to the original. */
async function waitForSecond({ clock, closing, crew }: CheckServiceEffects): Promise<void> {
  const until = clock.now() + SECOND_MS
  while (crew.tunnels.length < 2 && clock.now() < until && !closing.aborted) await delay(LOOK_MS, closing, clock)
}
