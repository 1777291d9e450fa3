// What views show of the cluster: its services and whether connections from this machine get there, and who else is
// connected. Asked for by `kt dashboard` every few seconds, so a question that is under way is shared.
import { BlockList, isIPv6 } from 'node:net'
import type { ClusterClient, ServiceSeen } from '../cluster/calls.ts'
import type { HeldLease } from '../cluster/inbound-calls.ts'
import type { ServiceReport, ServiceReports, Team } from '../control/protocol.ts'

// With what is left of a line for the rest (MAX_LINE): a service takes some 300 bytes.
const MOST_SERVICES = 10_000

export class ClusterViews {
  readonly #cluster: Pick<ClusterClient, 'services' | 'team'>
  readonly #running = new Map<string, Promise<unknown>>()

  readonly #pulses: Pulses

  /** `now`: ms, of a clock that only goes ahead. */
  constructor(cluster: Pick<ClusterClient, 'services' | 'team'>, now: () => number) {
    this.#cluster = cluster
    this.#pulses = new Pulses(now)
  }

  /** `routes`: CIDRs that are captured. Rejects with ClusterError. */
  async services(routes: readonly string[]): Promise<ServiceReports> {
    const { services, scope, notes } = await this.#shared('services', () => this.#cluster.services())
    const reach = reachability(routes)
    const shown = services.slice(0, MOST_SERVICES)
    const left = services.length - shown.length
    return {
      scope,
      services: shown.map(({ targets, ...service }) => ({ ...service, ...reach({ targets, ...service }) })),
      notes: left > 0 ? [...notes, `${left} more services are not shown`] : notes,
    }
  }

  /** `own`: the pod of this machine's shadow. */
  async team(own: string | undefined): Promise<Team> {
    const { connected, held } = await this.#shared('team', () => this.#cluster.team())
    return {
      connected: connected.map((person) => ({ ...person, own: person.pod === own })),
      held: held.map((lease) => ({
        kind: lease.kind,
        mode: lease.mode,
        target: lease.target,
        namespace: lease.namespace,
        holder: lease.holder.replace(/\/[^/]*$/, ''),
        since: lease.since,
        alive: this.#pulses.alive(lease),
      })),
    }
  }

  #shared<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const running = this.#running.get(what) as Promise<T> | undefined
    if (running) return running
    const asked = ask().finally(() => this.#running.delete(what))
    this.#running.set(what, asked)
    return asked
  }
}

// A holder renews every 5 s (src/cluster/inbound/lease.ts): three missed ones are no delay.
const SILENT_MS = 15_000
const MOST_LEASES = 1000

/** Who lives is judged by whether a lease changes while we watch, never by comparing clocks. */
class Pulses {
  readonly #now: () => number
  readonly #seen = new Map<string, { version: string; at: number; changed: boolean }>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** Null until it can be told. */
  alive({ leaseUid, resourceVersion }: HeldLease): boolean | null {
    const now = this.#now()
    const before = this.#seen.get(leaseUid)
    if (!before || before.version !== resourceVersion) {
      if (this.#seen.size >= MOST_LEASES) this.#seen.clear()
      this.#seen.set(leaseUid, { version: resourceVersion, at: now, changed: before !== undefined })
      return before ? true : null
    }
    if (now - before.at >= SILENT_MS) return false
    return before.changed ? true : null
  }
}

/** Does a connection to a service get anywhere, and if not, why. */
export function reachability(
  routes: readonly string[],
): (service: ServiceSeen) => Pick<ServiceReport, 'reachable' | 'why'> {
  const captured = new BlockList()
  for (const route of routes) {
    const [address, length] = route.split('/')
    captured.addSubnet(address, Number(length), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  const routed = (address: string) => captured.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  return ({ type, targets, ready, total }) => {
    if (type === 'ExternalName') return { reachable: null, why: 'an alias of a name outside of the cluster' }
    if (ready === 0) return { reachable: false, why: total ? 'no endpoint is ready' : 'it has no endpoints' }
    if (targets.length === 0) return { reachable: null, why: 'its endpoints cannot be seen' }
    const through = targets.filter(routed).length
    if (through === 0) return { reachable: false, why: 'its addresses are in no captured range; see --include' }
    if (ready === null) return { reachable: null, why: 'routed; whether endpoints are ready cannot be seen' }
    return { reachable: true, why: through < targets.length ? 'routed, but not all of its addresses' : 'routed' }
  }
}
