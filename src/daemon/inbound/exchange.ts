// `kt exchange`, `kt mesh` and `kt run`: requests of the cluster come to programs of this machine. states.ts decides what follows upon
// what; here it is done. The end is in ending.ts; what each step changes in the cluster is in docs/understand/exchange.md.
import { delay } from '../../base/clock.ts'
import type { ClusterIdentity, ShadowHandle } from '../../cluster/calls.ts'
import type { InboundEvent, InboundHandle } from '../../cluster/inbound-calls.ts'
import { parseTarget } from '../../cluster/target.ts'
import type { InboundConfig } from '../../control/holder.ts'
import type { Held, StatusFault } from '../../control/protocol.ts'
import { cannotReconnect } from '../faults.ts'
import { shadowOptions } from '../shadow-options.ts'
import { checkService } from './check-service.ts'
import { Ending } from './ending.ts'
import { heldStatus } from './held-status.ts'
import { type Holding, type InboundDeps, Steps } from './holding.ts'
import { type HolderKind, kindOfConfig } from './kinds.ts'
import { Complaints } from './once.ts'
import type { ExchangeParts } from './parts.ts'
import { type Effect, type EventName, initial, next, publicState, type State } from './states.ts'
import { Targets } from './targets.ts'
import { type KeepEffects, keepLease, tellOfOthers } from './while-held.ts'
import { awayWords, keptConnectionsWords, silenceWords, takenAway, wayWords } from './words.ts'

const LEAD_AGAIN_MS = 1_000
/** When no request has come for so long, a person should know why that may be. */
const SILENCE_S = 10

export class Exchange implements Holding {
  readonly #config: InboundConfig
  readonly #deps: InboundDeps
  readonly #parts: ExchangeParts
  readonly #kind: HolderKind
  readonly #steps: Steps
  readonly #keep: KeepEffects
  readonly #closing = new AbortController()
  readonly #dialer: ReturnType<ExchangeParts['dialer']>
  readonly #crew: ReturnType<ExchangeParts['crew']>
  readonly #targets: Targets
  readonly #ending: Ending
  readonly #started = Promise.withResolvers<string>()
  readonly #ended = Promise.withResolvers<string[]>()
  #state: State
  #since: number
  #identity: ClusterIdentity | undefined
  #handle: InboundHandle | undefined
  #beginning: Promise<unknown> = Promise.resolve()
  #switching: Promise<void> | undefined
  #aside: Promise<void> | undefined
  /** A shadow serves, and the Service cannot be led to it. */
  #notLed: StatusFault | undefined
  #takenAway: StatusFault | undefined
  #stopRenewing: () => void = () => {}
  /** Why it does not hold, or cannot go on. */
  #error: unknown

