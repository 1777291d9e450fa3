// A pod's resolv.conf, as the shadow sends it: where the cluster's resolver is and what the cluster's domain is called.
import { parseResolvConf } from '../base/resolv-conf.ts'
import { IpAddress } from '../wire/address.ts'

export interface PodResolvConf {
  /** The first of the pod's resolvers; undefined when it has none. */
  resolver: IpAddress | undefined
  /** From the search list's `NAMESPACE.svc.DOMAIN`, else `svc.DOMAIN`; undefined when neither is there. */
  clusterDomain: string | undefined
}

export function parsePodResolvConf(text: string): PodResolvConf {
  const { nameservers, search } = parseResolvConf(text)
  const resolver = nameservers.length > 0 ? IpAddress.tryParse(nameservers[0].split('%')[0]) : undefined
  return { resolver, clusterDomain: clusterDomainOf(search) }
}

function clusterDomainOf(search: readonly string[]): string | undefined {
  for (const domain of search) {
    const match = /^[^.]+\.svc\.(.+)$/.exec(domain)
    if (match && search.includes(`svc.${match[1]}`)) return match[1]
  }
  for (const domain of search) {
    const match = /^(?:[^.]+\.)?svc\.(.+)$/.exec(domain)
    if (match) return match[1]
  }
  return undefined
}
