// One connection to one cluster, from the first question to the API server to the last undo: the order of the steps,
// what is shown of them, and what is taken back when one fails.
import { systemClock } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import { createClusterClient } from '../cluster/client.ts'
import type { ClusterClient, ClusterIdentity, Ranges, ShadowHandle } from '../cluster/port.ts'
import type { Link } from '../connection/link.ts'
import type { ShadowDialer } from '../connection/shadow-dialer.ts'
import type { HolderLine, RecoverConfig } from '../control/holder.ts'
import type {
  DnsAnswer,
  DnsStatus,
  LineStatus,
  Progress,
  ServiceReports,
  Status,
  Team,
  UpConfig,
} from '../control/protocol.ts'
import type { ControlCaller } from '../control/server.ts'
import { VERSION } from '../control/version.ts'
import type { CaptureEvent, DnsLogEntry, DnsTrace, Flows, PutBack } from '../control/views.ts'
import type { AppliedState, DesiredState } from '../host/desired.ts'
import type { TappedDevice } from '../tun/tap.ts'
import type { Tunnel } from '../tunnel/port.ts'
import { IpAddress } from '../wire/address.ts'
import { runTask } from './back/task.ts'
import { capture } from './capture.ts'
import { createDataPath, type DataPath } from './data-path.ts'
import { Deadline } from './deadline.ts'
import { createDialer } from './dialer.ts'
import { reportFlows } from './flows.ts'
import type { HostClient } from './host-client.ts'
import type { Log } from './log.ts'
import { pluginSetting } from './login.ts'
import { metricsText } from './metrics.ts'
import { NameService } from './names.ts'
import { capturedRoutes, localInfrastructure, localResolvers, type OwnAddresses, pickAddresses } from './network.ts'
import { NetworkWatch, seeNetwork } from './network-watch.ts'
import { NETWORK_CHANGED } from './own-network.ts'
import { answerProbes, Passage } from './passage.ts'
import { Processes } from './processes.ts'
import { relayTcp } from './relay.ts'
import { relayEcho, relayUdp } from './relay-udp.ts'
import { SelfCheck } from './self-check.ts'
import { shadowImage, shadowOptions } from './shadow-options.ts'
import { ClusterViews } from './views.ts'

const PROLONG_EVERY_MS = 5 * 60_000
const MTU = 1500
/** For all of leaving, whatever does not answer. `kt down` waits a little longer. */
const LEAVE_MS = 6_000
/** What the process that speaks to the API server may take to end when nothing is under way any more. */
const WORKER_MS = 500

export interface SessionDeps {
  device: TappedDevice
  host: HostClient
  log: Log
  /** Steps for the person who waits. */
  progress(p: Progress): void
  random(): number
}

export class Session {
  readonly #config: UpConfig
  readonly #deps: SessionDeps
  readonly #cluster: ClusterClient
  readonly #notes: string[] = []
  readonly #closing = new AbortController()
  readonly #dialer: ShadowDialer
  readonly #processes = new Processes()
  readonly #views: ClusterViews
  readonly selfCheck: SelfCheck
  #state: Status['state'] = 'connecting'
  #since = new Date()
  #identity: ClusterIdentity | undefined
  #ranges: Ranges = { ranges: [], notes: [] }
  #desired: DesiredState | undefined
  #applied: AppliedState | undefined
  #path: DataPath | undefined
  #names: NameService | undefined
  #link: Link | undefined
  #shadow: ShadowHandle | undefined
  #prolong: NodeJS.Timeout | undefined
  #network: NetworkWatch | undefined

  constructor(config: UpConfig, deps: SessionDeps) {
    this.#config = config
    this.#deps = deps
    const { kubeconfig, context, namespace } = config
    const plugin = pluginSetting(
      config,
      () => this.#state === 'connecting',
      (p) => {
        deps.log(`${p.step}: ${p.detail}`)
        deps.progress(p)
      },
    )
    this.#cluster = createClusterClient({ kubeconfig, context, namespace }, { plugin })
    this.#views = new ClusterViews(this.#cluster, () => performance.now())
    this.selfCheck = new SelfCheck({
      host: deps.host,
      log: deps.log,
      connected: () => this.#link?.tunnel() !== undefined,
      closing: this.#closing.signal,
    })
    this.#dialer = createDialer(this.#cluster, config, deps.log, this.#closing.signal)
  }

