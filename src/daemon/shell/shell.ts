// `kt shell`: a connection to a cluster, and a command whose only network is ours. The shadow starts while the launcher makes
// the namespace; the command is started when names and addresses work.
import type { Clock } from '../../base/clock.ts'
import { ClusterConnection, type Connected, type ConnectionOptions } from '../../connection/connection.ts'
import type { ShellConfig } from '../../control/holder.ts'
import type { ShellReport } from '../../control/protocol.ts'
import type { Pinger } from '../../shadow/ping.ts'
import type { TunDevice } from '../../tun/device.ts'
import { IpAddress } from '../../wire/address.ts'
import { type HolderDeps, type Holding, Steps } from '../inbound/holding.ts'
import { Complaints } from '../inbound/once.ts'
import type { ProgramNetwork } from '../inbound/program-network.ts'
import { capturedRoutes, pickAddresses, readOrEmpty } from '../network.ts'
import { NETWORK_CHANGED } from '../own-network.ts'
import { shadowOptions } from '../shadow-options.ts'
import { filesInside } from './inside.ts'
import { networkInside } from './inside-network.ts'
import { insidePlace, leftWords } from './inside-place.ts'
import { LaunchError, type Launcher, type Made } from './launcher.ts'
import { MTU, type ShellAddresses, ShellNetwork } from './network.ts'
import { PublishedPort } from './published-port.ts'
import { killAllIn } from './sweep.ts'
import { noNamespace } from './words.ts'

/** How long the launcher may take to end what it has started; it gives itself less. */
const LAUNCHER_MS = 2_000

export interface ShellDeps extends HolderDeps {
  clock: Clock
  dialer: ConnectionOptions['dialer']
  launcher: Launcher
  attach(tun: number): TunDevice
  pinger(): Promise<Pinger | undefined>
  random(): number
}

export class Shell implements Holding {
  /** Where its command listens. */
  readonly network: ProgramNetwork
  readonly #config: ShellConfig
  readonly #deps: ShellDeps
  readonly #connection: ClusterConnection
  readonly #steps: Steps
  readonly #complaints: Complaints
  readonly #ports: PublishedPort[]
  readonly #addresses: ShellAddresses
  #place: ReturnType<typeof insidePlace> | undefined
  #made: Made | undefined
  #network: ShellNetwork | undefined
  #state: ShellReport['state'] = 'connecting'
  #since = new Date()
  #closing = false

  constructor(config: ShellConfig, deps: ShellDeps) {
    this.#config = config
    this.#deps = deps
    const { log, clock, dialer, launcher, notice } = deps
    // Whoever typed the command waits for its end, and need not wait for that of a pod, too.
    const cluster = { ...deps.cluster, removeShadow: deps.cluster.deleteShadow }
    this.#steps = new Steps(deps, clock)
    this.#complaints = new Complaints(notice)
    this.#connection = new ClusterConnection({
      ...{ cluster, clock, log, dialer, shadow: shadowOptions(config), clusterDomain: config.clusterDomain },
      onStep: (step) => {
        if (!this.#closing) this.#steps.tell(step)
        else log(`${step.step}: ${step.detail} (${step.ms.toFixed(0)} ms)`)
      },
      onConnected: (tunnel) => {
        this.#network?.tunnelThere(tunnel)
        this.#back()
      },
      onLost: () => this.#away(),
      onInterrupted: () => this.#away(),
      onResumed: (tunnel) => {
        this.#network?.tunnelThere(tunnel)
        this.#back()
      },
    })
    this.#addresses = shellAddresses()
    this.network = networkInside(launcher, this.#addresses.device)
    this.#ports = config.ports.map((port) => new PublishedPort(port, this.network, new Complaints(notice)))
  }

  /** Before `start`: the files below `root`, where there are any, are at the paths of `mounts` inside. */
  setPlace(root: string | null, mounts: Parameters<typeof insidePlace>[1]): void {
    if (root) this.#place = insidePlace(root, mounts)
  }

