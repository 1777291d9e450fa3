// Reads the machine: its routes, whether it speaks IPv6, who resolves its names. Changes nothing.

import type { Effects } from '../effects.ts'
import type { Tun } from './actions.ts'
import { ipQuery } from './ip.ts'
import type { ResolverFacts } from './resolver.ts'

/** A route that may meet ours. */
export interface RouteFact {
  /** CIDR or address; the default route is `0.0.0.0/0` or `::/0`. */
  destination: string
  /** Device, or what takes its place: `blackhole`, `unreachable`, `prohibit`. */
  device: string
  gateway: string | undefined
  table: string
  /** `local`: an address of this machine. */
  type: string
}

export interface SeenLink {
  up: boolean
  mtu: number
  /** With prefix length. */
  addresses: string[]
}

export interface Facts {
  routes: RouteFact[]
  /** Devices of other users' kt among them, with whose they are. */
  owners: ReadonlyMap<string, string>
  ipv6: boolean
  resolver: ResolverFacts
}

interface IpRoute {
  type?: string
  dst: string
  gateway?: string
  via?: { host: string }
  dev?: string
  table?: string
  nexthops?: { dev?: string; gateway?: string }[]
}

/**
 * All that `plan` needs to know. `tun` is the interface whose IPv6 switch counts; its own routes are left out. `ownersOf`
 * tells whose kt has opened which of some devices.
 */
export async function readFacts(
  effects: Effects,
  tun: string,
  ownersOf: (devices: string[]) => Promise<ReadonlyMap<string, string>>,
): Promise<Facts> {
  const [all, resolver] = await Promise.all([readRoutes(effects), readResolver(effects)])
  const routes = all.filter((route) => route.device !== tun)
  const owners = await ownersOf([...new Set(routes.map(({ device }) => device))])
  return { routes, owners, ipv6: hasIpv6(effects, tun), resolver }
}

export async function readRoutes(effects: Effects): Promise<RouteFact[]> {
  const [v4, v6] = await Promise.all([
    ipQuery<IpRoute[]>(effects, '-4', 'route', 'show', 'table', 'all'),
    ipQuery<IpRoute[]>(effects, '-6', 'route', 'show', 'table', 'all'),
  ])
  return [...(v4 ?? []).map((route) => fact(route, '0.0.0.0/0')), ...(v6 ?? []).map((route) => fact(route, '::/0'))]
}

interface IpAddressShown {
  ifindex: number
  mtu: number
  flags: string[]
  addr_info?: { local?: string; prefixlen: number }[]
}

/** The link of that name and index; undefined if it is gone. */
export async function readLink(effects: Effects, { name, ifindex }: Tun): Promise<SeenLink | undefined> {
  const shown = (await ipQuery<IpAddressShown[]>(effects, 'address', 'show', 'dev', name))?.[0]
  if (shown?.ifindex !== ifindex) return undefined
  const addresses = (shown.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${prefixlen}`)
  return { up: shown.flags.includes('UP'), mtu: shown.mtu, addresses }
}

function fact(route: IpRoute, everything: string): RouteFact {
  const hop = route.nexthops?.[0]
  return {
    destination: route.dst === 'default' ? everything : route.dst,
    device: route.dev ?? hop?.dev ?? route.type ?? 'unknown',
    gateway: route.gateway ?? route.via?.host ?? hop?.gateway,
    table: route.table ?? 'main',
    type: route.type ?? 'unicast',
  }
}

/** Whether an interface of that name speaks IPv6. */
export function hasIpv6({ files, paths }: Effects, tun: string): boolean {
  return ['all', tun].every(
    (name) => files.read(`${paths.proc}/sys/net/ipv6/conf/${name}/disable_ipv6`)?.trim() === '0',
  )
}

export async function readResolver({ files, paths, resolved }: Effects): Promise<ResolverFacts> {
  return {
    resolvConf: files.read(paths.resolvConf),
    linkTarget: files.linkTarget(paths.resolvConf),
    resolvedAnswers: await resolved.answers(),
    uplink: files.read(paths.resolvedUplink),
  }
}
