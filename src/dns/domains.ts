// What systemd-resolved is told: which names it shall bring to kt (routing domains), and what it may append to a name of
// one label (search domains). And, for `kt dns query`, whether it would bring a name here at all.
import { isWithin } from './names.ts'
import type { ClusterNames } from './port.ts'
import { type Prefix, reverseZones } from './reverse.ts'

/** Most reverse zones that are routed; a range that needs more has odd borders or is far too large. */
const MOST_ZONES = 1024

/** The cluster's domain, `svc` and `pod`, each namespace (so that `web.shop` comes here), the ranges' reverse zones. */
export function routingDomains({ clusterDomain }: ClusterNames, namespaces: string[], ranges: Prefix[]): string[] {
  const zones = [...new Set(ranges.flatMap(reverseZones))].slice(0, MOST_ZONES)
  return [...new Set([clusterDomain, 'svc', 'pod', ...namespaces, ...zones])]
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
