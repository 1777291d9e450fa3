// `kt exchange`, `kt mesh` and `kt run`: requests of the cluster come to programs of this machine, from the first question to the
// API server until everything is as it was. The order of the steps is here; what each does in the cluster, and what a
// crash in between leaves, is in docs/understand/exchange.md.
import { randomUUID } from 'node:crypto'
import { delay, systemClock } from '../../base/clock.ts'
import type { BackEvent, BackHandle, BackPort } from '../../cluster/back-port.ts'
import type { ClusterClient, ClusterIdentity, ShadowHandle, ShadowHooks } from '../../cluster/port.ts'
import { parseTarget } from '../../cluster/target.ts'
import type { ShadowDialer } from '../../connection/shadow-dialer.ts'
import type { BackConfig, ExposedPort } from '../../control/holder.ts'
import type { Held, StatusFault } from '../../control/protocol.ts'

import { IpAddress } from '../../wire/address.ts'
import { Deadline } from '../deadline.ts'
import { createDialer } from '../dialer.ts'
import { cannotReconnect } from '../faults.ts'
import { watchOwnNetwork } from '../own-network.ts'
import { shadowOptions } from '../shadow-options.ts'
import { requireListening } from './check-local.ts'
import { checkWay } from './check-way.ts'
import { Crew } from './crew.ts'
import { type HolderDeps, type Holding, Steps } from './holding.ts'
import type { Wanted } from './leg.ts'
import { linger } from './linger.ts'
import { LocalTarget } from './local.ts'
import { meshWords } from './mesh.ts'
import { Complaints } from './once.ts'

import { PATIENCE_MS } from './presence.ts'
import { type PutBackContext, remove, restore } from './put-back.ts'
import { Reach } from './reach.ts'
import { awayWords, hasOriginal, keptConnectionsWords, silenceWords, switchWords } from './words.ts'

// docs/understand/exchange.md: who watches a lease for more than two of these and sees no change may call its holder dead.
const RENEW_MS = 5_000
// The second claims from what the local program may take, so that the agent is not ahead of us.
const CLAIM_PATIENCE_MS = PATIENCE_MS + 1_000
const LEAD_AGAIN_MS = 1_000
// An API server out of reach when everything is to be put back is asked again for so long.
// Until then the shadow passes requests on to the original, so nobody suffers when it is left to `kt recover`.
const RESTORE_PATIENCE_MS = 8_000
// What is said to the shadow in the end may not arrive.
const GOODBYE_MS = 2_000
const WORKER_MS = 500
/** When no request has come for so long, a person should know why that may be. */
const SILENCE_S = 10

export class Exchange implements Holding {
  readonly #config: BackConfig
  readonly #deps: HolderDeps
  readonly #cluster: ClusterClient
  readonly #steps: Steps
  readonly #closing = new AbortController()
  readonly #hurry = new AbortController()
  readonly #dialer: ShadowDialer
  readonly #complaints: Complaints
  readonly #counters = { bytesIn: 0, bytesOut: 0, total: 0, refused: 0 }
  readonly #targets = new Map<BackPort, LocalTarget>()
  #state: Held['state'] = 'starting'
  #since = new Date()
  #identity: ClusterIdentity | undefined
  #handle: BackHandle | undefined
  readonly #crew: Crew
  #beginning: Promise<unknown> = Promise.resolve()
  #switching: Promise<void> | undefined
  /** The Service does not lead here while the shadow is being replaced. */
  #aside: Promise<void> | undefined
  /** The shadow serves, and the Service cannot be led to it. */
  #notLed: StatusFault | undefined
  #renewing: NodeJS.Timeout | undefined
  /** Somebody else has it now, so there is nothing of ours to put back. */
  #lost = false

