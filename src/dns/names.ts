// The decision table: who is asked for a name, and under which full names. It is pure: what is known about the cluster
// comes in, and a plan goes out. The table in words is docs/understand/dns.md; test/dns/decisions.txt holds it to the letter.

import { covers, type Prefix } from '../wire/prefix.ts'
import type { ClusterNames } from './interfaces.ts'
import { TYPE } from './message.ts'
import { reversePrefix } from './reverse.ts'

/** What the last label of a name may be in the cluster: `shop` in `web.shop`, `db` in `db-0.db`. */
export type LabelKind = 'namespace' | 'service'

/** The name of the machine outside, in a shell: its loopback answers there. */
export const MACHINE_NAME = 'host.kt'

/** What the decision depends on, beside the question. */
export interface Knowledge {
  names: Pick<ClusterNames, 'clusterDomain' | 'namespace' | 'localSearch'>
  /** `names.reverseRanges`, parsed. */
  ranges: Prefix[]
  /** The machine's own name in lower case; undefined if it needs no special treatment. */
  hostname: string | undefined
  /**
   * The search domain of kt's link. systemd-resolved appends it to names of one label, and the clients of its stub append
   * it to any name that failed. Undefined in other modes.
   */
  appended: string | undefined
  /** Whether programs reach the machine outside under MACHINE_NAME. */
  machine?: boolean
  /** Whether this namespace, or this service in our namespace, exists; undefined if kt has to ask. */
  has(kind: LabelKind, label: string): boolean | undefined
}

/** `machine`: the address of MACHINE_NAME. */
export type OwnAnswer = 'nxdomain' | 'loopback' | 'machine'

/** What to do about a question. */
export interface Plan {
  /** The row of the table, in words. */
  rule: string
  /** The suffixes under which the cluster is asked, in order, until an answer is not NXDOMAIN. '' is the name itself. */
  cluster: string[]
  /** Whether the machine's own resolvers are asked: never, only they, or after the cluster has said NXDOMAIN. */
  local: 'never' | 'only' | 'after'
  /** kt's own answer, without asking anybody. */
  own?: OwnAnswer
  /** What should be looked up before planning again. If that fails, the rest of this plan holds. */
  unknown?: { kind: LabelKind; label: string }[]
}

/**
 * The cluster is never asked whether a namespace has the name of one of these top-level domains: the first eight (RFC 920,
 * RFC 1591) and arpa, which most public names are in. A namespace of such a name counts once kt knows it otherwise.
 */
const NEVER_PROBED = new Set(['com', 'org', 'net', 'edu', 'gov', 'mil', 'int', 'arpa'])

/** These types are about zones, not hosts. A short name is not completed for them, because no program in a pod does so. */
const ZONE_TYPES = new Set<number>([TYPE.NS, TYPE.SOA, TYPE.DS, TYPE.RRSIG, TYPE.NSEC, TYPE.DNSKEY])

/** RFC 1123 2.1. */
export const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const DASHED_ADDRESS = /^(\d+-\d+-\d+-\d+|[0-9a-f]*(-[0-9a-f]*){2,7})$/

/** Whether `name` is `domain` or is below it. Both are in lower case and have no final dot. */
export const isWithin = (name: string, domain: string): boolean =>
  name.endsWith(domain) && (name.length === domain.length || name[name.length - domain.length - 1] === '.')

const cluster = (rule: string, ...suffixes: string[]): Plan => ({ rule, cluster: suffixes, local: 'never' })
const local = (rule: string): Plan => ({ rule, cluster: [], local: 'only' })
const own = (rule: string, answer: OwnAnswer): Plan => ({
  rule,
  cluster: [],
  local: 'never',
  own: answer,
})

/** Decides who is asked. `name` is in lower case without a final dot, '' is the root (see nameText). */
export function decide(name: string, type: number, known: Knowledge): Plan {
  const { clusterDomain, localSearch } = known.names
  if (name === '') return local('the root')
  if (isWithin(name, clusterDomain)) return full(name, known)
  const labels = name.split('.')
  const last = labels.at(-1)!
  if (last === 'localhost') return own('localhost is this machine (RFC 6761)', 'loopback')
  if (known.machine && name === MACHINE_NAME) return own(`${MACHINE_NAME} is the machine outside`, 'machine')
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

// glibc finds the link's search domain in the stub's resolv.conf and appends it to every name that failed, also to public
// ones: `nope.example.com` arrives as `nope.example.com.shop.svc.cluster.local`. kt answers NXDOMAIN to a name that cannot
// be one of our namespace.
function full(name: string, { appended, has }: Knowledge): Plan {
  const asked = cluster('full name in the cluster', '')
  if (appended === undefined || !name.endsWith(`.${appended}`)) return asked
  const rest = name.slice(0, -appended.length - 1).split('.')
  if (rest.length === 1 || (rest.length === 3 && rest[0].startsWith('_') && rest[1].startsWith('_'))) return asked
  const retried = own(`failed name with ${appended} behind it`, 'nxdomain')
  if (rest.length > 2) return retried
  // This is pod.service, or a name like example.com, or a name in a namespace that systemd-resolved does not know. The last
  // is why kt looks the namespace up: systemd-resolved then learns of it and sends the next question to kt.
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

// Either the resolver library has appended the machine's own search domain, or somebody typed a name of the home network.
// Both look the same, so the home network's resolver decides. Only a name that cannot be one of that network is kept from it.
function completedHere(rest: string, search: string, { names, has }: Knowledge): Plan {
  const labels = rest.split('.')
  const clusters =
    isWithin(rest, names.clusterDomain) ||
    (labels.length > 1 && labels.at(-1) === 'svc' && has('namespace', labels.at(-2)!) === true)
  return clusters
    ? own(`name of the cluster with the search domain ${search} behind it`, 'nxdomain')
    : local(`below this machine's search domain ${search}`)
}

// Names as a program in a pod writes them: all labels follow RFC 1123, and SRV names begin with `_port._protocol`.
function short(labels: string[], { names, has }: Knowledge): Plan {
  const { clusterDomain, namespace } = names
  const service = labels.length > 2 && labels[0].startsWith('_') && labels[1].startsWith('_')
  const host = service ? labels.slice(2) : labels
  const ofNamespace = `${namespace}.svc.${clusterDomain}`
  if (!host.every((label) => HOST_LABEL.test(label))) return local('no name a pod would use')
  if (host.length === 1) return { rule: `one label: service in ${namespace}`, cluster: [ofNamespace], local: 'after' }
  // service.namespace or pod.service.namespace. No longer name exists, and `_port._protocol` belongs to a service only.
  if (host.length > (service ? 2 : 3)) return local('more labels than a short name of the cluster has')
  const last = host.at(-1)!
  const isNamespace = has('namespace', last)
  // pod.service of our own namespace is possible, too.
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