  /** Resolves to a line for the user when the command was started. After a rejection `close` must be called. */
  async start(): Promise<string> {
    const making = this.make()
    making.catch(() => {})
    const connecting = this.#connection.connect()
    connecting.catch(() => {})
    for (const port of this.#ports) await port.listen()
    // Where there can be no namespace here, nobody needs to wait for the cluster.
    await making
    await this.#connected(connecting)
    this.go()
    const { cluster, namespace } = this.#connection.identity!
    const ports = this.#ports.map(({ local, inside }) => `; localhost:${local} leads to port ${inside} inside`)
    return `connected to ${cluster}, namespace ${namespace}${ports.join('')}`
  }

  /** The parts of `start` for who does something in between: first `make`, then `connect`, then `go`. */
  async make(): Promise<void> {
    const { launcher, log } = this.#deps
    const { device, dns } = this.#addresses
    try {
      const files = filesInside(readOrEmpty, dns.toString())
      const made = await launcher.make({ mtu: MTU, addresses: device, files, place: this.#place?.place })
      this.#made = made
      this.#tellLeft(made)
      log(`namespace net:[${made.network}]`)
    } catch (error) {
      if (error instanceof LaunchError) throw noNamespace(error.step, error.code, machineSettings())
      throw error
    }
  }

  async connect(): Promise<void> {
    await this.#connected(this.#connection.connect())
  }

  /** Starts the command. */
  go(): void {
    const { launcher } = this.#deps
    void launcher.gone.then(() => this.#launcherGone())
    launcher.go()
    this.#setState('connected')
  }

  async close(): Promise<string[]> {
    const { launcher, clock, log } = this.#deps
    this.#closing = true
    this.#setState('disconnecting')
    for (const port of this.#ports) port.close()
    launcher.close()
    const leaving = this.#connection.close()
    await new Promise<void>((resolve) => {
      const cancel = clock.after(LAUNCHER_MS, resolve)
      void launcher.gone.then(() => {
        cancel()
        resolve()
      })
    })
    this.#network?.close()
    const killed = this.#made ? killAllIn(this.#made.network) : 0
    if (killed > 0) log(`${killed} processes were left in the namespace, and were killed`)
    const left = await leaving
    if (!left) return []
    return [`the shadow ${left.shadow.job} could not be removed (it ends by itself): ${left.error.message}`]
  }

  hurry(): void {} // nothing is waited for

  status(): undefined {}

  report(): ShellReport {
    const { name, command } = this.#config
    const { identity, shadow, reconnects } = this.#connection
    const counters = this.#network?.counters
    return {
      name,
      command,
      state: this.#state,
      since: this.#since.toISOString(),
      pid: process.pid,
      networkNamespace: this.#made?.network ?? null,
      context: identity?.context ?? '',
      cluster: identity?.cluster ?? '',
      namespace: identity?.namespace ?? '',
      ports: this.#ports.map(({ local, inside }) => ({ local, inside })),
      shadow: shadow ? { job: shadow.job, pod: shadow.pod, node: shadow.node } : null,
      flows: { tcp: counters?.tcpFlows ?? 0, udp: counters?.udpFlows ?? 0 },
      bytes: { in: counters?.bytesOut ?? 0, out: counters?.bytesIn ?? 0 },
      roundTripMs: this.#connection.tunnel()?.stats.roundTripMs ?? null,
      reconnects,
    }
  }

  async #connected(connecting: Promise<Connected>): Promise<void> {
    this.#begin(await connecting, this.#made!)
    // The command need not wait for the answer: a name that it asks for takes the same way.
    this.#network!.verify().then(
      (detail) => this.#steps.done('names', detail, 0),
      (error: Error) => {
        if (!this.#closing) this.#deps.notice(error.message)
      },
    )
  }

  #tellLeft({ left }: Made): void {
    const { log, notice } = this.#deps
    for (const { path, code } of left) log(`place: ${path} is not at its own path: ${code}`)
    // What is not below the folder was told as missing.
    const there = left.filter(({ code }) => code !== 'ENOENT').map(({ path }) => path)
    const words = leftWords([...(this.#place?.left ?? []), ...there])
    if (words) notice(words)
  }

  #begin({ identity, ranges, names }: Connected, made: Made): void {
    const { config, clock, random, pinger, attach, fail } = { config: this.#config, ...this.#deps }
    const keep = new Map(identity.serverAddresses.map((address) => [address, 'the API server']))
    const { routes } = capturedRoutes(ranges.ranges, config.include, config.exclude, keep)
    for (const note of names.notes) this.#steps.note('names', note)
    this.#network = new ShellNetwork({
      ...{ addresses: this.#addresses, ranges: routes, names, clock, random, pinger },
      device: attach(made.tun),
      tunnels: {
        tunnel: () => this.#connection.tunnel(),
        whenConnected: (callback) => this.#connection.whenConnected(callback),
      },
      onDeviceFailed: (error) => {
        if (!this.#closing) fail(error)
      },
      onWays: () => this.#connection.suspect(NETWORK_CHANGED),
    })
    const tunnel = this.#connection.tunnel()
    if (tunnel) this.#network.tunnelThere(tunnel)
  }

  #launcherGone(): void {
    // The command that waits for it tells us to end; what the launcher may have left is not to wait for that.
    if (!this.#closing && this.#made) killAllIn(this.#made.network)
  }

  #away(): void {
    this.#network?.tunnelAway()
    if (this.#state === 'connected') this.#setState('reconnecting')
    this.#complaints.complain('tunnel', 'the tunnel is away; connections into the cluster wait until it is back')
  }

  #back(): void {
    if (this.#state === 'reconnecting') this.#setState('connected')
    if (this.#complaints.well('tunnel')) this.#deps.notice('the tunnel is back')
  }

  #setState(state: ShellReport['state']): void {
    this.#state = state
    this.#since = new Date()
  }
}

/** The block of `kt up` that is free, and from it an address for this machine. */
function shellAddresses(): ShellAddresses {
  // The cluster's ranges are not known yet. These are used by few, and the range of IPv6 asks for an address of that family.
  const { tun, dns } = pickAddresses(['2000::/3'])
  const block = dns.toString().replace(/\.\d+$/, '')
  return {
    device: tun,
    dns,
    machine: IpAddress.parse(`${block}.5`),
    blocks: [`${block}.0/29`, ...tun.filter((cidr) => cidr.includes(':'))],
  }
}

function machineSettings() {
  return {
    appArmor: readOrEmpty('/proc/sys/kernel/apparmor_restrict_unprivileged_userns'),
    clone: readOrEmpty('/proc/sys/kernel/unprivileged_userns_clone'),
    most: readOrEmpty('/proc/sys/user/max_user_namespaces'),
  }
}