  constructor(config: InboundConfig, deps: InboundDeps, parts: ExchangeParts) {
    this.#config = config
    this.#deps = deps
    this.#parts = parts
    this.#kind = kindOfConfig(config)
    this.#state = initial(this.#kind.stepsAside)
    this.#since = parts.wall()
    this.#steps = new Steps(deps, parts.clock)
    this.#keep = { clock: parts.clock, cluster: deps.cluster, log: deps.log }
    this.#dialer = parts.dialer(this.#closing.signal)
    this.#crew = parts.crew({
      cluster: deps.cluster,
      dialer: this.#dialer,
      closing: this.#closing.signal,
      log: deps.log,
      handle: () => this.#handle!,
      wanted: () => this.#targets.wanted(),
      onNone: () => this.#dispatch('noShadow'),
      onServing: () => this.#dispatch('serving'),
      onAway: () => this.#dispatch('lost'),
      date: () => new Date(parts.wall()).toISOString(),
    })
    this.#targets = new Targets({
      network: parts.network,
      addresses: () => this.#crew.tunnel?.info.addresses ?? [],
      complaints: new Complaints(deps.notice),
      watch: deps.requests.watch,
      log: deps.log,
    })
    this.#ending = new Ending({
      cluster: deps.cluster,
      log: deps.log,
      steps: this.#steps,
      crew: this.#crew,
      targets: this.#targets,
      clock: parts.clock,
      kind: this.#kind,
      name: () => this.#name,
      namespace: () => this.#identity?.namespace ?? config.namespace,
      handle: () => this.#handle && this.#crew.handle(),
    })
    // Nobody may wait for it any more.
    this.#started.promise.catch(() => {})
  }

  start(): Promise<string> {
    this.#dispatch('start')
    return this.#started.promise
  }

  close(): Promise<string[]> {
    this.#dispatch('end')
    return this.#ended.promise
  }

  hurry(): void {
    this.#ending.hurry()
  }

  status(): Held {
    return heldStatus({
      config: this.#config,
      mode: this.#kind.mode,
      name: this.#name,
      state: publicState(this.#state.name),
      since: this.#since,
      handle: this.#handle,
      identity: this.#identity,
      crew: this.#crew,
      targets: this.#targets,
      notLed: this.#notLed,
      takenAway: this.#takenAway,
    })
  }

  #dispatch(event: EventName): void {
    const before = this.#state.name
    const [state, effects] = next(this.#state, event)
    this.#state = state
    if (publicState(state.name) !== publicState(before)) this.#since = this.#parts.wall()
    if (state.name !== before) this.#deps.log.debug(`${before} + ${event} -> ${state.name}`)
    for (const effect of effects) this.#perform[effect]()
  }

  readonly #perform: Record<Effect, () => void> = {
    begin: () => this.#then(this.#begin(), 'claimed', 'failed'),
    switch: () => this.#then(this.#switch(), 'switched', 'failed'),
    announce: () => this.#started.resolve(this.#announce()),
    reject: () => this.#started.reject(this.#error ?? new Error('it was told to end')),
    sayAway: () => this.#deps.notice(awayWords(this.#kind.hasOriginal)),
    sayBack: () => this.#deps.notice('the way to the cluster is back; requests come here again'),
    stepAside: () => this.#stepAside(),
    leadHere: () => this.#then(this.#leadHere(), 'ledHere', 'leadFailed'),
    leadHereLater: () => this.#then(this.#pause(LEAD_AGAIN_MS), 'again', 'again'),
    fail: () => this.#deps.fail(this.#error as Error),
    settle: () => {
      this.#closing.abort()
      this.#targets.waitNoMore()
      // A switch that is under way must not come after its undoing. What is half begun is undone by `begin` itself.
      const underWay = Promise.allSettled([this.#beginning, this.#crew.settled()])
        .then(() => Promise.allSettled([this.#switching]))
        .then(() => this.#aside)
      this.#finally(this.#ending.settle(underWay), () => 'settled')
    },
    restore: () => this.#finally(this.#ending.restore(), (done) => (done ? 'putBack' : 'notPutBack')),
    linger: () => this.#finally(this.#ending.linger(), () => 'quiet'),
    release: () => this.#ending.release(),
    disconnect: () => {
      this.#stopRenewing()
      this.#finally(this.#ending.disconnect(), () => 'disconnected')
    },
    remove: () => this.#finally(this.#ending.remove(), () => 'removed'),
    finish: () => void this.#ending.finish().then(this.#ended.resolve, this.#ended.reject),
  }

  #then(work: Promise<unknown>, done: EventName, failed: EventName): void {
    work.then(
      () => this.#dispatch(done),
      (error: Error) => {
        this.#deps.log(`${this.#state.name}: ${error.message}`)
        this.#error = error
        this.#dispatch(failed)
      },
    )
  }

  /** Of the end, which must not stop half-way without a word. */
  #finally<T>(work: Promise<T>, event: (result: T) => EventName): void {
    work.then((result) => this.#dispatch(event(result))).catch(this.#ended.reject)
  }

  /** Resolves when the first shadow's ports are claimed. */
  async #begin(): Promise<void> {
    const { target, check, ports } = this.#config
    parseTarget(target) // before anything is asked of this machine or the cluster
    if (check) await this.#parts.requireListening(ports)
    const { clock } = this.#parts
    const began = clock.now()
    const identified = this.#deps.identity.then((identity) => {
      this.#identity = identity
      const detail = `${identity.cluster} as ${identity.user}, namespace ${identity.namespace}`
      this.#steps.done('cluster', detail, clock.now() - began)
    })
    identified.catch(() => {})
    this.#closing.signal.throwIfAborted()
    const [shadow, tunnel] = await this.#dialer.connect((dialable) => {
      const begun = this.#beginInCluster(dialable)
      this.#beginning = begun
      return begun
    })
    await this.#beginning
    await identified
    const handle = this.#handle!
    this.#steps.done('shadow', `${shadow.pod} on ${shadow.node}`, clock.now() - began)
    for (const warning of handle.warnings) this.#steps.note('service', warning)
    this.#targets.open(handle, this.#config, this.#config.fallback && this.#kind.hasOriginal)
    this.#closing.signal.throwIfAborted()
    await this.#crew.start(shadow, tunnel)
  }

  async #beginInCluster(dialable: (shadow: ShadowHandle) => void): Promise<ShadowHandle> {
    const config = this.#config
    const handle = await this.#kind.begin({
      cluster: this.#deps.cluster,
      config,
      // Two exchanges of one person are two holders.
      holder: `${config.owner}/${this.#parts.id()}`,
      options: shadowOptions(config),
      progress: (_, detail) => this.#steps.running('shadow', detail),
      hooks: { dialable, signal: this.#closing.signal },
    })
    this.#handle = handle
    // Now it is known what a name, or nothing, stands for.
    config.ports = config.ports.map((port, index) => ({ ...port, remote: handle.remotes[index] ?? port.remote }))
    this.#stopRenewing = keepLease(this.#keep, handle, (error) => {
      this.#error = error
      this.#dispatch('takenOver')
    })
    this.#dispatch('begun')
    return handle.shadow
  }

  async #switch(): Promise<void> {
    const handle = this.#handle!
    await this.#steps.run('service', async () => {
      this.#switching = this.#deps.cluster.switchExchange(this.#crew.handle(), (_, detail) =>
        this.#steps.running('service', detail),
      )
      await this.#switching
      const { clock, checkWay } = this.#parts
      const closing = this.#closing.signal
      const effects = { clock, closing, checkWay, crew: this.#crew, steps: this.#steps, log: this.#deps.log }
      await checkService(effects, handle, this.#name)
      return [undefined, this.#kind.ledWords(handle, this.#name)]
    })
  }

  #announce(): string {
    const handle = this.#handle!
    const own = () => this.#state.name === 'aside' || this.#state.name === 'returning'
    const words = (event: InboundEvent) => takenAway(event, handle, this.#name, this.#parts.wall())
    const took = (event: InboundEvent) => void (this.#takenAway = words(event))
    tellOfOthers(this.#keep, handle, this.#closing.signal, own, this.#deps.notice, took)
    if (this.#kind.hasOriginal) {
      this.#steps.note('service', keptConnectionsWords(handle))
      void this.#tellOfSilence(handle)
    }
    return this.#kind.readyWords(handle, this.#name, wayWords(this.#config.ports, this.#parts.network))
  }

  async #tellOfSilence(handle: InboundHandle): Promise<void> {
    await this.#pause(SILENCE_S * 1000)
    if (this.#targets.counters.total === 0 && this.#state.name === 'held')
      this.#deps.notice(silenceWords(handle, SILENCE_S))
  }

  /** Whoever passed requests on is gone with the shadows. */
  #stepAside(): void {
    this.#aside = this.#deps.cluster
      .restoreExchange(this.#handle!, () => {})
      .then(
        ({ restored }) => this.#deps.log(`stepped aside: ${restored.join(', ')}`),
        (error: Error) => this.#deps.log(`stepping aside: ${error.message}`),
      )
  }

  async #leadHere(): Promise<void> {
    await this.#aside
    this.#closing.signal.throwIfAborted()
    this.#switching = this.#deps.cluster.switchExchange(this.#crew.handle(), () => {})
    await this.#switching.catch((error: Error) => {
      this.#notLed ??= { ...cannotReconnect(error), since: new Date(this.#parts.wall()).toISOString() }
      throw error
    })
    this.#notLed = undefined
  }

  #pause(ms: number): Promise<void> {
    return delay(ms, this.#closing.signal, this.#parts.clock)
  }

  /** The Service's name, or the workload's where there is none; before either is known, what was asked for. */
  get #name(): string {
    return this.#handle?.service ?? this.#handle?.workload?.name ?? this.#config.target.split('/').at(-1)!
  }
}
