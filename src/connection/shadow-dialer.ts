// How a client comes to a shadow: it waits until the shadow is made, dials it as soon as it may answer, and tells in the
// cluster's words why it will not come. `link` then keeps a tunnel to it. Whoever uses a shadow uses this: the cluster
// connection, and each leg of an exchange, mesh or run.
import { type Clock, delay } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import type { ClusterClient, ShadowHandle } from '../cluster/calls.ts'
import type { Tunnel, TunnelLine } from '../tunnel/tunnel.ts'
import { Link, type LinkEffects } from './link.ts'
import type { OpenTunnel } from './shadow-tunnel.ts'

// The pod is dialled before its status says Running, which lags by up to a second; until it listens, dials fail at once.
const DIAL_RETRY_MS = 75
// After so many failed dials the cluster is asked whether the pod is still there.
const LOOK_EVERY_DIALS = 15
// How long a container that runs may take until its SSH server answers.
const DIAL_AFTER_RUNNING_MS = 10_000
// Errors of a dial that a second try does not mend.
const FINAL_ERRORS = new Set(['host-key', 'auth', 'forbidden', 'credentials'])

export interface Log {
  (line: string): void
  debug(line: string): void
}

export interface ShadowDialerOptions {
  cluster: Pick<ClusterClient, 'shadowState'>
  open: OpenTunnel
  /** What shadows are made of, for the words about one that ended. */
  image: string
  clock: Clock
  log: Log
  /** Ends all dials. */
  closing: AbortSignal
}

/** Resolves when the shadow runs. It calls `dialable` as soon as the pod has a node (see ShadowHooks). */
export type MakeShadow = (dialable: (shadow: ShadowHandle) => void) => Promise<ShadowHandle>

/** What only the holder of a link knows; the rest is the same for all. */
export type LinkHooks = Pick<LinkEffects, 'connectAnew' | 'discardShadow' | 'onLost' | 'onConnected'> &
  Partial<Pick<LinkEffects, 'shadowState' | 'onFailed' | 'onInterrupted' | 'onResumed'>>

export class ShadowDialer {
  readonly #options: ShadowDialerOptions
  /** Those of the tunnels that there are. */
  readonly #lines = new Set<TunnelLine>()

  constructor(options: ShadowDialerOptions) {
    this.#options = options
  }

  get clock(): Clock {
    return this.#options.clock
  }

  /**
   * Makes a shadow and opens a tunnel to it. The pod is dialled as soon as it may answer, some 0.4 s before the cluster
   * says that it runs. Why a pod does not come is told in the cluster's words, which `make` rejects with.
   */
  async connect(make: MakeShadow): Promise<[ShadowHandle, Tunnel]> {
    const { clock, closing } = this.#options
    const giveUp = new AbortController()
    const signal = AbortSignal.any([giveUp.signal, closing])
    let running = Number.POSITIVE_INFINITY
    return await new Promise<[ShadowHandle, Tunnel]>((resolve, reject) => {
      let dialling = false
      const dialOnce = (shadow: ShadowHandle) => {
        if (dialling) return
        dialling = true
        const tooLate = () => clock.now() > running + DIAL_AFTER_RUNNING_MS
        this.#dialUntil(shadow, tooLate, signal).then((tunnel) => resolve([shadow, tunnel]), reject)
      }
      make(dialOnce)
        .then((shadow) => {
          running = clock.now()
          dialOnce(shadow)
        })
        .catch((error) => {
          giveUp.abort()
          reject(error)
        })
    })
  }

  /** A link that is not started yet. This is the one place where links are wired. */
  link(hooks: LinkHooks): Link {
    const { clock, log, closing } = this.#options
    return new Link({
      openTunnel: (shadow) => this.#open(shadow, closing),
      shadowState: (shadow) => this.shadowState(shadow),
      clock,
      log,
      ...hooks,
    })
  }

  async shadowState(shadow: ShadowHandle): Promise<'running' | 'starting' | 'gone'> {
    return (await this.#options.cluster.shadowState(shadow)).state
  }

  /** Something has happened that may have broken the connections below all tunnels there are. */
  suspect(cause: string): void {
    for (const line of this.#lines) line.suspect(cause)
  }

  /** One dial. A tunnel that opens after `signal` is aborted is closed here, because nobody else knows it. */
  async #open(shadow: ShadowHandle, signal: AbortSignal): Promise<Tunnel> {
    const tunnel = await this.#options.open(shadow, signal)
    if (!signal.aborted) return this.#keep(tunnel)
    await tunnel.close().catch(() => {})
    throw signal.reason
  }

  #keep(tunnel: Tunnel): Tunnel {
    const { line, closed } = tunnel
    if (!line) return tunnel
    this.#lines.add(line)
    void closed.then(() => this.#lines.delete(line))
    return tunnel
  }

  async #dialUntil(shadow: ShadowHandle, tooLate: () => boolean, signal: AbortSignal): Promise<Tunnel> {
    const { clock, log } = this.#options
    for (let tries = 1; ; tries++) {
      try {
        return await this.#open(shadow, signal)
      } catch (error) {
        const code = (error as { code?: string }).code ?? ''
        if (signal.aborted) throw signal.reason
        if (tooLate() || FINAL_ERRORS.has(code)) throw error
        log.debug(`tunnel: not yet: ${(error as Error).message}`)
        if (tries % LOOK_EVERY_DIALS === 0) await this.#requireAlive(shadow)
        await delay(DIAL_RETRY_MS, signal, clock)
      }
    }
  }

  /** A container that ended is told with its last words, not as a dial that failed. */
  async #requireAlive(shadow: ShadowHandle): Promise<void> {
    const { state, detail } = await this.#options.cluster.shadowState(shadow)
    if (state !== 'gone') return
    throw new ToldError(
      'crashed',
      `the shadow ${shadow.pod} ended: ${detail}`,
      `check that the image ${this.#options.image} holds what --shadow ${shadow.kind} needs`,
    )
  }
}
