// Puts the DNS server together: on an address inside the TUN, with the cluster's resolver behind the tunnel and this
// machine's own resolvers beside it.
import { hostname } from 'node:os'
import { type Clock, systemClock } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import type { DnsAnswer, DnsStatus, UpConfig } from '../control/protocol.ts'
import type { DnsLogEntry, DnsTrace } from '../control/views.ts'
import { addressesIn } from '../dns/answers.ts'
import { datagramUpstream } from '../dns/datagram-upstream.ts'
import { type LocalUpstream, localUpstream } from '../dns/local-upstream.ts'
import { parsePodResolvConf } from '../dns/pod-resolv-conf.ts'
import type { ClusterNames, DnsCounters, DnsServer, DnsUpstream } from '../dns/port.ts'
import { describeAnswer } from '../dns/records.ts'
import { createDnsServer } from '../dns/server.ts'
import { streamUpstream } from '../dns/stream-upstream.ts'
import { DnsTcpSession } from '../dns/tcp.ts'
import type { Tunnel } from '../tunnel/port.ts'
import { type Endpoint, IpAddress } from '../wire/address.ts'
import { AddressNames } from './address-names.ts'
import type { DataPath } from './data-path.ts'
import { requireQuestion } from './dns-question.ts'
import type { Log } from './log.ts'

const DNS_PORT = 53
const DEFAULT_DOMAIN = 'cluster.local'
/** Where the shadow's connections to the resolver seem to come from; sshd logs it, nobody uses it. */
const ORIGIN: Endpoint = { address: IpAddress.parse('127.0.0.1'), port: 0 }

export interface NameServiceOptions {
  config: UpConfig
  /** The namespace whose short names are meant. */
  namespace: string
  /** Namespaces known to exist, beside it. */
  namespaces: string[]
  /** Captured ranges: their reverse names are the cluster's. */
  ranges: string[]
  /** The shadow's own resolv.conf. */
  resolvConf: string | undefined
  /** The resolvers and search list that this machine has before it is changed. */
  upstreams: string[]
  search: string[]
  random: () => number
  log: Log
  /** The domains for systemd-resolved have changed. */
  onDomains: () => void
}

export class NameService {
  readonly notes: string[] = []
  /** What the cluster's addresses are called. */
  readonly addresses: AddressNames
  readonly #options: NameServiceOptions
  readonly #names: ClusterNames
  readonly #resolver: Endpoint | undefined
  readonly #server: DnsServer
  readonly #local: LocalUpstream
  readonly #clock: Clock = systemClock
  #upstreams: string[]
  #mode: 'resolved' | 'resolvconf' | 'none' = 'resolvconf'
  #clusterUpstream: DnsUpstream | undefined

