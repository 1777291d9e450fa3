// TCP flows that have ended within the last minute, for views: most connections are shorter than the time between two
// looks.
import type { ClosedFlow } from '../control/views.ts'
import type { TcpFlow } from '../stack/api.ts'
import { formatEndpoint } from '../wire/address.ts'
import type { AddressNames } from './address-names.ts'

const KEPT_MS = 60_000
/** The last ones; of a busy minute the first are forgotten. */
const MOST = 500

type Kept = Omit<ClosedFlow, 'name' | 'process' | 'ageMs' | 'idleMs' | 'closedMs'> & {
  address: TcpFlow['local']['address']
  openedAt: number
  closedAt: number
}

export class ClosedFlows {
  readonly #now: () => number
  #kept: Kept[] = []

  /** `now`: ms, of the clock that the stack's flows go by. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** `how`: `closed`, or why it failed. */
  add(flow: TcpFlow, how: string): void {
    const { id, protocol, local, remote, bytesSent, bytesReceived, openedAt } = flow
    this.#kept.push({
      ...{ id, protocol, openedAt },
      state: how,
      local: formatEndpoint(remote),
      remote: formatEndpoint(local),
      address: local.address,
      bytesIn: bytesSent,
      bytesOut: bytesReceived,
      closedAt: this.#now(),
    })
    if (this.#kept.length > 2 * MOST) this.#kept = this.#kept.slice(-MOST)
  }

  /** Newest first. */
  list(names: AddressNames | undefined): ClosedFlow[] {
    const now = this.#now()
    this.#kept = this.#kept.filter(({ closedAt }) => now - closedAt < KEPT_MS).slice(-MOST)
    return this.#kept.toReversed().map(({ address, openedAt, closedAt, ...flow }) => ({
      ...flow,
      process: null,
      name: names?.nameOf(address) ?? null,
      ageMs: Math.max(0, Math.round(closedAt - openedAt)),
      idleMs: Math.max(0, Math.round(now - closedAt)),
      closedMs: Math.max(0, Math.round(now - closedAt)),
    }))
  }
}
