// One connection to one cluster: who one is there, its ranges and names, a shadow, and a tunnel to it that is kept. It
// needs no root and no network device, and has no effect on this process or machine, so anything can be built on it.
import type { Clock } from '../base/clock.ts'
import { Deadline } from '../base/deadline.ts'
import { ToldError } from '../base/told-error.ts'
import type { ClusterClient, ClusterIdentity, Ranges, ShadowHandle, ShadowOptions } from '../cluster/calls.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { type NamesOfCluster, namesOfCluster } from './cluster-names.ts'
import type { Link } from './link.ts'
import type { Log, ShadowDialer } from './shadow-dialer.ts'
import { describeRanges } from './words.ts'

const PROLONG_EVERY_MS = 5 * 60_000
const FIRST_PROBE_MS = 5_000
/** For all of leaving, whatever does not answer. */
export const LEAVE_MS = 6_000
/** How long the process that speaks to the API server may take to end when nothing is under way any more. */
const WORKER_MS = 500

/** A step of connecting, for the person who waits. */
export interface Step {
  step: string
  state: 'running' | 'done' | 'note'
  detail: string
  ms: number
}

export interface ConnectionEvents {
  onStep(step: Step): void
  /** There is a tunnel: the first one, or another after a loss. */
  onConnected?(tunnel: Tunnel, shadow: ShadowHandle): void
  /** The tunnel was lost. Another one is being made. */
  onLost?(why: string): void
  /** The line below the tunnel was interrupted. The tunnel is kept. */
  onInterrupted?(why: string): void
  /** After `onInterrupted`: the line goes on. */
  onResumed?(tunnel: Tunnel): void
  /** A try to reconnect has failed. */
  onFailed?(error: Error): void
}

export interface ConnectionOptions extends ConnectionEvents {
  /** The connection closes it. */
  cluster: Pick<
    ClusterClient,
    'identify' | 'discoverRanges' | 'namespaces' | 'createShadow' | 'prolongShadow' | 'removeShadow' | 'close'
  >
  dialer(closing: AbortSignal): ShadowDialer
  shadow: ShadowOptions
  /** The cluster's domain, where the user names it. */
  clusterDomain?: string
  clock: Clock
  log: Log
}

/** What is known once there is a connection. */
export interface Connected {
  identity: ClusterIdentity
  ranges: Ranges
  names: NamesOfCluster
}

