// The shadows of one exchange, mesh or run, as legs: usually two. One that is lost, or told to end, gets a successor while the other
// serves, so that no request needs to fail; only when none is left does the Service lead to its own pods for a while.
import { delay } from '../../base/clock.ts'
import type { ClusterClient, ShadowHandle } from '../../cluster/calls.ts'
import type { InboundHandle } from '../../cluster/inbound-calls.ts'
import type { ShadowDialer } from '../../connection/shadow-dialer.ts'
import type { StatusFault } from '../../control/protocol.ts'
import type { Tunnel } from '../../tunnel/tunnel.ts'
import { FaultBook } from '../fault-book.ts'
import { cannotReconnect, tunnelLost } from '../faults.ts'
import { kindOfHandle } from './kinds.ts'
import { Leg, type LegEffects, type Wanted } from './leg.ts'

/** A pod that runs is an endpoint up to a second later, when its kubelet has said so; nodes follow a second after that. */
const ENDPOINT_MS = 3_000
/** How long another leg may take to show that it lives. */
const PROBE_MS = 1_000

export interface CrewEffects {
  cluster: Pick<ClusterClient, 'addShadow' | 'replaceShadow' | 'retireShadow'>
  dialer: Pick<ShadowDialer, 'connect' | 'link' | 'shadowState' | 'clock'>
  closing: AbortSignal
  log(line: string): void
  /** Once it is known. */
  handle(): InboundHandle
  wanted(): Wanted[]
  /** No shadow is left, and the next one is about to be made. */
  onNone(): void
  /** A leg serves, which may be the first again. */
  onServing(): void
  /** No leg serves any more. */
  onAway(): void
  /** The time of day, ISO 8601. */
  date(): string
}

export class Crew {
  readonly #effects: CrewEffects
  readonly #legs = new Set<Leg>()
  /** Shadows that are being made undo themselves when they are given up, which is to be waited for. */
  readonly #making = new Set<Promise<unknown>>()
  /** The shadow that was made last for a leg; the leg itself knows of it only when it is connected. */
  readonly #made = new WeakMap<Leg, ShadowHandle>()
  readonly #faults: FaultBook

  constructor(effects: CrewEffects) {
    this.#effects = effects
    this.#faults = new FaultBook(effects.date, () => {}) // each has its line in the log already
  }

