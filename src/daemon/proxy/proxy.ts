// `kt proxy`: a connection to the cluster, and a port of this machine's loopback on which SOCKS and HTTP clients reach it.
import type { Socket } from 'node:net'
import { hostname } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import { connectionTables, resolvConfText, type SystemFacts, userNumber } from '../../base/system.ts'
import type { ConnectionOptions } from '../../connection/connection.ts'
import type { ProxyConfig } from '../../control/holder.ts'
import type { ProxyStatus } from '../../control/protocol.ts'
import { pacFile } from '../../proxy/pac.ts'
import { ClusterReach } from '../../reach/cluster-reach.ts'
import type { Lookup } from '../../reach/lookup-upstream.ts'
import type { IpAddress } from '../../wire/address.ts'
import { type HolderDeps, type Holding, Steps } from '../inbound/holding.ts'
import { type LocalPort, listenLocal } from '../inbound/listen-local.ts'
import { Complaints } from '../inbound/once.ts'
import { shadowOptions } from '../shadow-options.ts'
import { peerCheck, peerFacts } from './peers.ts'
import { ProxyServer } from './server.ts'

const TAKEN_HINT = '`kt proxy --port 0` takes any free one'
/** Clients that may wait until there is a connection to the cluster. */
const MOST_EARLY = 256

export interface ProxyDeps extends HolderDeps {
  clock: Clock
  /** Milliseconds since 1970, for people. */
  wall(): number
  random(): number
  dialer: ConnectionOptions['dialer']
  lookup: Lookup
  facts: SystemFacts
}

export class ProxyHolding implements Holding {
  readonly #config: ProxyConfig
  readonly #deps: ProxyDeps
  readonly #steps: Steps
  readonly #complaints: Complaints
  readonly #access: ClusterReach
  readonly #counters = { bytesIn: 0, bytesOut: 0, total: 0, open: 0, failed: 0 }
  #server: ProxyServer | undefined
  #local: LocalPort | undefined
  #state: ProxyStatus['state'] = 'starting'
  #since: number

  constructor(config: ProxyConfig, deps: ProxyDeps) {
    this.#config = config
    this.#deps = deps
    this.#since = deps.wall()
    this.#steps = new Steps(deps, deps.clock)
    this.#complaints = new Complaints(deps.notice)
    const { cluster, log, clock, dialer, random, lookup, facts } = deps
    const { include, exclude, clusterOnly, clusterDomain } = config
    const away = () => {
      this.#complaints.complain('tunnel', 'the tunnel is away; connections to the cluster wait until it is back')
      if (this.#state === 'active') this.#setState('reconnecting')
    }
    this.#access = new ClusterReach({
      ...{ cluster, clock, log, dialer, random, lookup, include, exclude, clusterOnly, clusterDomain },
      shadow: shadowOptions(config),
      hostname: hostname(),
      resolvConf: resolvConfText(facts),
      isOwn: (address, port) => port === this.port && isLoopback(address),
      // Steps of the end are told by `close`, and only where something went wrong.
      onStep: (step) => {
        if (!this.#access.connection.closing.aborted) this.#steps.tell(step)
      },
      onLost: away,
      onInterrupted: away,
      onBack: () => {
        if (this.#complaints.well('tunnel')) deps.notice('the tunnel is back')
        if (this.#state === 'reconnecting') this.#setState('active')
      },
    })
  }

  get port(): number {
    return this.#local?.port ?? 0
  }

  /** Resolves to a line for the user when clients are served. After a rejection `close` must be called. */
  async start(): Promise<string> {
    const { clock, log, facts } = this.#deps
    const uid = userNumber(facts)
    // A port that is taken is told before anything is made in the cluster. Who comes early waits.
    const early: Socket[] = []
    let serve = (socket: Socket) => {
      if (early.length < MOST_EARLY) early.push(socket.on('error', () => {}))
      else socket.destroy()
    }
    this.#local = await listenLocal(this.#config.port, (socket) => serve(socket), TAKEN_HINT)
    const reach = await this.#access.connect()
    const server = new ProxyServer({
      ...{ reach, clock, log, counters: this.#counters, port: () => this.port },
      isAllowed: peerCheck(
        uid,
        peerFacts(connectionTables(facts), uid, () => clock.now()),
        clock,
      ),
      pac: () => this.#pac(),
    })
    this.#server = server
    serve = (socket) => server.serve(socket)
    for (const socket of early) server.serve(socket)
    this.#setState(this.#access.isAway ? 'reconnecting' : 'active')
    const { cluster, namespace } = this.#access.connected!.identity
    return `127.0.0.1:${this.port} leads into ${cluster}, namespace ${namespace}.`
  }

  async close(): Promise<string[]> {
    this.#setState('ending')
    this.#local?.close()
    this.#server?.close()
    const left = await this.#access.close()
    if (!left) return []
    return [`the shadow ${left.shadow.job} could not be removed (it ends by itself): ${left.error.message}`]
  }

  hurry(): void {} // nothing is waited for

  status(): undefined {}

  proxyStatus(): ProxyStatus {
    const { connection, connected, isAway } = this.#access
    const { shadow } = connection
    const { total, open, failed, bytesIn, bytesOut } = this.#counters
    const config = this.#config
    return {
      address: `127.0.0.1:${this.port}`,
      port: this.port,
      pac: `http://127.0.0.1:${this.port}/proxy.pac`,
      clusterOnly: config.clusterOnly,
      namespace: connected?.identity.namespace ?? config.namespace ?? '',
      context: connected?.identity.context ?? config.context ?? '',
      cluster: connected?.identity.cluster ?? '',
      state: this.#state === 'active' && isAway ? 'reconnecting' : this.#state,
      since: new Date(this.#since).toISOString(),
      pid: process.pid,
      ranges: this.#access.ranges,
      shadow: shadow ? { job: shadow.job, pod: shadow.pod, node: shadow.node } : null,
      connections: { total, open, failed },
      bytes: { in: bytesIn, out: bytesOut },
      roundTripMs: connection.tunnel()?.stats.roundTripMs ?? null,
      reconnects: connection.reconnects,
    }
  }

  #pac(): string {
    const { clusterDomain, namespace, namespaces } = this.#access.connected!.names
    return pacFile({
      address: `127.0.0.1:${this.port}`,
      clusterDomain,
      namespaces: [...new Set([namespace, ...namespaces])],
      ranges: this.#access.ranges,
    })
  }

  #setState(state: ProxyStatus['state']): void {
    this.#state = state
    this.#since = this.#deps.wall()
  }
}

/** Where something that listens on loopback may be dialled, as Linux has it: 0.0.0.0 and :: mean this machine, too. */
function isLoopback({ family, bytes }: IpAddress): boolean {
  if (family === 4) return bytes[0] === 127 || bytes.every((byte) => byte === 0)
  return bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] <= 1
}
