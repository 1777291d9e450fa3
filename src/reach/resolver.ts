// Names and ranges of a cluster for programs that come to kt itself, not through a network device: which addresses a name
// has, as in a pod, and which addresses are the cluster's.
import type { Clock } from '../base/clock.ts'
import { clusterUpstream, type NamesOfCluster } from '../connection/cluster-names.ts'
import { addressesIn } from '../dns/answers.ts'
import { buildQuery, questionWire } from '../dns/build.ts'
import { createDnsServer } from '../dns/dns-server.ts'
import type { DnsServer, DnsUpstream } from '../dns/interfaces.ts'
import { nameWire, RCODE, TYPE } from '../dns/message.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import type { Family, IpAddress } from '../wire/address.ts'
import { covers, type Prefix, parsePrefix, widthOf } from '../wire/prefix.ts'
import { ReachError } from './errors.ts'

export interface NameResolverOptions {
  cluster: NamesOfCluster
  /** The cluster's ranges, CIDR text. */
  ranges: string[]
  /** Who answers names that are not the cluster's. */
  local: DnsUpstream
  /** This machine's name and search list. */
  hostname: string
  search: string[]
  clock: Clock
  /** Uniform in 0 .. 2^32 - 1. */
  random(): number
}

export class NameResolver {
  readonly ranges: string[]
  readonly #options: NameResolverOptions
  readonly #server: DnsServer
  readonly #prefixes: Prefix[]
  /** Questions that wait for an answer: a server that is closed gives none. */
  readonly #open = new Set<(error: Error) => void>()

  constructor(options: NameResolverOptions) {
    this.#options = options
    const { cluster, ranges, local, hostname, search, clock, random } = options
    const { clusterDomain, namespace, namespaces } = cluster
    this.ranges = ranges
    this.#prefixes = ranges.map(parsePrefix)
    this.#server = createDnsServer({
      names: { clusterDomain, namespace, namespaces, reverseRanges: ranges, localSearch: search },
      ...{ mode: 'resolvconf' as const, clock, random, local, hostname },
    })
  }

  /** There is a tunnel (again): the cluster's resolver is asked through it. */
  connected(tunnel: Tunnel): void {
    const { cluster, clock, random } = this.#options
    if (cluster.resolver) this.#server.setClusterUpstream(clusterUpstream(cluster.resolver, tunnel, { clock, random }))
  }

  disconnected(): void {
    this.#server.setClusterUpstream(undefined)
  }

  isCluster(address: IpAddress): boolean {
    const { family, bytes } = address
    return this.#prefixes.some((prefix) => covers(prefix, { family, bytes, length: widthOf(family) }))
  }

  /** None where the name has none of that family. Rejects with ReachError ENOTFOUND, EAI_AGAIN, KT_OUTSIDE. */
  async lookup(name: string, family: Family): Promise<IpAddress[]> {
    const wire = nameWire(name)
    if (!wire || wire.length === 1) throw new ReachError('ENOTFOUND', `${name} is no name of a host`, '')
    const answer = await this.#ask(buildQuery(questionWire(wire, family === 4 ? TYPE.A : TYPE.AAAA)))
    const rcode = answer[3] & 15
    if (rcode === RCODE.NXDOMAIN)
      throw new ReachError('ENOTFOUND', `there is no ${name}`, 'name it as in a pod: web, web.shop, or a full name')
    if (rcode === RCODE.REFUSED)
      throw new ReachError('KT_OUTSIDE', `${name} is not in the cluster, and only the cluster is reached`, '')
    if (rcode !== RCODE.NOERROR)
      throw new ReachError(
        'EAI_AGAIN',
        `nobody could tell the address of ${name}`,
        '`kt status` shows how the tunnel does',
      )
    const found: IpAddress[] = []
    addressesIn(answer, (_, address) => {
      if (address.family === family) found.push(address)
    })
    return found
  }

  close(): void {
    this.#server.close()
    for (const fail of [...this.#open])
      fail(new ReachError('ECONNRESET', 'the connection to the cluster is closed', ''))
  }

  #ask(query: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#open.add(fail)
      const open = this.#open
      function fail(error: Error): void {
        open.delete(fail)
        reject(error)
      }
      this.#server.handle(query, 0, query.length, 'tcp', (answer) => {
        open.delete(fail)
        resolve(Uint8Array.from(answer))
      })
    })
  }
}
