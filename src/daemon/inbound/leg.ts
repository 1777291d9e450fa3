// One shadow of an exchange, mesh or run, and the way to it: the tunnel, the ports that are claimed through it, and what happens
// when either is lost. There are two, so that one may end without a request being lost.
import { delay } from '../../base/clock.ts'
import type { ShadowHandle } from '../../cluster/calls.ts'
import type { InboundPort } from '../../cluster/inbound-calls.ts'
import type { Link } from '../../connection/link.ts'
import type { ShadowDialer } from '../../connection/shadow-dialer.ts'
import type { ListenHandler, ListenOptions, Tunnel, TunnelListener } from '../../tunnel/tunnel.ts'

const CLAIM_AGAIN_MS = 1_000
/** A shadow beside one that serves is less and less of a hurry: what forbids it (a quota) lasts. */
const MAKE_AGAIN_MS = 1_000
const MAKE_AGAIN_AT_MOST_MS = 60_000

/** The lines of all legs come back within this time when the way to the cluster does. */
const ALL_BACK_MS = 5_000

/** A port to claim. */
export interface Wanted {
  port: InboundPort
  handler: ListenHandler
  options: ListenOptions
}

export interface LegEffects {
  dialer: Pick<ShadowDialer, 'connect' | 'link' | 'shadowState' | 'clock'>
  closing: AbortSignal
  log(line: string): void
  wanted(): Wanted[]
  /** A shadow in place of `gone`; the second one where there is none. */
  make(gone: ShadowHandle | undefined, dialable: (shadow: ShadowHandle) => void): Promise<ShadowHandle>
  /** Takes a shadow out of the Services; rejects where the cluster is out of reach. */
  retire(shadow: ShadowHandle): Promise<void>
  /** Another leg serves, and its tunnel answers now. `steady`: only one counts whose line has not come back just now. */
  othersServe(leg: Leg, steady?: boolean): Promise<boolean>
  /** Its ports are claimed. */
  onServing(leg: Leg): void
  onLost(leg: Leg, why: string): void
  /** It does not come back: a try to connect, or to claim its ports, has failed. */
  onFailed(leg: Leg, error: Error): void
  /** Its shadow was told to end: it needs a successor. */
  onLeaving(leg: Leg): void
}

export class Leg {
  readonly #effects: LegEffects
  readonly #link: Link
  #claims: { tunnel: Tunnel; listeners: Map<InboundPort, TunnelListener> } | undefined
  /** The last one there was. */
  #shadow: ShadowHandle | undefined
  #makeAgainMs = MAKE_AGAIN_MS
  #serves = false
  /** When its line came back last. */
  #backAt = Number.NEGATIVE_INFINITY
  #leaving = false