  constructor(config: BackConfig, deps: HolderDeps) {
    this.#config = config
    this.#deps = deps
    this.#steps = new Steps(deps)
    this.#cluster = deps.cluster
    this.#dialer = createDialer(this.#cluster, config, deps.log, this.#closing.signal)
    watchOwnNetwork(this.#dialer, this.#closing.signal)
    this.#complaints = new Complaints(deps.notice)
    this.#crew = new Crew({
      cluster: this.#cluster,
      dialer: this.#dialer,
      closing: this.#closing.signal,
      log: deps.log,
      handle: () => this.#handle!,
      wanted: () => this.#wanted(),
      onNone: () => this.#stepAside(),
      onServing: () => void this.#comeBack(),
      onAway: () => this.#away(),
      date: () => new Date().toISOString(),
    })
  }

  async start(): Promise<string> {
    parseTarget(this.#config.target) // before anything is asked of this machine or the cluster
    if (this.#config.check) await requireListening(this.#config.ports)
    const began = performance.now()
    const identified = this.#deps.identity.then((identity) => {
      this.#identity = identity
      this.#steps.done(
        'cluster',
        `${identity.cluster} as ${identity.user}, namespace ${identity.namespace}`,
        performance.now() - began,
      )
    })
    identified.catch(() => {})
    const [shadow, tunnel] = await this.#dialer.connect((dialable) => this.#begin(dialable))
    await this.#beginning
    await identified
    const handle = this.#handle!
    this.#steps.done('shadow', `${shadow.pod} on ${shadow.node}`, performance.now() - began)
    for (const warning of handle.warnings) this.#steps.note('service', warning)
    for (const port of handle.ports) if (port.exposed) this.#targets.set(port, this.#localTarget(port))
    this.#closing.signal.throwIfAborted()
    await this.#crew.start(shadow, tunnel)
    await this.#steps.run('service', async () => {
      this.#switching = this.#cluster.switchExchange(this.#crew.handle(), (_, detail) =>
        this.#steps.running('service', detail),
      )
      await this.#switching
      await this.#check(handle)
      return [undefined, switchWords(handle, this.#name)]
    })
    this.#closing.signal.throwIfAborted()
    this.#setState('active')
    this.#watch(handle)
    const kept = keptConnectionsWords(handle)
    if (kept) this.#steps.note('service', kept)
    void this.#tellOfSilence(handle)
    if (handle.mesh) return meshWords({ ...handle, mesh: handle.mesh }, this.#describePorts())
    return `requests to ${this.#name}.${handle.namespace} come here: ${this.#describePorts()}.`
  }

  async close(): Promise<string[]> {
    const notes: string[] = []
    this.#setState('ending')
    this.#closing.abort()
    const reach = this.#watchReach()
    // What is half begun is undone by `begin` itself; what has just been finished is put back below.
    const begun = Promise.allSettled([this.#beginning, this.#crew.settled()])
      // A switch that is under way must not come after its undoing.
      .then(() => Promise.allSettled([this.#switching]))
      .then(() => this.#aside)
    const settled = await reach.wait(begun).then(
      () => true,
      () => false,
    )
    const handle = this.#handle && this.#crew.handle()
    if (!settled && !handle)
      notes.push(
        `the API server does not answer, so what was half begun is still there; \`kt clean${this.#inNamespace()}\` removes it later`,
      )
    const { cluster, steps, log } = { cluster: this.#cluster, steps: this.#steps, log: this.#deps.log }
    const context: PutBackContext = { cluster, steps, log, reach, name: this.#name, hurry: this.#hurry.signal }
    // The Service may stay meshed for others, so it is not that which ends what comes here.
    if (handle?.mesh?.mode === 'auto') await reach.wait(this.#crew.unclaim()).catch(() => {})
    const left = handle && !this.#lost ? await restore(context, handle) : undefined
    if (left) notes.push(left)
    if (this.#switching && notes.length === 0) {
      const open = await linger(() => this.#open(), this.#hurry.signal)
      if (open > 0) this.#steps.note('ending', `${open} connections that were still open are reset`)
    }
    clearInterval(this.#renewing)
    for (const target of this.#targets.values()) target.close()
    if (notes.length === 0) this.#crew.release()
    const goodbye = new Deadline(GOODBYE_MS)
    await goodbye.wait(this.#crew.close(), 'late').catch(() => {})
    // What could not be put back still needs its shadow: `kt recover` finds it by its lease.
    const remaining = handle && notes.length === 0 ? await remove(context, handle) : undefined
    if (remaining) notes.push(remaining)
    reach.stop()
    await this.#cluster.close(goodbye.left + WORKER_MS)
    return notes
  }

  #inNamespace(): string {
    const namespace = this.#identity?.namespace ?? this.#config.namespace
    return namespace ? ` -n ${namespace}` : ''
  }

  #watchReach(): Reach {
    const after = (ms: number, call: () => void) => {
      const timer = setTimeout(call, ms)
      return () => clearTimeout(timer)
    }
    const ask = () => this.#cluster.identify()
    return new Reach({ ask, now: () => performance.now(), after }, RESTORE_PATIENCE_MS)
  }

  hurry(): void {
    this.#hurry.abort()
  }

  status(): Held {
    const { config, handle, identity } = { config: this.#config, handle: this.#handle, identity: this.#identity }
    const shadow = this.#crew.shadow ?? handle?.shadow
    return {
      kind: config.kind,
      target: this.#name,
      namespace: handle?.namespace ?? identity?.namespace ?? config.namespace ?? '',
      context: identity?.context ?? config.context ?? '',
      cluster: identity?.cluster ?? '',
      mode: config.kind === 'run' ? '' : (config.mesh?.mode ?? config.mode),
      version: this.#version,
      state: this.#state,
      since: this.#since.toISOString(),
      pid: process.pid,
      background: config.background,
      ports: config.ports.map(({ local, remote, protocol }) => ({ local, remote, protocol: protocol ?? 'TCP' })),
      shadow: shadow ? { job: shadow.job, pod: shadow.pod, node: shadow.node } : null,
      connections: {
        total: this.#counters.total,
        open: [...this.#open()].length,
        refused: this.#counters.refused,
      },
      bytes: { in: this.#counters.bytesIn, out: this.#counters.bytesOut },
      roundTripMs: this.#crew.tunnel?.stats.roundTripMs ?? null,
      reconnects: this.#crew.reconnects,
      notes: handle?.warnings ?? [],
      faults: this.#state === 'reconnecting' ? this.#faults : [],
    }
  }

  /** Why requests do not come here. */
  get #faults(): StatusFault[] {
    const { faults } = this.#crew
    return faults.length > 0 || !this.#notLed ? faults : [this.#notLed]
  }

  /** The Service's name, or the workload's where there is none; before either is known, what was asked for. */
  get #name(): string {
    const handle = this.#handle
    return handle?.service ?? handle?.workload?.name ?? this.#config.target.split('/').at(-1)!
  }

  get #version(): string | null {
    const mesh = this.#handle?.mesh ?? this.#config.mesh
    return mesh?.value === undefined ? null : `${mesh.header}: ${mesh.value}${mesh.prefix ? '*' : ''}`
  }

  *#open() {
    for (const target of this.#targets.values()) yield* target.splices
  }

  #begin(dialable: (shadow: ShadowHandle) => void): Promise<ShadowHandle> {
    const config = this.#config
    const options = shadowOptions(config)
    const progress = (_: string, detail: string) => this.#steps.running('shadow', detail)
    const hooks: ShadowHooks = { dialable, signal: this.#closing.signal }
    // Two exchanges of one person are two holders.
    const holder = `${config.owner}/${randomUUID().slice(0, 8)}`
    const { target, force, mesh } = config
    const begun = mesh
      ? this.#cluster.beginMesh(
          { target, ...mesh, value: mesh.value, ports: config.ports.map(portOf), holder, force },
          options,
          progress,
          hooks,
        )
      : config.kind === 'run'
        ? this.#cluster.beginRun(
            { name: config.target, ports: config.ports.map(servicePort), holder },
            options,
            progress,
            hooks,
          )
        : this.#cluster.beginExchange(
            {
              kind: 'exchange',
              target: config.target,
              mode: config.mode,
              ports: config.ports.map(portOf),
              holder,
              force: config.force,
            },
            options,
            progress,
            hooks,
          )
    const ready = begun.then((handle) => {
      this.#handle = handle
      // Now it is known what a name, or nothing, stands for.
      config.ports = config.ports.map((port, index) => ({ ...port, remote: handle.remotes[index] ?? port.remote }))
      this.#renewing = setInterval(() => void this.#renew(), RENEW_MS)
      return handle.shadow
    })
    this.#beginning = ready
    return ready
  }

  #localTarget(port: BackPort): LocalTarget {
    const { proxyProtocol, ports } = this.#config
    const same = ports.filter(({ remote }) => remote === port.port)
    const { local } = same.find(({ protocol }) => protocol === port.protocol) ?? same.find((one) => !one.protocol)!
    return new LocalTarget({
      local,
      remote: port.port,
      proxyProtocol,
      fallback: this.#config.fallback && hasOriginal(this.#handle!),
      addresses: () => this.#crew.tunnel?.info.addresses ?? [],
      counters: this.#counters,
      complaints: this.#complaints,
    })
  }

  /** What each session with a shadow claims. */
  #wanted(): Wanted[] {
    const mesh = this.#handle!.mesh
    const match = mesh?.mode === 'auto' ? mesh : undefined
    return [...this.#targets].map(([port, target]) => ({
      port,
      handler: {
        onStream: (incoming) => target.onStream(incoming),
        onDatagrams: (incoming) => target.onDatagrams(incoming),
        onLost: (message) => this.#deps.log(`port ${port.listen}: ${message}`),
      },
      options: { ...(match && { match }), patienceMs: CLAIM_PATIENCE_MS },
    }))
  }

  /** What is said next must be true: the Service's own address is asked. */
  async #check(handle: BackHandle): Promise<void> {
    const port = handle.ports.find(({ exposed, protocol }) => exposed && protocol === 'TCP')?.port
    if (!handle.address || !port) return
    const { signal } = this.#closing
    const service = { address: IpAddress.parse(handle.address), port }
    this.#steps.running('service', `asks ${this.#name} whether it leads here`)
    const found = await checkWay(this.#crew.tunnels, service, {
      now: () => performance.now(),
      delay: (ms) => delay(ms, signal, systemClock),
      aborted: () => signal.aborted,
    })
    this.#deps.log(`service: asked at ${handle.address}, port ${port}: ${found}`)
    if (found === 'not-yet')
      this.#steps.note('service', `its address ${handle.address} does not lead here on every node yet; it should soon`)
  }

  async #tellOfSilence(handle: BackHandle): Promise<void> {
    await delay(SILENCE_S * 1000, this.#closing.signal, systemClock)
    const words = silenceWords(handle, SILENCE_S)
    if (words && this.#counters.total === 0 && this.#state === 'active') this.#deps.notice(words)
  }

  #away(): void {
    if (this.#state !== 'active') return
    this.#setState('reconnecting')
    this.#deps.notice(awayWords(this.#handle!))
  }

  /** A shadow serves again. */
  async #comeBack(): Promise<void> {
    const { signal } = this.#closing
    while (this.#crew.serves && !signal.aborted) {
      try {
        await this.#leadHereAgain()
        if (this.#state !== 'reconnecting') return
        this.#setState('active')
        this.#notLed = undefined
        this.#deps.notice('the way to the cluster is back; requests come here again')
        return
      } catch (error) {
        this.#deps.log(`leading here again: ${(error as Error).message}`)
        this.#notLed ??= { ...cannotReconnect(error as Error), since: new Date().toISOString() }
      }
      await delay(LEAD_AGAIN_MS, signal, systemClock)
    }
  }

  /** The shadow is gone, and with it whoever passed requests on: the Service leads to its own pods until there is another. */
  #stepAside(): void {
    const handle = this.#handle!
    if (handle.kind !== 'exchange' || handle.mode !== 'selector' || this.#aside) return
    this.#aside = this.#cluster
      .restoreExchange(handle, () => {})
      .then(
        ({ restored }) => this.#deps.log(`stepped aside: ${restored.join(', ')}`),
        (error: Error) => this.#deps.log(`stepping aside: ${error.message}`),
      )
  }

  async #leadHereAgain(): Promise<void> {
    await this.#aside
    if (!this.#aside || this.#closing.signal.aborted) return
    this.#switching = this.#cluster.switchExchange(this.#crew.handle(), () => {})
    await this.#switching
    this.#aside = undefined
  }

  /** What others do to the Service. */
  #watch(handle: BackHandle): void {
    const said = (event: BackEvent) => {
      // What kt itself does while it steps aside is no news.
      if (this.#aside && event.type !== 'deleted') this.#deps.log(event.message)
      else this.#deps.notice(event.message)
    }
    this.#cluster.watchExchange(handle, said, this.#closing.signal).catch((error: Error) => {
      if (!this.#closing.signal.aborted) this.#deps.log(`watch: ${error.message}`)
    })
  }

  async #renew(): Promise<void> {
    try {
      await this.#cluster.renewLease(this.#handle!)
    } catch (error) {
      if ((error as { code?: string }).code !== 'taken-over') {
        this.#deps.log(`lease: ${(error as Error).message}`)
        return
      }
      if (this.#lost || this.#state === 'ending') return
      this.#lost = true
      this.#deps.fail(error as Error)
    }
  }

  #describePorts(): string {
    return this.#config.ports.map(({ local, remote }) => `${remote} -> localhost:${local}`).join(', ')
  }

  #setState(state: Held['state']): void {
    this.#state = state
    this.#since = new Date()
  }
}

function portOf({ remote, protocol, name, implied }: ExposedPort) {
  return { port: remote, protocol, name, implied }
}

function servicePort({ remote, protocol }: ExposedPort): { port: number; protocol: 'TCP' | 'UDP' } {
  return { port: remote, protocol: protocol ?? 'TCP' }
}
