// The cluster's network on this machine: the network device with our stack behind it, the relays into the tunnel, names,
// and what routes and resolver this machine needs for it. It knows the connection to the cluster as a tunnel that comes
// and goes; whoever has made both joins them.
import type { Clock } from '../base/clock.ts'
import { Deadline } from '../base/deadline.ts'
import { ToldError } from '../base/told-error.ts'
import { type ClusterConnection, type Connected, LEAVE_MS, type Step } from '../connection/connection.ts'
import type { UpConfig } from '../control/config.ts'
import type { AppliedState, DesiredState } from '../host/desired.ts'
import type { TappedDevice } from '../tun/tap.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { IpAddress } from '../wire/address.ts'
import { ClosedFlows } from './closed-flows.ts'
import { createDataPath, type DataPath } from './data-path.ts'
import type { HostClient } from './host-client.ts'
import type { Log } from './log.ts'
import { NameService } from './names.ts'
import { capturedRoutes, localInfrastructure, localResolvers, type OwnAddresses, pickAddresses } from './network.ts'
import { NetworkWatch, seeNetwork } from './network-watch.ts'
import { answerProbes, Passage } from './passage.ts'
import { type RelayContext, relayTcp } from './relay.ts'
import { relayEcho, relayUdp } from './relay-udp.ts'
import { SelfCheck } from './self-check.ts'

export const MTU = 1500

export interface LocalNetworkOptions {
  config: Pick<UpConfig, 'include' | 'exclude' | 'dns'>
  device: TappedDevice
  host: HostClient
  /** Where flows find the tunnel. */
  tunnels: Pick<ClusterConnection, 'tunnel' | 'whenConnected'>
  clock: Clock
  /** Milliseconds since 1970. */
  wall(): number
  random(): number
  log: Log
  onStep(step: Step): void
  /** The network device failed: nothing reaches us any more. */
  onDeviceFailed(error: Error): void
  /** A program has sent something to the cluster. */
  onSent?(): void
  /** This machine's ways out have changed, so connections from before may be dead. */
  onWays(): void
}

export class LocalNetwork {
  readonly selfCheck: SelfCheck
  readonly #options: LocalNetworkOptions
  readonly #closing = new AbortController()
  #desired: DesiredState | undefined
  #applied: AppliedState | undefined
  #path: DataPath | undefined
  #names: NameService | undefined
  #watch: NetworkWatch | undefined
  #resolverNotes: string[] = []

  constructor(options: LocalNetworkOptions) {
    this.#options = options
    const { host, log, tunnels } = options
    this.selfCheck = new SelfCheck({
      ...{ clock: options.clock, wall: options.wall },
      ...{ host, log },
      connected: () => tunnels.tunnel() !== undefined,
      closing: this.#closing.signal,
    })
  }

  /** What was asked of this machine, and what came of it. Undefined until then. */
  get desired(): DesiredState | undefined {
    return this.#desired
  }

  get applied(): AppliedState | undefined {
    return this.#applied
  }

