// Reads the machine: its routes, whether it speaks IPv6, who resolves its names. Changes nothing.
import type { Effects } from './effects.ts'
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

export interface Facts {
  routes: RouteFact[]
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

/** All that `plan` needs to know. `tun` is the interface whose IPv6 switch counts; its own routes are left out. */
export async function readFacts(effects: Effects, tun: string): Promise<Facts> {
  const [v4, v6, resolver] = await Promise.all([
    ipQuery<IpRoute[]>(effects, '-4', 'route', 'show', 'table', 'all'),
    ipQuery<IpRoute[]>(effects, '-6', 'route', 'show', 'table', 'all'),
    readResolver(effects),
  ])
  const routes = [
    ...(v4 ?? []).map((route) => fact(route, '0.0.0.0/0')),
    ...(v6 ?? []).map((route) => fact(route, '::/0')),
  ]
  return { routes: routes.filter((route) => route.device !== tun), ipv6: hasIpv6(effects, tun), resolver }
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

function hasIpv6({ files, paths }: Effects, tun: string): boolean {
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
