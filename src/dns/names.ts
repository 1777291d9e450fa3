// The decision table: who is asked for a name, and by which full names. Pure: what is known of the cluster comes in, a
// plan goes out. The table in words is docs/understand/dns.md; test/dns/decisions.txt holds it to the letter.
import { TYPE } from './message.ts'
import type { ClusterNames } from './port.ts'
import { covers, type Prefix, reversePrefix } from './reverse.ts'

/** A thing a last label may name in the cluster: `shop` in `web.shop`, `db` in `db-0.db`. */
export type LabelKind = 'namespace' | 'service'

/** What the decision depends on beside the question. */
export interface Knowledge {
  names: Pick<ClusterNames, 'clusterDomain' | 'namespace' | 'localSearch'>
  /** `names.reverseRanges`, parsed. */
  ranges: Prefix[]
  /** The machine's own name, lower case; undefined if it is not to be treated apart. */
  hostname: string | undefined
  /** What systemd-resolved appends for us, and its stub's clients to any name that failed; undefined in other modes. */
  appended: string | undefined
  /** Whether the cluster has a namespace of this name, or the namespace a service; undefined: not known, ask. */
  has(kind: LabelKind, label: string): boolean | undefined
}

/** What to do about a question. */
export interface Plan {
  /** Which row of the table, for people. */
  rule: string
  /** What to append to the name for the cluster, in order, until one is not NXDOMAIN; '' is the name as it is. */
  cluster: string[]
  /** Whether the machine's own resolvers are asked: never, they alone, or after the cluster said NXDOMAIN. */
  local: 'never' | 'only' | 'after'
  /** Answered by kt itself, nobody is asked. */
  own?: 'nxdomain' | 'loopback'
  /** Whether these exist should be known first; then plan again. The rest holds if it cannot be learned. */
  unknown?: { kind: LabelKind; label: string }[]
}

/**
 * Top-level domains for which the cluster is never asked whether a namespace is called so: the eight first ones (RFC
 * 920, RFC 1591) and arpa, most of what is public. A namespace of such a name counts once it is known by other ways.
 */
const NEVER_PROBED = new Set(['com', 'org', 'net', 'edu', 'gov', 'mil', 'int', 'arpa'])

/** Types asked of zones rather than of hosts: a short name is not completed for them, as no program in a pod does. */
const ZONE_TYPES = new Set<number>([TYPE.NS, TYPE.SOA, TYPE.DS, TYPE.RRSIG, TYPE.NSEC, TYPE.DNSKEY])

/** RFC 1123 2.1. */
export const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const DASHED_ADDRESS = /^(\d+-\d+-\d+-\d+|[0-9a-f]*(-[0-9a-f]*){2,7})$/

/** Whether `name` is `domain` or lies below it. Both in lower case, without a final dot. */
export const isWithin = (name: string, domain: string): boolean =>
  name.endsWith(domain) && (name.length === domain.length || name[name.length - domain.length - 1] === '.')

const cluster = (rule: string, ...suffixes: string[]): Plan => ({ rule, cluster: suffixes, local: 'never' })
const local = (rule: string): Plan => ({ rule, cluster: [], local: 'only' })
const own = (rule: string, answer: 'nxdomain' | 'loopback'): Plan => ({
  rule,
  cluster: [],
  local: 'never',
  own: answer,
})

/** The plan for a name (lower case, no final dot, '' is the root; see nameText) and a type. */
export function decide(name: string, type: number, known: Knowledge): Plan {
  const { clusterDomain, localSearch } = known.names
  if (name === '') return local('the root')
  if (isWithin(name, clusterDomain)) return full(name, known)
  const labels = name.split('.')
  const last = labels.at(-1)!
  if (last === 'localhost') return own('localhost is this machine (RFC 6761)', 'loopback')
  if (last === 'invalid' || last === 'onion') return own(`.${last} is in no DNS (RFC 6761, RFC 7686)`, 'nxdomain')
  if (last === 'arpa') return reverse(name, known)
  if (last === 'svc' && labels.length > 1) return cluster('name ending in .svc', clusterDomain)
  if (last === 'pod' && labels.length === 3 && DASHED_ADDRESS.test(labels[0]))
    return cluster('pod address as a name', clusterDomain)
  if (name === known.hostname) return local("this machine's own name")
  const search = localSearch.find((domain) => name.endsWith(`.${domain}`))
  if (search !== undefined) return completedHere(name.slice(0, -search.length - 1), search, known)
  if (last === 'local') return local('.local is the local network, not the cluster (RFC 6762)')
  if (ZONE_TYPES.has(type)) return local('a question about a zone, not a host')
  return short(labels, known)
}