  readonly closedFlows = new ClosedFlows(() => this.#options.clock.now())

  get path(): DataPath | undefined {
    return this.#path
  }

  get names(): NameService | undefined {
    return this.#names
  }

  /** What a person should know of the resolv.conf that another program has written meanwhile. */
  get resolverNotes(): string[] {
    return this.#resolverNotes
  }

  /** The ranges that this machine sends to us. */
  get routes(): string[] {
    return (this.#desired?.routes ?? []).filter((route) => !this.#applied?.missingRoutes.includes(route))
  }

  /** Sets this machine up, and sees that names and addresses work. After a rejection `close` must be called. */
  async begin({ identity, ranges, names: cluster }: Connected): Promise<void> {
    const { config, host, clock, random, tunnels } = this.#options
    const keep = localInfrastructure()
    for (const address of identity.serverAddresses) keep.set(address, 'the API server')
    const { routes, notes } = capturedRoutes(ranges.ranges, config.include, config.exclude, keep)
    for (const note of notes) this.#note('machine', note)
    if (routes.length === 0)
      throw new ToldError('no-ranges', 'there is no address range to capture', 'name one with --include CIDR')

    const own = pickAddresses(routes)
    const onDomains = () => void this.#updateDns()
    const names = new NameService({ cluster, ranges: routes, ...localResolvers(), random, clock, onDomains })
    this.#names = names
    for (const note of cluster.notes) this.#note('names', note)
    this.#startDataPath(own, names)
    const tunnel = tunnels.tunnel()
    if (tunnel) this.tunnelThere(tunnel)

    await this.#step('machine', async () => {
      const dns = { mode: config.dns, servers: [own.dns.toString()], ...names.linkDomains() }
      this.#desired = { mtu: MTU, addresses: own.tun, routes, dns }
      const applied = await host.apply(this.#desired)
      this.#applied = applied
      this.#closing.signal.throwIfAborted()
      names.applied(applied.dnsMode, applied.upstreams)
      this.#watchNetwork(applied.dnsMode)
      for (const note of applied.notes) this.#note('machine', note)
      for (const note of this.#domainsLeftOut(applied.domainsLeftOut)) this.#note('machine', note)
      const count = routes.length - applied.missingRoutes.length
      return `${applied.tunName}, ${count} routes, names by ${applied.dnsMode}`
    })
    await this.#step('names', () => names.verify())
    await this.#lookAtPrograms(names)
  }

  /** There is a tunnel (again). */
  tunnelThere(tunnel: Tunnel): void {
    this.#names?.connected(tunnel)
    this.selfCheck.tunnelThere()
  }

  /** Nothing gets through until `tunnelThere`. */
  tunnelAway(why: string): void {
    this.#names?.disconnected()
    this.selfCheck.tunnelLost(why)
  }

  /** Another program has rewritten /etc/resolv.conf: its resolvers are the upstreams now. */
  resolvConfChanged(upstreams: string[], notes: string[]): void {
    this.#options.log(`resolv.conf was rewritten by another program; its resolvers: ${upstreams.join(', ')}`)
    for (const note of notes) this.#options.log(`names: note: ${note}`)
    this.#resolverNotes = notes
    this.#names?.setLocalUpstreams(upstreams)
    this.#watch?.look()
  }

  /** The kernel has told the helper of a change of a link, an address or a route. */
  kernelChanged(): void {
    this.#watch?.look()
  }

  /** Ends what runs, and has this machine put back as it was. Rejects when that cannot be done, in time whatever happens. */
  async close(): Promise<void> {
    const { host, clock } = this.#options
    this.#closing.abort(new ToldError('gone', 'given up, since kt is ending', 'nothing to do'))
    this.#watch?.close()
    const began = clock.now()
    const deadline = new Deadline(LEAVE_MS, clock)
    const undone = deadline.wait(host.undo(), 'no answer in time')
    this.#path?.close()
    this.#names?.close()
    try {
      await undone
      this.#tell('machine', 'done', 'routes and resolver are as before', clock.now() - began)
    } finally {
      deadline.end()
    }
  }

  #startDataPath({ tun, dns }: OwnAddresses, names: NameService): void {
    const { clock, device, random, log, tunnels, onDeviceFailed, onSent } = this.#options
    const sources = tun.map((cidr) => IpAddress.parse(cidr.split('/')[0]))
    const path = createDataPath(
      device,
      { clock, mtu: MTU, gso: true, random, ownAddresses: [dns], sources },
      (error) => {
        log(`the network device failed: ${error.message}`)
        onDeviceFailed(error)
      },
    )
    this.#path = path
    const context: RelayContext = {
      tunnel: () => tunnels.tunnel(),
      whenConnected: (callback) => tunnels.whenConnected(callback),
      wake: path.wake,
      sent: onSent,
      over: (flow, how) => this.closedFlows.add(flow, how),
    }
    path.stack.setHandlers({
      onTcp: (flow) => relayTcp(flow, context),
      onUdp: (flow) => relayUdp(flow, context),
      onEcho: (request) => relayEcho(request, context),
    })
    names.listen(path, dns)
  }

  async #lookAtPrograms(names: NameService): Promise<void> {
    const { clock } = this.#options
    this.#closing.signal.throwIfAborted()
    const began = clock.now()
    const { stack, wake } = this.#path!
    const wrong = await this.selfCheck.begin(new Passage(names, answerProbes(stack, this.routes, wake)))
    for (const line of wrong) this.#note('programs', line)
    if (wrong.length === 0) this.#tell('programs', 'done', 'names and addresses reach kt', clock.now() - began)
  }

  #watchNetwork(mode: AppliedState['dnsMode']): void {
    const { clock, log, onWays } = this.#options
    this.#watch?.close()
    this.#watch = new NetworkWatch({
      see: () => seeNetwork(mode, this.#desired?.dns.servers ?? []),
      after: (ms, call) => clock.after(ms, call),
      onWays,
      onChange: (upstreams) => {
        log(`another network${upstreams ? `; its resolvers: ${upstreams.join(', ')}` : ''}`)
        this.#names?.networkChanged(upstreams)
      },
    })
  }

  /** `refused`: of the domains that were sent. */
  #domainsLeftOut(refused: readonly string[]): string[] {
    return this.selfCheck.domainsLeftOut([...refused, ...(this.#names?.domainsLeftOut() ?? [])])
  }

  async #updateDns(): Promise<void> {
    if (!this.#applied || !this.#desired) return
    const dns = { ...this.#desired.dns, ...this.#names!.linkDomains() }
    this.#desired = { ...this.#desired, dns }
    await this.#options.host.updateDns(dns).then(
      (left) => void this.#domainsLeftOut(left),
      (error: Error) => this.selfCheck.domainsRefused(error),
    )
  }

  async #step(step: string, run: () => Promise<string>): Promise<void> {
    const { clock } = this.#options
    this.#closing.signal.throwIfAborted()
    const began = clock.now()
    const detail = await run()
    this.#tell(step, 'done', detail, clock.now() - began)
  }

  #note(step: string, detail: string): void {
    this.#tell(step, 'note', detail)
  }

  #tell(step: string, state: Step['state'], detail: string, ms = 0): void {
    this.#options.onStep({ step, state, detail, ms })
  }
}
