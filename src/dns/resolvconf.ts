// A pod's resolv.conf, as the shadow sends it: where the cluster's resolver is and what the cluster's domain is called.
import { IpAddress } from '../wire/address.ts'

export interface PodResolvConf {
  /** Addresses, in order. */
  nameservers: IpAddress[]
  /** Lower case, without final dots. */
  search: string[]
  ndots: number
  /** From the search list's `NAMESPACE.svc.DOMAIN`, else `svc.DOMAIN`; undefined when neither is there. */
  clusterDomain: string | undefined
  /** The pod's namespace, from the same entry. */
  namespace: string | undefined
}

/** resolv.conf(5): the last of several search or domain lines counts, unknown lines are skipped. */
export function parseResolvConf(text: string): PodResolvConf {
  const nameservers: IpAddress[] = []
  let search: string[] = []
  let ndots = 1
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver') {
      const address = IpAddress.tryParse((values[0] ?? '').split('%')[0])
      if (address) nameservers.push(address)
    } else if (keyword === 'search' || keyword === 'domain') {
      search = values.map((domain) => domain.toLowerCase().replace(/\.$/, '')).filter((domain) => domain !== '')
    } else if (keyword === 'options') {
      for (const option of values) {
        const match = /^ndots:(\d+)$/.exec(option)
        if (match) ndots = Math.min(Number(match[1]), 15) // resolv.conf(5): silently capped
      }
    }
  }
  for (const domain of search) {
    const match = /^([^.]+)\.svc\.(.+)$/.exec(domain)
    if (match && search.includes(`svc.${match[2]}`))
      return { nameservers, search, ndots, clusterDomain: match[2], namespace: match[1] }
  }
  for (const domain of search) {
    const match = /^(?:([^.]+)\.)?svc\.(.+)$/.exec(domain)
    if (match) return { nameservers, search, ndots, clusterDomain: match[2], namespace: match[1] }
  }
  return { nameservers, search, ndots, clusterDomain: undefined, namespace: undefined }
}
