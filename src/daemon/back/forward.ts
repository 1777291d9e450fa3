// `kt forward`: local ports that lead to a Service, Deployment, StatefulSet or Pod, through one shadow of their own.
import { systemClock } from '../../base/clock.ts'
import type { ClusterClient, ShadowHandle } from '../../cluster/port.ts'
import type { Link } from '../../connection/link.ts'
import type { ShadowDialer } from '../../connection/shadow-dialer.ts'
import type { ForwardConfig } from '../../control/holder.ts'
import type { Tunnel } from '../../tunnel/port.ts'
import { Deadline } from '../deadline.ts'
import { createDialer } from '../dialer.ts'
import { watchOwnNetwork } from '../own-network.ts'
import { shadowOptions } from '../shadow-options.ts'
import { ForwardedPort } from './forwarded-port.ts'
import { type HolderDeps, type Holding, Steps } from './holding.ts'
import { Complaints } from './once.ts'

const PROLONG_EVERY_MS = 5 * 60_000
// For all of leaving, whatever does not answer; then for the process that speaks to the API server.
const LEAVE_MS = 6_000
const WORKER_MS = 500

export class Forward implements Holding {
  readonly #config: ForwardConfig
  readonly #deps: HolderDeps
  readonly #cluster: ClusterClient
  readonly #closing = new AbortController()
  readonly #dialer: ShadowDialer
  readonly #complaints: Complaints
  readonly #steps: Steps
  readonly #ports: ForwardedPort[]
  #shadow: ShadowHandle | undefined
  #link: Link | undefined
  #prolong: NodeJS.Timeout | undefined

  constructor(config: ForwardConfig, deps: HolderDeps) {
    this.#config = config
    this.#deps = deps
    this.#steps = new Steps(deps, systemClock)
    this.#cluster = deps.cluster
    this.#dialer = createDialer(this.#cluster, config, deps.log, this.#closing.signal)
    watchOwnNetwork(this.#dialer, this.#closing.signal)
    this.#complaints = new Complaints(deps.notice)
    const { cluster, notice, log } = deps
    const closing = this.#closing.signal
    this.#ports = config.ports.map(
      (port) =>
        new ForwardedPort(port, {
          ...{ cluster, notice, log, closing, target: config.target },
          complaints: new Complaints(notice),
          counters: { bytesIn: 0, bytesOut: 0 },
          tunnel: (until) => this.#tunnel(until),
          clock: systemClock,
        }),
    )
  }

  /** Resolves to lines for the user when the ports lead there. After a rejection `close` must be called. */
  async start(): Promise<string> {
    const locals: number[] = []
    for (const port of this.#ports) locals.push(await port.listen())
    const began = performance.now()
    const connecting = this.#connectShadow()
    connecting.catch(() => {})
    const words = await Promise.all(this.#ports.map((port) => this.#firstLook(port)))
    for (const one of words) this.#steps.done('target', one, performance.now() - began)
    const [shadow, tunnel] = await connecting
    this.#startLink(shadow, tunnel)
    return locals.map((local, index) => `localhost:${local} leads to ${words[index]}.`).join('\n')
  }

  async close(): Promise<string[]> {
    const notes: string[] = []
    this.#closing.abort()
    clearInterval(this.#prolong)
    for (const port of this.#ports) port.close()
    const deadline = new Deadline(LEAVE_MS)
    await deadline.wait(this.#link?.close() ?? Promise.resolve(), 'late').catch(() => {})
    const shadow = this.#link?.shadow ?? this.#shadow
    if (shadow)
      await deadline
        .wait(this.#cluster.removeShadow(shadow), 'the API server does not answer')
        .catch((error: Error) =>
          notes.push(`the shadow ${shadow.job} could not be removed (it ends by itself): ${error.message}`),
        )
    await this.#cluster.close(deadline.left + WORKER_MS)
    return notes
  }

  hurry(): void {} // nothing is waited for

  status(): undefined {}

  /** A target without a ready pod is waited for, not refused: it may be starting. */
  async #firstLook(port: ForwardedPort): Promise<string> {
    try {
      return await port.look()
    } catch (error) {
      if ((error as { code?: string }).code !== 'not-ready') throw error
      this.#steps.note('target', (error as Error).message)
      return this.#config.target
    }
  }

  async #connectShadow(): Promise<[ShadowHandle, Tunnel]> {
    const began = performance.now()
    const connected = await this.#dialer.connect((dialable) => {
      const noted = (shadow: ShadowHandle) => {
        this.#shadow = shadow
        dialable(shadow)
        return shadow
      }
      const progress = (_: string, detail: string) => this.#steps.running('shadow', detail)
      const hooks = { dialable: noted, signal: this.#closing.signal }
      return this.#cluster.createShadow(shadowOptions(this.#config), progress, hooks).then(noted)
    })
    this.#steps.done('shadow', `${connected[0].pod} on ${connected[0].node}`, performance.now() - began)
    return connected
  }

  #startLink(shadow: ShadowHandle, tunnel: Tunnel): void {
    const { log, notice } = this.#deps
    const link = this.#dialer.link({
      connectAnew: () => this.#connectShadow(),
      discardShadow: (s) => this.#cluster.removeShadow(s).catch((error: Error) => log(`${s.job}: ${error.message}`)),
      onLost: (why) => {
        log(`tunnel lost: ${why}`)
        this.#complaints.complain('tunnel', 'the tunnel is away; connections wait until it is back')
      },
      onInterrupted: () => this.#complaints.complain('tunnel', 'the tunnel is away; connections wait until it is back'),
      onResumed: () => {
        if (this.#complaints.well('tunnel')) notice('the tunnel is back')
      },
      onConnected: () => {
        if (link.reconnects > 0) notice('the tunnel is back')
        this.#complaints.well('tunnel')
      },
    })
    this.#link = link
    link.start(shadow, tunnel)
    for (const waiting of this.#early.splice(0)) waiting()
    if (shadow.kind === 'sshd')
      this.#prolong = setInterval(() => {
        if (link.shadow)
          void this.#cluster.prolongShadow(link.shadow).catch((error: Error) => log(`prolong: ${error.message}`))
      }, PROLONG_EVERY_MS)
  }

  /** Waiting for the first tunnel. */
  readonly #early: (() => void)[] = []

  /** The tunnel, waited for; undefined when time is up. */
  async #tunnel(until: number): Promise<Tunnel | undefined> {
    const now = this.#link?.tunnel()
    if (now) return now
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, until - performance.now()))
      const ready = () => {
        clearTimeout(timer)
        resolve()
      }
      if (this.#link) this.#link.whenConnected(ready)
      else this.#early.push(ready)
    })
    return this.#link?.tunnel()
  }
}