  constructor(effects: LegEffects) {
    this.#effects = effects
    const { dialer, log } = effects
    this.#link = dialer.link({
      connectAnew: () => this.#connectAnew(),
      shadowState: async (shadow) => {
        const state = await dialer.shadowState(shadow)
        // The shadow does not answer, and the API server does, which learns of a crash late. Half of the requests would fail until this
        // shadow serves again, so it leaves the Service at once, and another takes its place. But where the connection to the cluster was
        // lost, one line comes back before the other, and the connections of the other still live.
        if (!(await effects.othersServe(this, true))) return state
        // Its line may have found another way meanwhile.
        if (this.#serves) return state
        log(`${shadow.pod} does not answer (${state}): it is replaced`)
        await effects.retire(shadow)
        return 'gone'
      },
      // Its Job makes the next pod, or `make` does.
      discardShadow: async () => {},
      onLost: (why) => {
        this.#serves = false
        effects.onLost(this, why)
      },
      onFailed: (error) => effects.onFailed(this, error),
      onInterrupted: (why) => {
        if (!this.#serves) return
        this.#serves = false
        effects.onLost(this, why)
      },
      onResumed: (tunnel) => {
        if (this.#serves) return
        this.#backAt = dialer.clock.now()
        void this.#claimUntilDone(tunnel)
      },
      onConnected: (tunnel, shadow) => {
        log(`tunnel to ${shadow.pod}: ${tunnel.info.version}`)
        this.#shadow = shadow
        void tunnel.leaving.then(() => this.#isLeaving(tunnel))
        if (this.#claims?.tunnel !== tunnel) void this.#claimUntilDone(tunnel)
      },
    })
  }

  get shadow(): ShadowHandle | undefined {
    return this.#shadow
  }

  get tunnel(): Tunnel | undefined {
    return this.#link.tunnel()
  }

  get reconnects(): number {
    return this.#link.reconnects
  }

  /** Requests that reach its shadow come here. */
  get serves(): boolean {
    return this.#serves
  }

  /** It serves, and its line has not come back just now. */
  get steady(): boolean {
    return this.#serves && this.#effects.dialer.clock.now() - this.#backAt >= ALL_BACK_MS
  }

  /** There is a tunnel, and what is sent through it arrives. */
  get reaches(): boolean {
    const tunnel = this.#link.tunnel()
    return tunnel !== undefined && tunnel.line?.report.state !== 'interrupted'
  }

  /** Its shadow ends; another leg takes its place. */
  get leaving(): boolean {
    return this.#leaving
  }

  /** With a shadow and a tunnel that are there. Rejects when a port cannot be claimed. */
  async start(shadow: ShadowHandle, tunnel: Tunnel): Promise<void> {
    await this.#claim(tunnel)
    this.#serves = true
    this.#link.start(shadow, tunnel)
  }

  /** With a shadow that must be made: in place of `gone`, if there was one. */
  startAnew(gone: ShadowHandle | undefined): void {
    this.#shadow = gone
    this.#link.startAnew()
  }

  /** Its ports are not ours any more; what is open goes on. */
  async unclaim(): Promise<void> {
    await Promise.all([...(this.#claims?.listeners.values() ?? [])].map((one) => one.close()))
  }

  async close(): Promise<void> {
    await this.#link.close().catch(() => {})
  }

  async #connectAnew(): Promise<[ShadowHandle, Tunnel]> {
    const { dialer, make, othersServe, closing } = this.#effects
    try {
      const made = await dialer.connect((dialable) => make(this.#shadow, dialable))
      this.#makeAgainMs = MAKE_AGAIN_MS
      return made
    } catch (error) {
      if (await othersServe(this)) {
        this.#effects.log(`shadow: ${(error as Error).message}`)
        await delay(this.#makeAgainMs, closing, dialer.clock)
        this.#makeAgainMs = Math.min(2 * this.#makeAgainMs, MAKE_AGAIN_AT_MOST_MS)
      }
      throw error
    }
  }

  #isLeaving(tunnel: Tunnel): void {
    if (this.#leaving || this.#link.tunnel() !== tunnel) return
    this.#leaving = true
    this.#link.retire()
    this.#effects.onLeaving(this)
  }

  /** The agent needs a moment to see that the session before is dead, and says of each port by itself that it is taken. */
  async #claimUntilDone(tunnel: Tunnel): Promise<void> {
    const { closing, dialer, log } = this.#effects
    while (this.#link.tunnel() === tunnel && !closing.aborted) {
      try {
        await this.#claim(tunnel)
        if (this.#link.tunnel() !== tunnel) return
        this.#serves = true
        this.#effects.onServing(this)
        return
      } catch (error) {
        log(`claim: ${(error as Error).message}`)
        this.#effects.onFailed(this, error as Error)
      }
      await delay(CLAIM_AGAIN_MS, closing, dialer.clock)
    }
  }

  /** Claims what is not claimed yet. Rejects with the first refusal, after all have been asked for. */
  async #claim(tunnel: Tunnel): Promise<void> {
    if (this.#claims?.tunnel !== tunnel) this.#claims = { tunnel, listeners: new Map() }
    const { listeners } = this.#claims
    const missing = this.#effects.wanted().filter(({ port }) => !listeners.has(port))
    const answers = await Promise.allSettled(
      missing.map(async ({ port, handler, options }) => {
        listeners.set(port, await tunnel.listen(port.listen, port.protocol, handler, options))
      }),
    )
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
  }
}