  /** With the first shadow. Rejects when its ports cannot be claimed. */
  async start(shadow: ShadowHandle, tunnel: Tunnel): Promise<void> {
    const leg = this.#leg()
    await leg.start(shadow, tunnel)
    if (kindOfHandle(this.#effects.handle()).hasSecond) this.#leg().startAnew(undefined)
  }

  get serves(): boolean {
    return [...this.#legs].some((leg) => leg.serves)
  }

  /** The shadow to tell people of. */
  get shadow(): ShadowHandle | undefined {
    return this.#first?.shadow
  }

  get tunnel(): Tunnel | undefined {
    return this.#first?.tunnel
  }

  /** Why no requests come here; of legs that say the same, it is said once. */
  get faults(): StatusFault[] {
    if (this.serves) return []
    return [...new Map(this.#faults.faults.map((fault) => [fault.message, fault])).values()]
  }

  get reconnects(): number {
    return [...this.#legs].reduce((sum, leg) => sum + leg.reconnects, 0)
  }

  /** What is sent to one of the shadows arrives. */
  get reaches(): boolean {
    return [...this.#legs].some((leg) => leg.reaches)
  }

  /** Through which requests come here. */
  get tunnels(): Tunnel[] {
    return [...this.#legs].flatMap((leg) => (leg.serves && leg.tunnel ? [leg.tunnel] : []))
  }

  /** The handle with the shadows that there are now. */
  handle(): InboundHandle {
    const handle = this.#effects.handle()
    const shadows = [...this.#legs].flatMap((leg) => (leg.leaving ? [] : (this.#made.get(leg) ?? leg.shadow ?? [])))
    const [shadow = handle.shadow, second] = shadows
    return { ...handle, shadow, second }
  }

  async unclaim(): Promise<void> {
    await Promise.all([...this.#legs].map((leg) => leg.unclaim()))
  }

  /** Nothing leads to the shadows any more, so they end at once when they are told to. */
  release(): void {
    for (const leg of this.#legs) leg.tunnel?.release()
  }

  /** Resolves when no shadow is being made; after `closing` has aborted. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#making])
  }

  async close(): Promise<void> {
    await Promise.all([...this.#legs].map((leg) => leg.close()))
  }

  get #first(): Leg | undefined {
    const legs = [...this.#legs]
    return legs.find((leg) => leg.serves && !leg.leaving) ?? legs.find((leg) => leg.serves) ?? legs[0]
  }

  #leg(succeeds?: Leg): Leg {
    const { dialer, closing, log, wanted, onServing } = this.#effects
    const effects: LegEffects = {
      dialer,
      closing,
      log,
      wanted,
      make: (gone, dialable) => {
        const made = this.#make(gone, dialable, succeeds).then((shadow) => {
          this.#made.set(leg, shadow)
          return shadow
        })
        return this.#track(made)
      },
      retire: (shadow) => this.#effects.cluster.retireShadow(shadow),
      othersServe: (leg, steady) => this.#othersServe(leg, steady),
      onServing: (leg) => {
        this.#faults.set(leg, [])
        onServing()
        if (succeeds) void this.#releaseLater(succeeds)
        succeeds = undefined
        log(`${leg.shadow?.pod} serves, ${this.#legs.size} in all`)
      },
      onLost: (leg, why) => {
        log(`tunnel to ${leg.shadow?.pod} lost: ${why}`)
        if (leg.leaving) this.#legs.delete(leg)
        else this.#faults.set(leg, [tunnelLost(why)])
        if (!this.serves) this.#effects.onAway()
      },
      onFailed: (leg, error) => this.#faults.set(leg, [cannotReconnect(error)]),
      onLeaving: (leg) => {
        log(`${leg.shadow?.pod} was told to end: another takes its place`)
        this.#leg(leg).startAnew(leg.shadow)
      },
    }
    const leg: Leg = new Leg(effects)
    this.#legs.add(leg)
    return leg
  }

  /** `succeeds` serves still while the shadow in its place is made. */
  async #make(
    gone: ShadowHandle | undefined,
    dialable: (shadow: ShadowHandle) => void,
    succeeds: Leg | undefined,
  ): Promise<ShadowHandle> {
    const { cluster, closing, log, onNone } = this.#effects
    const progress = (_: string, detail: string) => log(`shadow: ${detail}`)
    const hooks = { dialable, signal: closing }
    const handle = this.handle()
    if (!gone) return await cluster.addShadow(handle, progress, hooks)
    if (!this.serves) onNone()
    // Its Job would make a pod that nobody knows of.
    if (succeeds) await cluster.retireShadow(gone)
    return (await cluster.replaceShadow({ ...handle, shadow: gone, second: undefined }, progress, hooks)).shadow
  }

  async #releaseLater(leg: Leg): Promise<void> {
    await delay(ENDPOINT_MS, this.#effects.closing, this.#effects.dialer.clock)
    leg.tunnel?.release()
  }

  /** Both ways to the cluster are lost at about the same time, so what another leg last said is not enough. */
  async #othersServe(leg: Leg, steady = false): Promise<boolean> {
    const others = [...this.#legs].filter((other) => other !== leg && (steady ? other.steady : other.serves))
    const answers = others.map(async ({ tunnel }) => {
      if (!tunnel) throw new Error('no tunnel')
      await tunnel.probe(PROBE_MS)
    })
    return await Promise.any(answers).then(
      () => true,
      () => false,
    )
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    const settled = promise.then(
      () => {},
      () => {},
    )
    this.#making.add(settled)
    void settled.then(() => this.#making.delete(settled))
    return promise
  }
}
