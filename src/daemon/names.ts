// Puts the DNS server together: on an address inside the TUN, with the cluster's resolver behind the tunnel and this
// machine's own resolvers beside it.
import { hostname } from 'node:os'
import type { Clock } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import { clusterUpstream, type NamesOfCluster } from '../connection/cluster-names.ts'
import { createDnsServer } from '../dns/dns-server.ts'
import type { DnsServer } from '../dns/interfaces.ts'
import { type LocalUpstream, localUpstream } from '../dns/local-upstream.ts'
import { DnsTcpSession } from '../dns/tcp.ts'
import type { AppliedState } from '../host/desired.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import type { Endpoint, IpAddress } from '../wire/address.ts'
import { AddressNames } from './address-names.ts'
import type { DataPath } from './data-path.ts'
import { query } from './dns-views.ts'

const DNS_PORT = 53

export interface NameServiceOptions {
  cluster: NamesOfCluster
  /** Captured ranges: their reverse names are the cluster's. */
  ranges: string[]
  /** The resolvers and search list that this machine has before it is changed. */
  upstreams: string[]
  search: string[]
  /** Where programs reach the machine outside; see DnsServerOptions. */
  machine?: IpAddress
  random: () => number
  clock: Clock
  /** The domains for systemd-resolved have changed. */
  onDomains: () => void
}

export class NameService {
  /** What the cluster's addresses are called. */
  readonly addresses: AddressNames
  readonly server: DnsServer
  readonly cluster: NamesOfCluster
  readonly #options: NameServiceOptions
  readonly #resolver: Endpoint | undefined
  readonly #local: LocalUpstream
  #upstreams: string[]
  #mode: AppliedState['dnsMode'] = 'resolvconf'
  #clusterUpstream: string | undefined

  constructor(options: NameServiceOptions) {
    this.#options = options
    const { clock, random, cluster } = options
    const { clusterDomain, namespace, namespaces } = cluster
    this.cluster = cluster
    this.#resolver = cluster.resolver
    this.#upstreams = options.upstreams
    this.#local = localUpstream({ servers: options.upstreams, clock, random })
    this.addresses = new AddressNames({
      clusterDomain,
      ask: async (name) => (await this.server.ask(name, 'PTR')).answer,
      now: () => clock.now(),
    })
    const self = this
    this.server = createDnsServer({
      names: {
        ...{ clusterDomain, namespace, namespaces },
        reverseRanges: options.ranges,
        localSearch: options.search,
      },
      get mode() {
        return self.#mode
      },
      clock,
      random,
      local: this.#local,
      hostname: hostname(),
      machine: options.machine,
      onDomains: options.onDomains,
      onAddresses: (message) => this.addresses.learn(message),
    })
  }

  /** Serves port 53 of `address` on the stack, UDP and TCP. */
  listen(path: DataPath, address: IpAddress): void {
    const endpoint = { address, port: DNS_PORT }
    this.addresses.add(address, 'kt-dns')
    path.stack.listenUdp(endpoint, (buffer, start, end, reply) => {
      this.server.handle(buffer, start, end, 'udp', (answer) => {
        reply(answer)
        path.wake()
      })
    })
    path.stack.listenTcp(endpoint, (flow) => {
      const session = new DnsTcpSession(this.server, {
        send: (chunk) => {
          flow.send(chunk)
          path.wake()
        },
        end: () => {
          flow.end()
          path.wake()
        },
        resume: () => {
          flow.resume()
          path.wake()
        },
      })
      flow.accept()
      return {
        onData: (buffer, start, end) => session.receive(buffer, start, end),
        onEnd: () => session.end(),
        onAcked: () => {},
        onClose: () => session.close(),
      }
    })
  }

  /** There is a tunnel (again): the cluster's resolver is asked through it. */
  connected(tunnel: Tunnel): void {
    if (!this.#resolver) return
    const { clock, random } = this.#options
    const upstream = clusterUpstream(this.#resolver, tunnel, { clock, random })
    this.#clusterUpstream = upstream.name
    this.server.setClusterUpstream(upstream)
  }

  disconnected(): void {
    this.server.setClusterUpstream(undefined)
    this.#clusterUpstream = undefined
  }

  /** What the machine's set-up found in charge before, and how programs reach us now. */
  applied(mode: AppliedState['dnsMode'], upstreams: string[]): void {
    this.#mode = mode
    this.setLocalUpstreams(upstreams)
  }

  setLocalUpstreams(upstreams: string[]): void {
    if (upstreams.join() !== this.#upstreams.join()) this.networkChanged(upstreams)
  }

  /** This machine is in another network: what its resolvers said there does not count here, even where they are called alike. */
  networkChanged(upstreams: string[] = this.#upstreams): void {
    this.#upstreams = upstreams
    this.server.networkChanged()
    this.#local.setServers(upstreams)
  }

  /** For systemd-resolved's link: routing domains, and the one that completes single labels. */
  linkDomains(): { domains: string[]; searchDomains: string[] } {
    return { domains: this.server.domains(), searchDomains: this.server.searchDomains() }
  }

  get mode(): AppliedState['dnsMode'] {
    return this.#mode
  }

  /** A name every cluster has; undefined where programs do not ask kt, or kt cannot ask the cluster. */
  get knownName(): string | undefined {
    return this.#resolver && this.#mode !== 'none' ? this.#serverName : undefined
  }

  get #serverName(): string {
    return `kubernetes.default.svc.${this.cluster.clusterDomain}`
  }

  /** Namespaces that systemd-resolved has no room for; none where it is not asked. */
  domainsLeftOut(): string[] {
    return this.#mode === 'resolved' ? this.server.domainsLeftOut() : []
  }

  /** Asks for a name every cluster has; resolves to a line for the user. Rejects when nobody answers. */
  async verify(): Promise<string> {
    if (!this.#resolver) return 'not available'
    const name = this.#serverName
    const { clock } = this.#options
    const began = clock.now()
    const { rcode, tries } = await query(this.server, name, 'A')
    if (rcode === 'NOERROR')
      return `${name} answered by ${this.#resolver.address} in ${(clock.now() - began).toFixed(0)} ms`
    throw new ToldError(
      'names',
      `the cluster's resolver ${this.#resolver.address} did not answer ${name}: ${tries.at(-1)?.rcode ?? rcode}`,
      rcode === 'NXDOMAIN'
        ? "name the cluster's domain with --cluster-domain"
        : '`kubectl -n kube-system get pods` shows whether the cluster DNS runs',
    )
  }

  /** Who is asked: the cluster's resolver by its name, undefined while it cannot be, and this machine's own. */
  get upstreams(): { cluster: string | undefined; local: string[] } {
    return { cluster: this.#clusterUpstream, local: this.#upstreams }
  }

  close(): void {
    this.disconnected()
    this.server.close()
  }
}