  /** Connects; resolves to a line for the user when names and addresses work. After a rejection `close` must be called. */
  async connect(): Promise<string> {
    const identity = await this.#step('cluster', async () => {
      const id = await this.#cluster.identify()
      this.#identity = id
      return [id, `${id.cluster} as ${id.user}, namespace ${id.namespace} (${id.server})`]
    })
    // The ranges do not need the shadow, nor the shadow the ranges; the shadow takes longer, so its failure is told last.
    const shadowReady = this.#connectShadow()
    shadowReady.catch(() => {})
    const namespaces = this.#cluster.namespaces()
    namespaces.catch(() => {})
    const ranges = await this.#step('ranges', async () => {
      const found = await this.#cluster.discoverRanges()
      return [found, describeRanges(found)]
    })
    this.#ranges = ranges
    for (const note of ranges.notes) this.#note('ranges', note)

    const [shadow, tunnel] = await shadowReady
    this.#done(
      'tunnel',
      `${shadow.kind} ${tunnel.info.version}, ${(await tunnel.probe(5_000)).toFixed(1)} ms round trip`,
      0,
    )
    const keep = localInfrastructure()
    for (const address of identity.serverAddresses) keep.set(address, 'the API server')
    const { routes, notes } = capturedRoutes(ranges.ranges, this.#config.include, this.#config.exclude, keep)
    for (const note of notes) this.#note('machine', note)
    if (routes.length === 0)
      throw new ToldError('no-ranges', 'there is no address range to capture', 'name one with --include CIDR')

    const own = pickAddresses(routes)
    const names = new NameService({
      config: this.#config,
      namespace: identity.namespace,
      namespaces: await namespaces,
      ranges: routes,
      resolvConf: tunnel.info.resolvConf,
      ...localResolvers(),
      random: this.#deps.random,
      log: this.#deps.log,
      onDomains: () => void this.#updateDns(),
    })
    this.#names = names
    for (const note of names.notes) this.#note('names', note)
    this.#startDataPath(own)
    this.#startLink(shadow, tunnel)

    await this.#step('machine', async () => {
      this.#desired = {
        mtu: MTU,
        addresses: own.tun,
        routes,
        dns: this.#dnsState(own.dns),
      }
      const applied = await this.#deps.host.apply(this.#desired)
      this.#applied = applied
      names.applied(applied.dnsMode, applied.upstreams)
      this.#watchNetwork(applied.dnsMode)
      for (const note of applied.notes) this.#note('machine', note)
      for (const note of this.#domainsLeftOut(applied.domainsLeftOut)) this.#note('machine', note)
      return [
        undefined,
        `${applied.tunName}, ${routes.length - applied.missingRoutes.length} routes, names by ${applied.dnsMode}`,
      ]
    })
    await this.#step('names', async () => [undefined, await names.verify()])
    await this.#lookAtPrograms(names)
    if (this.#config.shadow === 'sshd')
      this.#note('shadow', 'an sshd shadow relays TCP and names; UDP and ping need --shadow agent')
    this.#setState('connected')
    return `connected to ${identity.cluster}, namespace ${identity.namespace}`
  }

  /**
   * Leaves: tunnel, shadow, machine. Never rejects; returns what could not be put back. Ends in time, whatever of helper,
   * cluster and line does not answer.
   */
  async close(progress: (p: Progress) => void): Promise<string[]> {
    const notes: string[] = []
    const deadline = new Deadline(LEAVE_MS)
    this.#setState('disconnecting')
    this.#closing.abort()
    clearInterval(this.#prolong)
    this.#network?.close()
    const began = performance.now()
    const done = (step: string, detail: string) =>
      progress({ step, state: 'done', detail, ms: performance.now() - began })
    const late = 'no answer in time'
    const machine = deadline.wait(this.#deps.host.undo(), late).then(
      () => done('machine', 'routes and resolver are as before'),
      (error: Error) => void notes.push(`the machine: ${error.message}`),
    )
    const shadow = this.#shadow
    const removed =
      shadow &&
      deadline.wait(this.#cluster.removeShadow(shadow), late).then(
        () => done('shadow', `${shadow.job} removed`),
        (error: Error) =>
          void notes.push(
            `the shadow ${shadow.job} in namespace ${shadow.namespace} could not be removed (it ends by itself): ${error.message}`,
          ),
      )
    // On a line that is cut the good-bye to the shadow does not arrive.
    await deadline.wait(this.#link?.close() ?? Promise.resolve(), late).catch(() => {})
    this.#path?.close()
    this.#names?.close()
    await removed
    await machine
    await this.#cluster.close(deadline.left + WORKER_MS)
    return notes
  }

  /** Is `selection` the cluster and namespace of this session? */
  async same({
    env,
    given = {},
    ...selection
  }: Pick<UpConfig, 'kubeconfig' | 'context' | 'namespace' | 'env'> & {
    given?: Record<string, unknown>
  }): Promise<{ same: boolean; wanted: string; current: string; ignored: string[] }> {
    const mine = this.#identity
    if (!mine) throw new ToldError('not-ready', 'kt is still connecting', 'try again when `kt up` has returned')
    const { context, server, namespace } = mine
    const connected = { context, server, namespace }
    const other = createClusterClient({ ...selection, connected }, { env: { ...process.env, ...env } })
    try {
      const id = await other.identify()
      const name = (i: ClusterIdentity) => `${i.cluster} (${i.server}), namespace ${i.namespace}`
      return {
        same: id.server === mine.server && id.namespace === mine.namespace,
        wanted: name(id),
        current: name(mine),
        ignored: differing(given, this.#config),
      }
    } finally {
      await other.close()
    }
  }

  status(): Status {
    const counters = this.#path?.stack.counters
    const id = this.#identity
    const shadow = this.#link?.shadow ?? this.#shadow
    return {
      version: VERSION,
      state: this.#state,
      since: this.#since.toISOString(),
      pid: process.pid,
      context: id?.context ?? '',
      cluster: id?.cluster ?? '',
      server: id?.server ?? '',
      namespace: id?.namespace ?? '',
      user: id?.user ?? '',
      shadow: shadow
        ? {
            kind: shadow.kind,
            namespace: shadow.namespace,
            job: shadow.job,
            pod: shadow.pod,
            node: shadow.node,
            image: shadowImage(this.#config),
            version: this.#link?.tunnel()?.info.version ?? null,
          }
        : null,
      tun: this.#applied ? { name: this.#applied.tunName, mtu: MTU, addresses: this.#desired!.addresses } : null,
      ranges: this.#ranges.ranges,
      routes: this.#routes(),
      dns: {
        mode: this.#applied?.dnsMode ?? 'none',
        servers: this.#desired?.dns.servers ?? [],
        domains: this.#desired?.dns.domains ?? [],
      },
      flows: { tcp: counters?.tcpFlows ?? 0, udp: counters?.udpFlows ?? 0 },
      bytes: { in: counters?.bytesOut ?? 0, out: counters?.bytesIn ?? 0 },
      roundTripMs: this.#link?.tunnel()?.stats.roundTripMs ?? null,
      reconnects: this.#link?.reconnects ?? 0,
      line: lineStatus(this.#link?.tunnel()),
      foreignPackets: counters?.foreign ?? 0,
      memoryBytes: process.memoryUsage.rss(),
      notes: this.#notes,
      faults: this.selfCheck.faults,
      exchanges: [],
    }
  }

  services(): Promise<ServiceReports> {
    return this.#views.services(this.#routes())
  }

  /** Puts back what somebody's exchange or mesh changed, unless they live. Rejects with ClusterError. */
  async recover(target: string, namespace: string, progress: (p: Progress) => void): Promise<PutBack> {
    const { kubeconfig, owner, env } = this.#config
    // The context as it was: the kubeconfig's current one may be another by now.
    const context = this.#identity?.context
    const config: RecoverConfig = { kind: 'recover', target, force: false, kubeconfig, context, namespace, owner, env }
    const running = (detail: string) => progress({ step: 'recover', state: 'running', detail, ms: 0 })
    const line = await runTask(config, createClusterClient({ kubeconfig, context, namespace }), running)
    return (line as HolderLine & { type: 'recovered' }).result
  }

  team(): Promise<Team> {
    return this.#views.team((this.#link?.shadow ?? this.#shadow)?.pod)
  }

  dnsStatus(): DnsStatus {
    return this.#requireNames().status(this.#desired?.dns.servers ?? [])
  }

  dnsQuery(name: string, type: string): Promise<DnsAnswer> {
    return this.#requireNames().query(name, type)
  }

  dnsTrace(name: string, type: string): Promise<DnsTrace> {
    return this.#requireNames().trace(name, type)
  }

  /** Packets of programs, until the caller goes; rejects if nothing is called `filter`. */
  async capture(filter: string | undefined, tell: (event: CaptureEvent) => void, caller: ControlCaller) {
    const addresses = filter === undefined ? undefined : await this.#requireNames().addressesOf(filter)
    return capture(
      {
        device: this.#deps.device,
        application: `kt ${VERSION}`,
        names: this.#names?.addresses,
        processes: this.#processes,
        addresses,
      },
      tell,
      caller,
    )
  }

  /** Prometheus' text format. */
  metrics(): string {
    const { user, system } = process.cpuUsage()
    return metricsText({
      status: this.status(),
      version: VERSION,
      stack: this.#path?.stack.counters,
      dns: this.#names?.counters,
      cpuSeconds: (user + system) / 1e6,
    })
  }

  /** Empty while connecting. */
  dnsLog(since: number): DnsLogEntry[] {
    return this.#names?.log(since) ?? []
  }

  /** Waits up to `waitMs` for names that have to be asked for. */
  flows(waitMs: number): Promise<Flows> {
    const flows = () => this.#path?.stack.flows() ?? []
    return reportFlows({ flows, names: this.#names?.addresses, processes: this.#processes }, waitMs)
  }

  /** Another program has rewritten /etc/resolv.conf: its resolvers are the upstreams now. */
  resolvConfChanged(upstreams: string[]): void {
    this.#deps.log(`resolv.conf was rewritten by another program; its resolvers: ${upstreams.join(', ')}`)
    this.#names?.setLocalUpstreams(upstreams)
    this.#network?.look()
  }

  /** The kernel has told the helper of a change of a link, an address or a route. */
  kernelChanged(): void {
    this.#network?.look()
  }

  #watchNetwork(mode: AppliedState['dnsMode']): void {
    this.#network?.close()
    this.#network = new NetworkWatch({
      see: () => seeNetwork(mode, this.#desired?.dns.servers ?? []),
      after: systemClock.after,
      onWays: () => this.#dialer.suspect(NETWORK_CHANGED),
      onChange: (upstreams) => {
        this.#deps.log(`another network${upstreams ? `; its resolvers: ${upstreams.join(', ')}` : ''}`)
        this.#names?.networkChanged(upstreams)
      },
    })
  }

  /** `refused`: of the domains that were sent. */
  #domainsLeftOut(refused: readonly string[]): string[] {
    return this.selfCheck.domainsLeftOut([...refused, ...(this.#names?.domainsLeftOut() ?? [])])
  }

  async #lookAtPrograms(names: NameService): Promise<void> {
    const began = performance.now()
    const { stack, wake } = this.#path!
    const wrong = await this.selfCheck.begin(new Passage(names, answerProbes(stack, this.#routes(), wake)))
    for (const line of wrong) this.#note('programs', line)
    if (wrong.length === 0) this.#done('programs', 'names and addresses reach kt', performance.now() - began)
  }

  #routes(): string[] {
    return (this.#desired?.routes ?? []).filter((route) => !this.#applied?.missingRoutes.includes(route))
  }

  #requireNames(): NameService {
    if (!this.#names) throw new ToldError('not-ready', 'kt is still connecting', 'try again when `kt up` has returned')
    return this.#names
  }

  async #connectShadow(): Promise<[ShadowHandle, Tunnel]> {
    const began = performance.now()
    const progress = (_: string, detail: string) =>
      this.#deps.progress({ step: 'shadow', state: 'running', detail, ms: 0 })
    const connected = await this.#dialer.connect((dialable) => {
      const noted = (shadow: ShadowHandle) => {
        this.#shadow = shadow
        dialable(shadow)
        return shadow
      }
      const hooks = { dialable: noted, signal: this.#closing.signal }
      return this.#cluster.createShadow(shadowOptions(this.#config), progress, hooks).then(noted)
    })
    const ms = performance.now() - began
    this.#done('shadow', `${connected[0].pod} on ${connected[0].node}`, ms)
    return connected
  }

  #startDataPath({ tun, dns }: OwnAddresses): void {
    const { device } = this.#deps
    const path = createDataPath(
      device,
      {
        mtu: MTU,
        gso: true,
        random: this.#deps.random,
        ownAddresses: [dns],
        sources: tun.map((cidr) => IpAddress.parse(cidr.split('/')[0])),
      },
      (error) => {
        this.#deps.log(`the network device failed: ${error.message}`)
        process.kill(process.pid, 'SIGTERM')
      },
    )
    this.#path = path
    const context = {
      tunnel: () => this.#link?.tunnel(),
      whenConnected: (callback: () => void) => this.#link!.whenConnected(callback),
      wake: path.wake,
    }
    path.stack.setHandlers({
      onTcp: (flow) => relayTcp(flow, context),
      onUdp: (flow) => relayUdp(flow, context),
      onEcho: (request) => relayEcho(request, context),
    })
    this.#names!.listen(path, dns)
  }

  #startLink(shadow: ShadowHandle, tunnel: Tunnel): void {
    const { log } = this.#deps
    const link = this.#dialer.link({
      connectAnew: () => this.#connectShadow(),
      discardShadow: (s) => this.#cluster.removeShadow(s).catch((error: Error) => log(`${s.job}: ${error.message}`)),
      onLost: (why) => {
        log(`tunnel lost: ${why}`)
        this.#names?.disconnected()
        this.#setState('reconnecting')
        this.selfCheck.tunnelLost(why)
      },
      onFailed: (error) => this.selfCheck.reconnectFailed(error),
      onInterrupted: (why) => {
        if (this.#state !== 'connected') return
        this.#names?.disconnected()
        this.#setState('reconnecting')
        this.selfCheck.tunnelLost(why)
      },
      onResumed: (t) => {
        if (this.#state !== 'reconnecting') return
        this.#names?.connected(t)
        this.selfCheck.tunnelThere()
        this.#setState('connected')
      },
      onConnected: (t, s) => {
        log(`tunnel to ${s.pod}: ${t.info.version}`)
        this.#names?.connected(t)
        this.selfCheck.tunnelThere()
        if (this.#state === 'reconnecting') this.#setState('connected')
      },
    })
    this.#link = link
    link.start(shadow, tunnel)
    if (shadow.kind === 'sshd') {
      this.#prolong = setInterval(() => {
        if (link.shadow)
          void this.#cluster.prolongShadow(link.shadow).catch((error: Error) => log(`prolong: ${error.message}`))
      }, PROLONG_EVERY_MS)
    }
  }

  #dnsState(server: IpAddress): DesiredState['dns'] {
    return { mode: this.#config.dns, servers: [server.toString()], ...this.#names!.linkDomains() }
  }

  async #updateDns(): Promise<void> {
    if (!this.#applied || !this.#desired) return
    const dns = { ...this.#desired.dns, ...this.#names!.linkDomains() }
    this.#desired = { ...this.#desired, dns }
    await this.#deps.host.updateDns(dns).then(
      (left) => void this.#domainsLeftOut(left),
      (error: Error) => this.selfCheck.domainsRefused(error),
    )
  }

  async #step<T>(step: string, run: () => Promise<[T, string]>): Promise<T> {
    const began = performance.now()
    const [result, detail] = await run()
    this.#done(step, detail, performance.now() - began)
    return result
  }

  #done(step: string, detail: string, ms: number): void {
    this.#deps.progress({ step, state: 'done', detail, ms })
    this.#deps.log(`${step}: ${detail} (${ms.toFixed(0)} ms)`)
  }

  #note(step: string, detail: string): void {
    this.#notes.push(detail)
    this.#deps.progress({ step, state: 'note', detail, ms: 0 })
    this.#deps.log(`${step}: note: ${detail}`)
  }

  #setState(state: Status['state']): void {
    this.#state = state
    this.#since = new Date()
  }
}

/** Names of what was asked for and is not so. The order of a list says nothing. */
function differing(given: Record<string, unknown>, config: UpConfig): string[] {
  const text = (value: unknown) => JSON.stringify(Array.isArray(value) ? [...value].sort() : (value ?? null))
  return Object.entries(given)
    .filter(([key, value]) => text(value) !== text(config[key as keyof UpConfig]))
    .map(([key]) => key)
}

function lineStatus(tunnel: Tunnel | undefined): LineStatus | null {
  if (!tunnel?.line) return null
  const { state, resumptions, lastGap } = tunnel.line.report
  return { state, resumptions, lastGap: lastGap ?? null }
}

function describeRanges({ ranges }: Ranges): string {
  const of = (kind: string) => ranges.filter((r) => r.kind === kind)
  const part = (kind: string) =>
    `${kind} ${
      of(kind)
        .map((r) => r.cidr + (r.guessed ? ' (guessed)' : ''))
        .join(', ') || 'unknown'
    }`
  return `${part('pods')}; ${part('services')}`
}
