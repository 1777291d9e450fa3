// What is known of a cluster's names when there is a tunnel: its domain, its namespaces, and its resolver, which is asked
// through the tunnel.
import type { Clock } from '../base/clock.ts'
import { datagramUpstream } from '../dns/datagram-upstream.ts'
import type { DnsUpstream } from '../dns/interfaces.ts'
import { parsePodResolvConf } from '../dns/pod-resolv-conf.ts'
import { streamUpstream } from '../dns/stream-upstream.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../wire/address.ts'

const DNS_PORT = 53
const DEFAULT_DOMAIN = 'cluster.local'
/** Where the shadow's connections to the resolver seem to come from; sshd logs it, nobody uses it. */
const ORIGIN: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 0 }

export interface NamesOfCluster {
  clusterDomain: string
  /** The namespace whose short names are meant. */
  namespace: string
  /** Namespaces known to exist, beside it. */
  namespaces: string[]
  /** Undefined when the shadow names none. */
  resolver: Endpoint | undefined
  /** Sentences for the user: what was guessed, and what does not work. */
  notes: string[]
}

/** `resolvConf` is the shadow's own; `clusterDomain` is what the user says, if anything. */
export function namesOfCluster(
  resolvConf: string | undefined,
  clusterDomain: string | undefined,
  rest: Pick<NamesOfCluster, 'namespace' | 'namespaces'>,
): NamesOfCluster {
  const pod = parsePodResolvConf(resolvConf ?? '')
  const resolver = pod.resolver && { address: pod.resolver, port: DNS_PORT }
  const notes: string[] = []
  if (!resolver) {
    const why = resolvConf === undefined ? 'could not be read' : 'names no resolver'
    notes.push(`names of the cluster do not work: the shadow's /etc/resolv.conf ${why}`)
  } else if (!clusterDomain && !pod.clusterDomain) {
    notes.push(
      `the cluster's domain was taken to be ${DEFAULT_DOMAIN}: the shadow's search list does not name it (--cluster-domain does)`,
    )
  }
  return { ...rest, clusterDomain: clusterDomain ?? pod.clusterDomain ?? DEFAULT_DOMAIN, resolver, notes }
}

/** The cluster's resolver, asked through `tunnel`. */
export function clusterUpstream(
  resolver: Endpoint,
  tunnel: Tunnel,
  shared: { clock: Clock; random: () => number },
): DnsUpstream {
  const name = `${resolver.address} through the shadow`
  const tcp = streamUpstream({ ...shared, name, open: (handler) => tunnel.openStream(resolver, ORIGIN, handler) })
  if (!tunnel.info.capabilities.udp) return tcp
  // CoreDNS answers the queries of one TCP connection in sequence, so datagrams are used where the shadow can relay them.
  return datagramUpstream({ ...shared, name, open: (handler) => tunnel.openDatagrams(resolver, handler), tcp })
}