  constructor(options: NameServiceOptions) {
    this.#options = options
    const pod = parsePodResolvConf(options.resolvConf ?? '')
    const { resolver } = pod
    if (resolver) this.#resolver = { address: resolver, port: DNS_PORT }
    else {
      const why = options.resolvConf === undefined ? 'could not be read' : 'names no resolver'
      this.notes.push(`names of the cluster do not work: the shadow's /etc/resolv.conf ${why}`)
    }
    const clusterDomain = options.config.clusterDomain ?? pod.clusterDomain ?? DEFAULT_DOMAIN
    if (!options.config.clusterDomain && !pod.clusterDomain && resolver) {
      this.notes.push(
        `the cluster's domain was taken to be ${DEFAULT_DOMAIN}: the shadow's search list does not name it (--cluster-domain does)`,
      )
    }
    this.#names = {
      clusterDomain,
      namespace: options.namespace,
      namespaces: options.namespaces,
      reverseRanges: options.ranges,
      localSearch: options.search,
    }
    this.#upstreams = options.upstreams
    this.#local = localUpstream({ servers: options.upstreams, clock: this.#clock, random: options.random })
    this.addresses = new AddressNames({
      clusterDomain,
      ask: async (name) => (await this.#server.ask(name, 'PTR')).answer,
      now: this.#clock.now,
    })
    const self = this
    this.#server = createDnsServer({
      names: this.#names,
      get mode() {
        return self.#mode
      },
      clock: this.#clock,
      random: options.random,
      local: this.#local,
      hostname: hostname(),
      onDomains: options.onDomains,
      onAddresses: (message) => this.addresses.learn(message),
    })
  }

  /** Serves port 53 of `address` on the stack, UDP and TCP. */
  listen(path: DataPath, address: IpAddress): void {
    const endpoint = { address, port: DNS_PORT }
    this.addresses.add(address, 'kt-dns')
    path.stack.listenUdp(endpoint, (buffer, start, end, reply) => {
      this.#server.handle(buffer, start, end, 'udp', (answer) => {
        reply(answer)
        path.wake()
      })
    })
    path.stack.listenTcp(endpoint, (flow) => {
      const session = new DnsTcpSession(this.#server, {
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
    const target = this.#resolver
    if (!target) return
    const name = `${target.address} through the shadow`
    const shared = { clock: this.#clock, random: this.#options.random }
    const tcp = streamUpstream({ ...shared, name, open: (handler) => tunnel.openStream(target, ORIGIN, handler) })
    // CoreDNS answers the queries of one TCP connection in sequence, so datagrams where the shadow can relay them.
    this.#clusterUpstream = tunnel.info.capabilities.udp
      ? datagramUpstream({ ...shared, name, open: (handler) => tunnel.openDatagrams(target, handler), tcp })
      : tcp
    this.#server.setClusterUpstream(this.#clusterUpstream)
  }

  disconnected(): void {
    this.#server.setClusterUpstream(undefined)
    this.#clusterUpstream = undefined
  }

  /** What the machine's set-up found in charge before, and how programs reach us now. */
  applied(mode: 'resolved' | 'resolvconf' | 'none', upstreams: string[]): void {
    this.#mode = mode
    this.setLocalUpstreams(upstreams)
  }

  setLocalUpstreams(upstreams: string[]): void {
    if (upstreams.join() !== this.#upstreams.join()) this.networkChanged(upstreams)
  }

  /** This machine is in another network: what its resolvers said there does not count here, even where they are called alike. */
  networkChanged(upstreams: string[] = this.#upstreams): void {
    this.#upstreams = upstreams
    this.#server.networkChanged()
    this.#local.setServers(upstreams)
  }

  /** For systemd-resolved's link: routing domains, and the one that completes single labels. */
  linkDomains(): { domains: string[]; searchDomains: string[] } {
    return { domains: this.#server.domains(), searchDomains: this.#server.searchDomains() }
  }

  get mode(): 'resolved' | 'resolvconf' | 'none' {
    return this.#mode
  }

  /** A name every cluster has; undefined where programs do not ask kt, or kt cannot ask the cluster. */
  get knownName(): string | undefined {
    return this.#resolver && this.#mode !== 'none' ? this.#serverName : undefined
  }

  get #serverName(): string {
    return `kubernetes.default.svc.${this.#names.clusterDomain}`
  }

  /** Namespaces that systemd-resolved has no room for; none where it is not asked. */
  domainsLeftOut(): string[] {
    return this.#mode === 'resolved' ? this.#server.domainsLeftOut() : []
  }

  /** Asks for a name every cluster has; resolves to a line for the user. Rejects when nobody answers. */
  async verify(): Promise<string> {
    if (!this.#resolver) return 'not available'
    const name = this.#serverName
    const began = performance.now()
    const { rcode, tries } = await this.query(name, 'A')
    if (rcode === 'NOERROR')
      return `${name} answered by ${this.#resolver.address} in ${(performance.now() - began).toFixed(0)} ms`
    throw new ToldError(
      'names',
      `the cluster's resolver ${this.#resolver.address} did not answer ${name}: ${tries.at(-1)?.rcode ?? rcode}`,
      rcode === 'NXDOMAIN'
        ? "name the cluster's domain with --cluster-domain"
        : '`kubectl -n kube-system get pods` shows whether the cluster DNS runs',
    )
  }

  status(servers: string[]): DnsStatus {
    const { domains, searchDomains } = this.linkDomains()
    return {
      mode: this.#mode,
      servers,
      clusterDomain: this.#names.clusterDomain,
      namespace: this.#names.namespace,
      domains,
      searchDomains: this.#mode === 'resolved' ? searchDomains : [],
      upstreams: { cluster: this.#clusterUpstream?.name ?? 'away', local: this.#upstreams },
      counters: { ...this.#server.counters },
    }
  }

  async query(name: string, type: string): Promise<DnsAnswer> {
    requireQuestion(name, type)
    const { answer, decision } = await this.#server.ask(name, type)
    const { rcode, answers } = await describeAnswer(answer)
    return {
      name: decision.name,
      type: decision.type,
      rcode,
      records: answers,
      rule: decision.rule,
      tries: decision.tries,
    }
  }

  /** Each decision on the way of one question, which is asked anew whatever the cache has. */
  async trace(name: string, type: string): Promise<DnsTrace> {
    requireQuestion(name, type)
    const began = performance.now()
    const { answer, decision, cache, resolved } = await this.#server.trace(name, type)
    const ms = Math.round((performance.now() - began) * 10) / 10
    const { rcode, answers } = await describeAnswer(answer)
    const full = (suffix: string) => (suffix === '' ? decision.name : `${decision.name}.${suffix}`)
    return {
      name: decision.name,
      type: decision.type,
      cache,
      decisions: decision.plans!.map((plan) => ({
        rule: plan.rule,
        cluster: plan.cluster.map(full),
        local: plan.local,
        unknown: (plan.unknown ?? []).map(({ kind, label }) => `${kind} ${label}`),
      })),
      tries: decision.tries.map(({ probe = false, ...one }) => ({ ...one, probe })),
      resolved: resolved ?? null,
      rule: decision.rule,
      rcode,
      records: answers,
      ms,
    }
  }

  /** The addresses of a service or pod, named as a program would name it; an address is itself. By their text. */
  async addressesOf(target: string): Promise<Map<string, IpAddress>> {
    const found = new Map<string, IpAddress>()
    const own = IpAddress.tryParse(target)
    if (own) return found.set(own.toString(), own)
    const name = target.replace(/^(service|pod)\//, '')
    for (const type of ['A', 'AAAA']) {
      const { answer } = await this.#server.ask(name, type).catch(() => ({ answer: new Uint8Array(0) }))
      addressesIn(answer, (_, address) => found.set(address.toString(), address))
    }
    if (found.size > 0) return found
    throw Object.assign(new Error(`${name} has no address`), {
      code: 'unknown-name',
      hint: `name it as a program would: web, web.shop, db-0.db.shop, or an address; \`kt dns trace ${name}\` shows who was asked`,
    })
  }

  get counters(): Readonly<DnsCounters> {
    return this.#server.counters
  }

  /** What programs asked after the entry `since`, oldest first. */
  log(since: number): DnsLogEntry[] {
    const origin = Date.now() - this.#clock.now()
    return this.#server.history.since(since).map(({ at, ms, ...rest }) => ({
      ...rest,
      at: new Date(origin + at).toISOString(),
      ms: Math.round(ms * 10) / 10,
    }))
  }

  close(): void {
    this.disconnected()
    this.#server.close()
  }
}
