// Computes the steps that lead from the machine's present state to the desired one. It is pure: the tests read its output
// like the shell session that it stands for.

import { covers, network, type Prefix, parsePrefix } from '../../wire/prefix.ts'
import type { DesiredState } from '../desired.ts'
import { HostError } from '../errors.ts'
import type { LinuxStep, Tun } from './actions.ts'
import type { Facts, RouteFact } from './facts.ts'
import { composeResolvConf } from './resolv-conf.ts'
import type { ResolvConfPlace } from './resolv-conf-place.ts'
import { type ResolverDecision, upstreamsOf } from './resolver.ts'

export interface NetworkPlan {
  steps: LinuxStep[]
  routes: string[]
  missingRoutes: string[]
  notes: string[]
}

// The queue has to hold a burst of a fast program. The kernel's default of 500 packets drops some, and each drop costs TCP a
// round trip.
const TX_QUEUE_LENGTH = 10_000

/** Steps for link, addresses and routes. Throws HostError ('route-conflict'). */
export function planNetwork(desired: DesiredState, facts: Facts, tun: Tun): NetworkPlan {
  const usable = (cidr: string) => facts.ipv6 || !cidr.includes(':')
  const addresses = desired.addresses.filter(usable)
  const routes = [...new Set(desired.routes.map(network))].filter(usable)
  const missingRoutes = desired.routes.filter((route) => !usable(route))
  const notes = checkRoutes([...routes, ...addresses.map(network)], facts)
  if (!facts.ipv6 && [...desired.routes, ...desired.addresses].some((cidr) => !usable(cidr)))
    notes.push("IPv6 is switched off on this machine: the cluster's IPv6 addresses are left out")
  const dev = `dev ${tun.name}`
  const steps: LinuxStep[] = []
  // No router solicitations into the cluster, and no answers to them from it.
  if (facts.ipv6) steps.push({ do: { type: 'sysctl', key: `net.ipv6.conf.${tun.name}.accept_ra`, value: '0' } })
  steps.push({
    do: {
      type: 'ip',
      lines: [
        `link set ${dev} addrgenmode none mtu ${desired.mtu} txqueuelen ${TX_QUEUE_LENGTH}`,
        ...addresses.map((address) => `address add ${address} ${dev}${address.includes(':') ? ' nodad' : ''}`),
        `link set ${dev} up`,
        ...routes.map((route) => `route add ${route} ${dev}`),
      ],
    },
    undo: { type: 'clear-link', ...tun },
  })
  return { steps, routes, missingRoutes, notes }
}

/** Notes about the machine's routes that are shorter than ours. Throws for a route that is as long as ours, or longer. */
function checkRoutes(wanted: readonly string[], { routes: existing, owners }: Facts): string[] {
  const shadowed = new Map<string, string[]>()
  const ours = wanted.map((cidr) => ({ cidr, prefix: parsePrefix(cidr) }))
  for (const route of existing) {
    if (route.type === 'broadcast' || route.type === 'multicast' || route.type === 'anycast') continue
    const there = parsePrefix(route.destination)
    if (there.length === 0 || isOwnWorld(there)) continue
    for (const { cidr, prefix } of ours) {
      if (covers(prefix, there)) throw conflict(cidr, route, owners.get(route.device))
      if (!covers(there, prefix)) continue
      const text = routeText(route)
      shadowed.set(text, [...(shadowed.get(text) ?? []), cidr])
    }
  }
  return [...shadowed].map(([text, [first, ...more]]) => {
    const what = more.length > 0 ? `${first} (and ${more.length} more)` : first
    return `${what} is part of ${text}: while connected it is the cluster's`
  })
}

/** Link-local, loopback and multicast ranges. They are routed on every interface and conflict with nothing. */
function isOwnWorld({ family, bytes }: Prefix): boolean {
  if (family === 4) return bytes[0] === 127 || bytes[0] >= 224
  return (
    bytes[0] === 0xff ||
    (bytes[0] === 0xfe && (bytes[1] & 0xc0) === 0x80) ||
    bytes.every((b, i) => b === (i === 15 ? 1 : 0))
  )
}

function routeText({ destination, device, gateway, type, table }: RouteFact): string {
  const via = gateway ? ` via ${gateway}` : ''
  const where = table === 'main' || table === 'local' ? '' : `, table ${table}`
  return type === 'local'
    ? `this machine's own address ${destination} (${device})`
    : `the route ${destination}${via} (${device}${where})`
}

function conflict(cidr: string, route: RouteFact, owner: string | undefined): HostError {
  const text = routeText(route)
  if (owner !== undefined)
    return new HostError(
      'route-conflict',
      `the cluster's range ${cidr} is ${route.device}'s already: ${owner} is connected with kt on this machine`,
      `their connection serves all programs of this machine; for one of your own, have them run \`kt down\` first, or leave the range to them with --exclude ${network(route.destination)}`,
    )
  return new HostError(
    'route-conflict',
    `the cluster's range ${cidr} meets ${text}`,
    `leave it to ${route.device} with --exclude ${network(route.destination)}, or disconnect ${route.device} first`,
  )
}

export interface ResolverPlan {
  steps: LinuxStep[]
  upstreams: string[]
  search: string[]
  notes: string[]
}

/** Steps that bring names to our server. `place` is where our resolv.conf goes; needed in mode `resolvconf` only. */
export function planResolver(
  desired: DesiredState['dns'],
  decision: ResolverDecision,
  facts: Facts,
  tun: Tun,
  place: ResolvConfPlace | undefined,
): ResolverPlan {
  const servers = desired.servers.filter((server) => facts.ipv6 || !server.includes(':'))
  const { upstreams, search, notes } = upstreamsOf(facts.resolver, servers)
  const result = { upstreams, search, notes: [...decision.notes, ...notes] }
  if (decision.mode === 'none' || servers.length === 0) return { ...result, steps: [] }
  if (decision.mode === 'resolved') {
    const { domains, searchDomains = [] } = desired
    const step: LinuxStep = {
      do: { type: 'resolved-set', ...tun, servers, domains, searchDomains },
      undo: { type: 'resolved-revert', ...tun },
    }
    return { ...result, steps: [step] }
  }
  if (!place) return { ...result, steps: [] }
  const text = composeResolvConf(place.owner, servers, facts.resolver.resolvConf ?? '')
  const step: LinuxStep = {
    do: { type: 'resolv-conf-install', path: place.path, text },
    undo: { type: 'resolv-conf-restore', ...place },
  }
  return { ...result, steps: [step] }
}
