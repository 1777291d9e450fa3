// `kt forward`: local ports that lead to a Service, Deployment, StatefulSet or Pod, through one shadow of their own.
import type { Clock } from '../../base/clock.ts'
import { ClusterConnection, type ConnectionOptions } from '../../connection/connection.ts'
import type { ForwardConfig } from '../../control/holder.ts'
import type { Tunnel } from '../../tunnel/tunnel.ts'
import { shadowOptions } from '../shadow-options.ts'
import { ForwardedPort } from './forwarded-port.ts'
import { type HolderDeps, type Holding, Steps } from './holding.ts'
import { Complaints } from './once.ts'

export interface ForwardDeps extends HolderDeps {
  clock: Clock
  dialer: ConnectionOptions['dialer']
}

export class Forward implements Holding {
  readonly #config: ForwardConfig
  readonly #deps: ForwardDeps
  readonly #connection: ClusterConnection
  readonly #complaints: Complaints
  readonly #steps: Steps
  readonly #ports: ForwardedPort[]

  constructor(config: ForwardConfig, deps: ForwardDeps) {
    this.#config = config
    this.#deps = deps
    this.#steps = new Steps(deps, deps.clock)
    this.#complaints = new Complaints(deps.notice)
    const { cluster, notice, log, clock, dialer } = deps
    this.#connection = new ClusterConnection({
      ...{ cluster, clock, log, dialer, shadow: shadowOptions(config) },
      // Steps of the end are told by `close`, and only where something went wrong.
      onStep: (step) => {
        if (!this.#connection.closing.aborted) this.#steps.tell(step)
      },
      onLost: () => this.#away(),
      onInterrupted: () => this.#away(),
      onResumed: () => this.#back(),
      onConnected: () => this.#back(),
    })
    const { closing } = this.#connection
    this.#ports = config.ports.map(
      (port) =>
        new ForwardedPort(port, {
          ...{ cluster, notice, log, closing, clock, target: config.target },
          complaints: new Complaints(notice),
          counters: { bytesIn: 0, bytesOut: 0 },
          tunnel: (until) => this.#tunnel(until),
        }),
    )
  }

  /** Resolves to lines for the user when the ports lead there. After a rejection `close` must be called. */
  async start(): Promise<string> {
    const { clock } = this.#deps
    const locals: number[] = []
    for (const port of this.#ports) locals.push(await port.listen())
    const began = clock.now()
    const opening = this.#connection.open()
    opening.catch(() => {})
    const words = await Promise.all(this.#ports.map((port) => this.#firstLook(port)))
    for (const one of words) this.#steps.done('target', one, clock.now() - began)
    await opening
    return locals.map((local, index) => `localhost:${local} leads to ${words[index]}.`).join('\n')
  }

  async close(): Promise<string[]> {
    for (const port of this.#ports) port.close()
    const left = await this.#connection.close()
    if (!left) return []
    return [`the shadow ${left.shadow.job} could not be removed (it ends by itself): ${left.error.message}`]
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

  #away(): void {
    this.#complaints.complain('tunnel', 'the tunnel is away; connections wait until it is back')
  }

  #back(): void {
    if (this.#complaints.well('tunnel')) this.#deps.notice('the tunnel is back')
  }

  /** The tunnel, waited for; undefined when time is up. */
  async #tunnel(until: number): Promise<Tunnel | undefined> {
    const now = this.#connection.tunnel()
    if (now) return now
    const { clock } = this.#deps
    const { closing } = this.#connection
    await new Promise<void>((resolve) => {
      const ready = () => {
        cancel()
        stopWaiting()
        closing.removeEventListener('abort', ready)
        resolve()
      }
      const cancel = clock.after(Math.max(0, until - clock.now()), ready)
      const stopWaiting = this.#connection.whenConnected(ready)
      closing.addEventListener('abort', ready, { once: true })
      if (closing.aborted) ready()
    })
    return this.#connection.tunnel()
  }
}
