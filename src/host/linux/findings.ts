// Compares the desired state of this machine with its present state, and so finds what another program has changed. It is
// pure: machine.ts reads the machine, and ../guard.ts decides what is put back.

import { IpAddress } from '../../wire/address.ts'
import { network } from '../../wire/prefix.ts'
import type { Finding } from '../machine.ts'
import type { DoAction, ResolvedLink, Tun } from './actions.ts'
import type { RouteFact, SeenLink } from './facts.ts'
import type { Upstreams } from './resolver.ts'

/** What puts it back: actions, or resolv.conf anew. */
type Repair = DoAction[] | 'resolv-conf'
export type LinuxFinding = Finding<Repair>

export interface WantedNetwork {
  mtu: number
  /** With prefix length, as this machine can have them. */
  addresses: string[]
  routes: string[]
}

/** At most one finding: whatever is missing is put back together, since one change takes others along. */
export function findNetwork(
  tun: Tun,
  wanted: WantedNetwork,
  link: SeenLink | undefined,
  routes: readonly RouteFact[],
): LinuxFinding[] {
  const dev = `dev ${tun.name}`
  const again =
    'kt puts it back; look for the program that does this (`ip monitor`), or connect anew: `kt down`, `kt up`'
  if (!link) {
    const hint = 'connect anew: `kt down`, then `kt up`'
    return [{ fault: { code: 'link', message: `the network device ${tun.name} is gone`, hint }, repair: undefined }]
  }
  const have = link.addresses.map(canonical)
  const addresses = wanted.addresses.filter((address) => !have.includes(canonical(address)))
  const there = new Set(routes.filter((route) => route.device === tun.name && route.table === 'main').map(destination))
  const missing = wanted.routes.filter((route) => !there.has(network(route)))
  // The kernel adds this route with the address. If the address is there without it, another program has removed the route.
  const kept = link.up ? wanted.addresses.filter((address) => !addresses.includes(address)) : []
  const unconnected = kept.filter((address) => !there.has(network(address)))
  const repair: DoAction = {
    type: 'ip',
    lines: [
      ...(link.mtu === wanted.mtu ? [] : [`link set ${dev} mtu ${wanted.mtu}`]),
      ...addresses.map((address) => `address replace ${address} ${dev}${address.includes(':') ? ' nodad' : ''}`),
      ...(link.up ? [] : [`link set ${dev} up`]),
      // `add` and never `replace`: a route that another device has now belongs to that device.
      ...missing.map((route) => `route add ${route} ${dev}`),
      ...unconnected.map((address) => {
        const as = address.includes(':') ? 'metric 256' : `scope link src ${address.split('/')[0]}`
        return `route add ${network(address)} ${dev} proto kernel ${as}`
      }),
    ],
  }
  if (repair.lines.length === 0) return []
  const [code, message] = !link.up
    ? ['link', `another program has set ${tun.name} down`]
    : addresses.length > 0
      ? ['addresses', `another program has removed ${addresses.join(' and ')} from ${tun.name}`]
      : missing.length + unconnected.length > 0
        ? [
            'routes',
            `another program has removed ${listed([...missing, ...unconnected.map(network)])} from the routes of ${tun.name}`,
          ]
        : ['link', `another program has set the MTU of ${tun.name} to ${link.mtu}`]
  return [{ fault: { code, message, hint: again }, repair: [repair] }]
}

/** Two texts of one IPv6 address become one. */
function canonical(cidr: string): string {
  const [address, length] = cidr.split('/')
  return `${IpAddress.parse(address)}/${length}`
}

function destination(route: RouteFact): string {
  return network(route.destination)
}

/** `seen`: undefined while systemd-resolved does not answer. */
export function findResolved(tun: Tun, wanted: ResolvedLink, seen: ResolvedLink | undefined): LinuxFinding[] {
  if (!seen) {
    const message = "systemd-resolved does not answer: programs find no names of the cluster's"
    const hint = 'start it: sudo systemctl start systemd-resolved'
    return [{ fault: { code: 'resolved', message, hint }, repair: undefined }]
  }
  const missing = (have: readonly string[], want: readonly string[]) => want.filter((one) => !have.includes(one))
  const servers = missing(seen.servers, wanted.servers)
  const search = missing(seen.searchDomains, wanted.searchDomains)
  // One that completes names is also one whose names come here.
  const domains = missing([...seen.domains, ...seen.searchDomains], wanted.domains)
  if (servers.length + search.length + domains.length === 0) return []
  const what = servers.length > 0 ? `its server ${servers.join(' and ')}` : listed([...search, ...domains])
  const message = `another program has taken ${what} from systemd-resolved's settings of ${tun.name}`
  const hint = `\`resolvectl status ${tun.name}\` shows them; look for the program that does this, or connect anew`
  return [{ fault: { code: 'resolved', message, hint }, repair: [{ type: 'resolved-set', ...tun, ...wanted }] }]
}

export function foundResolvConf(path: string, { upstreams, notes }: Upstreams): LinuxFinding {
  const message = `another program has rewritten ${path}: programs find no names of the cluster's`
  const hint = `the first lines of ${path} may say which program; keep it from writing the file, or connect anew: \`kt down\`, \`kt up\``
  return { fault: { code: 'resolv-conf', message, hint }, repair: 'resolv-conf', upstreams, notes }
}

export function foundStubLeft(path: string): LinuxFinding {
  const message = `${path} does not lead to systemd-resolved any more: programs find no names of the cluster's`
  const hint = `if that was a mistake: sudo ln -sf /run/systemd/resolve/stub-resolv.conf ${path}; else connect anew: \`kt down\`, \`kt up\``
  return { fault: { code: 'resolv-conf', message, hint }, repair: undefined }
}

const SHOWN = 3

function listed(all: readonly string[]): string {
  const more = all.length - SHOWN
  return all.slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
