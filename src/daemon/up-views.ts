// What `kt up` answers to those who look at it: names, flows, packets, metrics, and what is seen of the cluster.
import type { Clock } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import type { ClusterClient } from '../cluster/calls.ts'
import type { ControlCaller } from '../control/control-server.ts'
import type { DnsAnswer, DnsStatus, ServiceReports, Team } from '../control/protocol.ts'
import { VERSION } from '../control/version.ts'
import type { CaptureEvent, DnsLogEntry, DnsTrace, Flows } from '../control/views.ts'
import type { TappedDevice } from '../tun/tap.ts'
import { capture } from './capture.ts'
import { addressesOf, dnsLog, dnsStatus, query, trace } from './dns-views.ts'
import { reportFlows } from './flows.ts'
import { metricsText } from './metrics.ts'
import type { NameService } from './names.ts'
import { Processes } from './processes.ts'
import type { UpConnection } from './up-connection.ts'
import { ClusterViews } from './views.ts'

export class UpViews {
  readonly #up: UpConnection
  readonly #device: TappedDevice
  readonly #processes = new Processes()
  readonly #cluster: ClusterViews
  readonly #clock: Clock

  constructor(up: UpConnection, cluster: Pick<ClusterClient, 'services' | 'team'>, device: TappedDevice, clock: Clock) {
    this.#clock = clock
    this.#up = up
    this.#device = device
    this.#cluster = new ClusterViews(cluster, () => clock.now())
  }

  services(): Promise<ServiceReports> {
    return this.#cluster.services(this.#up.network.routes)
  }

  team(): Promise<Team> {
    return this.#cluster.team(this.#up.connection.shadow?.pod)
  }

  dnsStatus(): DnsStatus {
    return dnsStatus(this.#requireNames(), this.#up.network.desired?.dns.servers ?? [])
  }

  async dnsQuery(name: string, type: string): Promise<DnsAnswer> {
    return await query(this.#requireNames().server, name, type)
  }

  async dnsTrace(name: string, type: string): Promise<DnsTrace> {
    return await trace(this.#requireNames().server, name, type)
  }

  /** Empty while connecting. */
  dnsLog(since: number): DnsLogEntry[] {
    const names = this.#up.network.names
    return names ? dnsLog(names.server, since, this.#clock) : []
  }

  /** Packets of programs, until the caller goes; rejects if nothing is called `filter`. */
  async capture(filter: string | undefined, tell: (event: CaptureEvent) => void, caller: ControlCaller) {
    const addresses = filter === undefined ? undefined : await addressesOf(this.#requireNames().server, filter)
    const sources = {
      device: this.#device,
      application: `kt ${VERSION}`,
      names: this.#up.network.names?.addresses,
      processes: this.#processes,
      addresses,
    }
    return capture(sources, tell, caller)
  }

  /** Prometheus' text format. */
  metrics(): string {
    const { user, system } = process.cpuUsage()
    const { path, names } = this.#up.network
    return metricsText({
      status: this.#up.status(),
      version: VERSION,
      stack: path?.stack.counters,
      dns: names?.server.counters,
      cpuSeconds: (user + system) / 1e6,
    })
  }

  /** Waits up to `waitMs` for names that have to be asked for. */
  async flows(waitMs: number): Promise<Flows> {
    const { network } = this.#up
    const flows = () => network.path?.stack.flows() ?? []
    const names = network.names?.addresses
    const report = await reportFlows({ flows, names, processes: this.#processes }, waitMs)
    return { ...report, closed: network.closedFlows.list(names) }
  }

  #requireNames(): NameService {
    const { names } = this.#up.network
    if (!names) throw new ToldError('not-ready', 'kt is still connecting', 'try again when `kt up` has returned')
    return names
  }
}