export class ClusterConnection implements AsyncDisposable {
  readonly #options: ConnectionOptions
  readonly #closing = new AbortController()
  readonly #dialer: ShadowDialer
  readonly #link: Link
  #identity: ClusterIdentity | undefined
  #ranges: Ranges = { ranges: [], notes: [] }
  /** The last one that was made, or is being made. */
  #shadow: ShadowHandle | undefined
  /** Settles when no shadow is being made. Never rejects. */
  #making: Promise<void> = Promise.resolve()
  #stopProlonging: () => void = () => {}
  #closed: Promise<ShadowLeft | undefined> | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { cluster, log } = options
    this.#dialer = options.dialer(this.#closing.signal)
    this.#link = this.#dialer.link({
      connectAnew: () => this.#makeShadow(),
      discardShadow: (gone) => cluster.removeShadow(gone).catch((error: Error) => log(`${gone.job}: ${error.message}`)),
      onConnected: (tunnel, shadow) => {
        log(`tunnel to ${shadow.pod}: ${tunnel.info.version}`)
        options.onConnected?.(tunnel, shadow)
      },
      onLost: (why) => {
        log(`tunnel lost: ${why}`)
        options.onLost?.(why)
      },
      onInterrupted: (why) => options.onInterrupted?.(why),
      onResumed: (tunnel) => options.onResumed?.(tunnel),
      onFailed: (error) => options.onFailed?.(error),
    })
  }

  /** Undefined until it is known. */
  get identity(): ClusterIdentity | undefined {
    return this.#identity
  }

  get ranges(): Ranges {
    return this.#ranges
  }

  get shadow(): ShadowHandle | undefined {
    return this.#link.shadow ?? this.#shadow
  }

  get reconnects(): number {
    return this.#link.reconnects
  }

  /** Aborted when the connection is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** The tunnel, undefined while there is none. */
  tunnel(): Tunnel | undefined {
    return this.#link.tunnel()
  }

  /** Calls back when there is a tunnel (again). Returns how to stop waiting. */
  whenConnected(callback: () => void): () => void {
    return this.#link.whenConnected(callback)
  }

  /** Something has happened that may have broken the connections below the tunnel. */
  suspect(cause: string): void {
    this.#dialer.suspect(cause)
  }

  /** Connects, and finds out the cluster's ranges and names. After a rejection `close` must be called. */
  async connect(): Promise<Connected> {
    const { cluster, clusterDomain } = this.#options
    const identity = await this.#step('cluster', async () => {
      const id = await cluster.identify()
      this.#identity = id
      return [id, `${id.cluster} as ${id.user}, namespace ${id.namespace} (${id.server})`]
    })
    // The ranges do not need the shadow, nor the shadow the ranges; the shadow takes longer, so its failure is told last.
    const opening = this.open()
    opening.catch(() => {})
    const listing = cluster.namespaces()
    listing.catch(() => {})
    const ranges = await this.#step('ranges', async () => {
      const found = await cluster.discoverRanges()
      return [found, describeRanges(found)]
    })
    this.#ranges = ranges
    for (const note of ranges.notes) this.#tell('ranges', 'note', note)

    const [shadow, tunnel] = await opening
    const ms = await tunnel.probe(FIRST_PROBE_MS)
    this.#tell('tunnel', 'done', `${shadow.kind} ${tunnel.info.version}, ${ms.toFixed(1)} ms round trip`)
    const { namespace } = identity
    const namespaces = await listing
    this.#closing.signal.throwIfAborted()
    return { identity, ranges, names: namesOfCluster(tunnel.info.resolvConf, clusterDomain, { namespace, namespaces }) }
  }

  /** Makes the shadow and opens a tunnel, which is kept from now on. After a rejection `close` must be called. */
  async open(): Promise<[ShadowHandle, Tunnel]> {
    const [shadow, tunnel] = await this.#makeShadow()
    if (this.#closing.signal.aborted) {
      await tunnel.close().catch(() => {})
      throw this.#closing.signal.reason
    }
    this.#link.start(shadow, tunnel)
    if (shadow.kind === 'sshd') this.#prolong()
    return [shadow, tunnel]
  }

  /**
   * Gives up what is under way, closes the tunnel, and removes the shadow. Never rejects, and ends in time, whatever of
   * cluster and line does not answer. Resolves to what is left in the cluster. Only the first call does something.
   */
  close(): Promise<ShadowLeft | undefined> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<ShadowLeft | undefined> {
    const { cluster, clock } = this.#options
    this.#closing.abort(new ToldError('gone', 'given up, since kt is ending', 'nothing to do'))
    this.#stopProlonging()
    const deadline = new Deadline(LEAVE_MS, clock)
    const removed = this.#removeShadow(deadline)
    // While the network is away the good-bye to the shadow does not arrive.
    await deadline.wait(this.#link.close(), 'late').catch(() => {})
    const left = await removed
    await cluster.close(deadline.left + WORKER_MS).catch(() => {})
    deadline.end()
    return left
  }

  async #removeShadow(deadline: Deadline): Promise<ShadowLeft | undefined> {
    const { cluster, clock } = this.#options
    const began = clock.now()
    const late = 'no answer in time'
    // A shadow in the making is removed by whoever makes it, once that is given up. It may also have just been finished.
    await deadline.wait(this.#making, late).catch(() => {})
    const shadow = this.shadow
    if (!shadow) return undefined
    try {
      await deadline.wait(cluster.removeShadow(shadow), late)
    } catch (error) {
      return { shadow, error: error as Error }
    }
    this.#tell('shadow', 'done', `${shadow.job} removed`, clock.now() - began)
    return undefined
  }

  async #makeShadow(): Promise<[ShadowHandle, Tunnel]> {
    const { cluster, clock, shadow: options } = this.#options
    const { signal } = this.#closing
    signal.throwIfAborted()
    const began = clock.now()
    const progress = (_: string, detail: string) => this.#tell('shadow', 'running', detail)
    const connected = await this.#dialer.connect((dialable) => {
      const noted = (shadow: ShadowHandle) => {
        this.#shadow = shadow
        dialable(shadow)
        return shadow
      }
      const made = cluster.createShadow(options, progress, { dialable: noted, signal }).then(noted)
      this.#making = made.then(
        () => {},
        () => {},
      )
      return made
    })
    this.#tell('shadow', 'done', `${connected[0].pod} on ${connected[0].node}`, clock.now() - began)
    return connected
  }

  /** An sshd shadow does not notice that nobody uses it: the end of its life is moved ahead as long as it is used. */
  #prolong(): void {
    const { cluster, clock, log } = this.#options
    this.#stopProlonging = clock.after(PROLONG_EVERY_MS, () => {
      this.#prolong()
      const shadow = this.#link.shadow
      if (shadow) void cluster.prolongShadow(shadow).catch((error: Error) => log(`prolong: ${error.message}`))
    })
  }

  async #step<T>(step: string, run: () => Promise<[T, string]>): Promise<T> {
    const { clock } = this.#options
    this.#closing.signal.throwIfAborted()
    const began = clock.now()
    const [result, detail] = await run()
    this.#closing.signal.throwIfAborted()
    this.#tell(step, 'done', detail, clock.now() - began)
    return result
  }

  #tell(step: string, state: Step['state'], detail: string, ms = 0): void {
    // What becomes of what was given up is of no interest.
    if (state === 'running' && this.#closing.signal.aborted) return
    this.#options.onStep({ step, state, detail, ms })
  }
}

/** A shadow that could not be removed, and why. It ends by itself later. */
export interface ShadowLeft {
  shadow: ShadowHandle
  error: Error
}
