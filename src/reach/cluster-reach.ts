// A connection to a cluster and what is reached through it, joined: names and ranges are known once it is connected, and follow
// the tunnel as it comes and goes. The proxy and the library are built on this.
import { lookup as systemLookup } from 'node:dns'
import type { Clock } from '../base/clock.ts'
import { parseResolvConf } from '../base/resolv-conf.ts'
import { ToldError } from '../base/told-error.ts'
import { ClusterConnection, type Connected, type ConnectionOptions, type ShadowLeft } from '../connection/connection.ts'
import { applyIncludeExclude } from '../wire/cidr.ts'
import { type Lookup, lookupUpstream, refusingUpstream } from './lookup-upstream.ts'
import { Reach, type ReachOptions } from './reach.ts'
import { NameResolver } from './resolver.ts'

export interface ClusterReachOptions extends Omit<ConnectionOptions, 'onConnected'> {
  clock: Clock
  random(): number
  include: string[]
  exclude: string[]
  clusterOnly: boolean
  /** This machine: its name, the text of its resolv.conf(5), and how it looks up names. */
  hostname: string
  resolvConf: string
  lookup: Lookup
  isOwn: ReachOptions['isOwn']
  /** There is a tunnel (again). */
  onBack?(): void
}

export class ClusterReach implements AsyncDisposable {
  readonly connection: ClusterConnection
  readonly #options: ClusterReachOptions
  #connected: Connected | undefined
  #names: NameResolver | undefined
  #reach: Reach | undefined
  #isAway = false

  constructor(options: ClusterReachOptions) {
    this.#options = options
    this.connection = new ClusterConnection({
      ...options,
      onConnected: (tunnel) => {
        this.#names?.connected(tunnel)
        this.#back()
      },
      onLost: (why) => {
        this.#names?.disconnected()
        this.#away(why, options.onLost)
      },
      onInterrupted: (why) => this.#away(why, options.onInterrupted),
      onResumed: (tunnel) => {
        options.onResumed?.(tunnel)
        this.#back()
      },
    })
  }

  /** Undefined until it is connected. */
  get connected(): Connected | undefined {
    return this.#connected
  }

  get isAway(): boolean {
    return this.#isAway
  }

  /** The ranges that are reached through the tunnel. */
  get ranges(): string[] {
    return this.#names?.ranges ?? []
  }

  /** Throws until it is connected. */
  get reach(): Reach {
    if (!this.#reach) throw new ToldError('gone', 'there is no connection to the cluster yet', 'connect first')
    return this.#reach
  }

  /** Connects. After a rejection `close` must be called. */
  async connect(): Promise<Reach> {
    const { clock, random, include, exclude, clusterOnly, hostname, resolvConf, lookup, isOwn } = this.#options
    const connected = await this.connection.connect()
    const { ranges, names } = connected
    this.#connected = connected
    for (const detail of names.notes) this.#options.onStep({ step: 'names', state: 'note', detail, ms: 0 })
    this.#names = new NameResolver({
      cluster: names,
      ranges: applyIncludeExclude(
        ranges.ranges.map(({ cidr }) => cidr),
        include,
        exclude,
      ),
      local: clusterOnly ? refusingUpstream() : lookupUpstream(lookup, clock),
      ...{ hostname, clock, random, search: parseResolvConf(resolvConf).search },
    })
    const tunnel = this.connection.tunnel()
    if (tunnel) this.#names.connected(tunnel)
    this.#reach = new Reach({ tunnels: this.connection, names: this.#names, clusterOnly, clock, isOwn })
    return this.#reach
  }

  async close(): Promise<ShadowLeft | undefined> {
    const left = this.connection.close()
    this.#names?.close()
    return await left
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #away(why: string, tell: ((why: string) => void) | undefined): void {
    if (this.#isAway) return
    this.#isAway = true
    tell?.(why)
  }

  #back(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#options.onBack?.()
  }
}

/** As programs of this machine look up names: getaddrinfo(3). */
export const machineLookup: Lookup = (name, family) =>
  new Promise((resolve, reject) => {
    systemLookup(name, { family, all: true, order: 'verbatim' }, (error, found) => {
      if (error) reject(error)
      else resolve(found.map(({ address }) => address))
    })
  })
