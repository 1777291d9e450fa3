// What views show of the cluster: its services and whether connections from this machine get there, and who else is
// connected. Asked for by `kt dashboard` every few seconds, so a question that is under way is shared.
import { BlockList, isIPv6 } from 'node:net'
import type { ClusterClient, ServiceSeen } from '../cluster/port.ts'
import type { ServiceReport, ServiceReports, Team } from '../control/protocol.ts'

// With what is left of a line for the rest (MAX_LINE): a service takes some 300 bytes.
const MOST_SERVICES = 10_000

export class ClusterViews {
  readonly #cluster: Pick<ClusterClient, 'services' | 'connected'>
  readonly #running = new Map<string, Promise<unknown>>()

  constructor(cluster: Pick<ClusterClient, 'services' | 'connected'>) {
    this.#cluster = cluster
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
    const connected = await this.#shared('connected', () => this.#cluster.connected())
    return { connected: connected.map((person) => ({ ...person, own: person.pod === own })) }
  }

  #shared<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const running = this.#running.get(what) as Promise<T> | undefined
    if (running) return running
    const asked = ask().finally(() => this.#running.delete(what))
    this.#running.set(what, asked)
    return asked
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