// glibc finds the link's search domain in the stub's resolv.conf and tries it on every name that failed, public ones too:
// `nope.example.com` comes as `nope.example.com.shop.svc.cluster.local`. What cannot be a name of our namespace ends here.
function full(name: string, { appended, has }: Knowledge): Plan {
  const asked = cluster('full name in the cluster', '')
  if (appended === undefined || !name.endsWith(`.${appended}`)) return asked
  const rest = name.slice(0, -appended.length - 1).split('.')
  if (rest.length === 1 || (rest.length === 3 && rest[0].startsWith('_') && rest[1].startsWith('_'))) return asked
  const retried = own(`failed name with ${appended} behind it`, 'nxdomain')
  if (rest.length > 2) return retried
  // pod.service, or a name like example.com, or one of a namespace that systemd-resolved has not been told of: this is the
  // only way to hear of it, so that the next question is brought here.
  const last = rest[1]
  const isService = has('service', last)
  if (isService) return asked
  if (NEVER_PROBED.has(last)) return retried
  const kinds: LabelKind[] = ['service', 'namespace']
  const unknown = kinds.filter((kind) => has(kind, last) === undefined).map((kind) => ({ kind, label: last }))
  const plan = isService === false ? retried : asked
  return unknown.length > 0 ? { ...plan, unknown } : plan
}

function reverse(name: string, { ranges }: Knowledge): Plan {
  const prefix = reversePrefix(name)
  return prefix && ranges.some((range) => covers(range, prefix))
    ? cluster("address in the cluster's ranges", '')
    : local("address outside the cluster's ranges")
}

// The machine's resolver library has appended its own search domain, or somebody typed a name of the home network: the
// two look the same, so the home network's resolver decides. Only what cannot be a name there stays away from it.
function completedHere(rest: string, search: string, { names, has }: Knowledge): Plan {
  const labels = rest.split('.')
  const clusters =
    isWithin(rest, names.clusterDomain) ||
    (labels.length > 1 && labels.at(-1) === 'svc' && has('namespace', labels.at(-2)!) === true)
  return clusters
    ? own(`name of the cluster with the search domain ${search} behind it`, 'nxdomain')
    : local(`below this machine's search domain ${search}`)
}

// Names as a program in a pod writes them, RFC 1123 labels all, `_port._protocol` in front for SRV.
function short(labels: string[], { names, has }: Knowledge): Plan {
  const { clusterDomain, namespace } = names
  const service = labels.length > 2 && labels[0].startsWith('_') && labels[1].startsWith('_')
  const host = service ? labels.slice(2) : labels
  const ofNamespace = `${namespace}.svc.${clusterDomain}`
  if (!host.every((label) => HOST_LABEL.test(label))) return local('no name a pod would use')
  if (host.length === 1) return { rule: `one label: service in ${namespace}`, cluster: [ofNamespace], local: 'after' }
  // service.namespace and pod.service.namespace; nothing longer exists. `_port._protocol` goes with a service only.
  if (host.length > (service ? 2 : 3)) return local('more labels than a short name of the cluster has')
  const last = host.at(-1)!
  const isNamespace = has('namespace', last)
  // pod.service, of our own namespace: possible too.
  const ofService = host.length === 2 && !service
  if (isNamespace) {
    const suffixes = [`svc.${clusterDomain}`, ...(ofService ? [ofNamespace] : [])]
    return { rule: `${last} is a namespace`, cluster: suffixes, local: 'after' }
  }
  if (NEVER_PROBED.has(last)) return local(`public name below .${last}`)
  const isService = ofService ? has('service', last) : false
  const unknown: Plan['unknown'] = []
  if (isNamespace === undefined) unknown.push({ kind: 'namespace', label: last })
  if (isService === undefined) unknown.push({ kind: 'service', label: last })
  if (unknown.length > 0) return { ...local(`is ${last} in the cluster?`), unknown }
  if (isService) return { rule: `${last} is a service in ${namespace}`, cluster: [ofNamespace], local: 'after' }
  return local(`no namespace${ofService ? ' or service' : ''} is called ${last}`)
}
