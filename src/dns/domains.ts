// What kt tells systemd-resolved: which names it shall send to kt (routing domains), and what it may append to a name of one
// label (search domains). For `kt dns query` this module also says whether systemd-resolved would send a name to kt.

import type { Prefix } from '../wire/prefix.ts'
import type { ClusterNames } from './interfaces.ts'
import { isWithin } from './names.ts'
import { fewerZones, reverseZones } from './reverse.ts'

/**
 * The number of domains that systemd-resolved takes for one link, including search domains (LINK_SEARCH_DOMAINS_MAX since
 * its version 240). It refuses a longer list completely.
 */
const MOST_DOMAINS = 256
// Reverse look-ups are rare, so most of the room is for namespaces. A zone that is too wide costs nothing, because kt passes
// on questions that are not for the cluster.
const MOST_ZONES = 32
const MOST_ZONES_IN_NEED = 8

export interface RoutingDomains {
  /** The most useful first: where even fewer are taken, the last are left out. */
  domains: string[]
  /** Namespaces that found no room: their names of two parts do not come here. */
  leftOut: string[]
}

/** The cluster's domain, `svc` and `pod`, each namespace (so that `web.shop` comes here), the ranges' reverse zones. */
export function routingDomains(names: ClusterNames, namespaces: string[], ranges: Prefix[]): RoutingDomains {
  const exact = [...new Set(ranges.flatMap(reverseZones))]
  const first = new Set([names.clusterDomain, 'svc', 'pod', names.namespace])
  const others = [...new Set(namespaces)].filter((namespace) => !first.has(namespace))
  const room = MOST_DOMAINS - searchDomains(names).length - first.size
  const zones = fewerZones(exact, others.length + MOST_ZONES > room ? MOST_ZONES_IN_NEED : MOST_ZONES)
  const taken = others.slice(0, room - zones.length)
  return { domains: [...first, ...taken, ...zones], leftOut: others.slice(taken.length) }
}

/** systemd-resolved appends these to names of one label, and to no others. */
export function searchDomains({ clusterDomain, namespace }: ClusterNames): string[] {
  return [`${namespace}.svc.${clusterDomain}`]
}

/** What systemd-resolved does with a program's question; the answer of kt counts only in the first two cases. */
export function resolvedRoute(name: string, domains: string[]): 'kt' | 'kt, completed' | 'elsewhere' {
  if (domains.some((domain) => name.includes('.') && isWithin(name, domain))) return 'kt'
  return name.includes('.') || name === '' ? 'elsewhere' : 'kt, completed'
}
