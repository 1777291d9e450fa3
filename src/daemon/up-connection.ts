// `kt up`: the connection to a cluster and the network on this machine, joined. It says how it stands, and what of both is
// taken back in the end.
import type { Clock } from '../base/clock.ts'
import type { ClusterClient } from '../cluster/calls.ts'
import { ClusterConnection, type Step } from '../connection/connection.ts'
import type { UpConfig } from '../control/config.ts'
import type { Progress, Status } from '../control/protocol.ts'
import type { TappedDevice } from '../tun/tap.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { createDialer } from './dialer.ts'
import type { HostClient } from './host-client.ts'
import { LocalNetwork } from './local-network.ts'
import type { Log } from './log.ts'
import { Moderation, processPauses } from './moderation.ts'
import { NETWORK_CHANGED } from './own-network.ts'
import { shadowOptions } from './shadow-options.ts'
import { statusOf } from './status.ts'

export interface UpDeps {
  clock: Clock
  /** Milliseconds since 1970. */
  wall(): number
  /** Closed with the connection. */
  cluster: ClusterClient
  device: TappedDevice
  host: HostClient
  log: Log
  random(): number
  /** Steps for the person who waits. */
  progress(p: Progress): void
  onDeviceFailed(error: Error): void
}

export class UpConnection {
  readonly connection: ClusterConnection
  readonly network: LocalNetwork
  readonly #config: UpConfig
  readonly #deps: UpDeps
  readonly #notes: string[] = []
  #progress: (p: Progress) => void
  #state: Status['state'] = 'connecting'
  #since: Date
  /** Nothing gets through the tunnel now. */
  #isAway = false

  constructor(config: UpConfig, deps: UpDeps) {
    const { cluster, log, device, host, random, clock, wall, onDeviceFailed } = deps
    this.#since = new Date(wall())
    this.#config = config
    this.#deps = deps
    this.#progress = deps.progress
    const onStep = (step: Step) => this.#tell(step)
    const moderation = new Moderation({ clock, ...processPauses })
    this.connection = new ClusterConnection({
      ...{ cluster, log, onStep, clock },
      dialer: (closing) => createDialer(cluster, config, log, closing, moderation),
      shadow: shadowOptions(config),
      clusterDomain: config.clusterDomain,
      onConnected: (tunnel) => this.#there(tunnel),
      onLost: (why) => this.#away(why),
      onInterrupted: (why) => {
        if (!this.#isAway) this.#away(why)
      },
      onResumed: (tunnel) => {
        if (this.#isAway) this.#there(tunnel)
      },
      onFailed: (error) => this.network.selfCheck.reconnectFailed(error),
    })
    this.network = new LocalNetwork({
      ...{ config, device, host, log, random, onDeviceFailed, onStep, clock, wall },
      tunnels: this.connection,
      onSent: () => moderation.hurry(),
      onWays: () => this.connection.suspect(NETWORK_CHANGED),
    })
  }

  get state(): Status['state'] {
    return this.#state
  }

  /** Connects; resolves to a line for the user when names and addresses work. After a rejection `close` must be called. */
  async connect(): Promise<string> {
    const connected = await this.connection.connect()
    await this.network.begin(connected)
    if (this.#config.shadow === 'sshd')
      this.#tell({
        ...{ step: 'shadow', state: 'note', ms: 0 },
        detail: 'an sshd shadow relays TCP and names; UDP and ping need --shadow agent',
      })
    this.connection.closing.throwIfAborted()
    this.#setState(this.#isAway ? 'reconnecting' : 'connected')
    const { cluster, namespace } = connected.identity
    return `connected to ${cluster}, namespace ${namespace}`
  }

  /** Leaves: tunnel, shadow, machine. Never rejects, and ends in time. Resolves to what could not be put back. */
  async close(progress: (p: Progress) => void): Promise<string[]> {
    const notes: string[] = []
    this.#setState('disconnecting')
    this.#progress = progress
    const machine = this.network.close().catch((error: Error) => void notes.push(`the machine: ${error.message}`))
    const left = await this.connection.close()
    if (left) {
      const { job, namespace } = left.shadow
      const why = left.error.message
      notes.push(`the shadow ${job} in namespace ${namespace} could not be removed (it ends by itself): ${why}`)
    }
    await machine
    return notes
  }

  status(): Status {
    const { connection, network } = this
    const notes = [...this.#notes, ...network.resolverNotes]
    const sources = { config: this.#config, state: this.#state, since: this.#since, notes }
    return statusOf({ ...sources, connection, network })
  }

  #there(tunnel: Tunnel): void {
    this.#isAway = false
    this.network.tunnelThere(tunnel)
    if (this.#state === 'reconnecting') this.#setState('connected')
  }

  #away(why: string): void {
    this.#isAway = true
    if (this.#state === 'connected' || this.#state === 'reconnecting') this.#setState('reconnecting')
    this.network.tunnelAway(why)
  }

  #tell(step: Step): void {
    const { log } = this.#deps
    const { step: name, state, detail, ms } = step
    if (state === 'note') this.#notes.push(detail)
    this.#progress(step)
    if (state === 'running') log.debug(`${name}: ${detail}`)
    else log(state === 'note' ? `${name}: note: ${detail}` : `${name}: ${detail} (${ms.toFixed(0)} ms)`)
  }

  #setState(state: Status['state']): void {
    this.#state = state
    this.#since = new Date(this.#deps.wall())
  }
}
