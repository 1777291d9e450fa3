// `kt forward`: one local port that leads to a Service, Deployment, StatefulSet or Pod, through a shadow of its own.
// Where it leads is asked when a connection comes; connections wait, within a bound, for a pod or a tunnel that is away.
import type { Socket } from 'node:net'
import type { ClusterClient, ForwardRequest, ForwardTarget, ShadowHandle } from '../../cluster/port.ts'
import type { ForwardConfig } from '../../control/holder.ts'
import type { DialFailure, Tunnel } from '../../tunnel/port.ts'
import { IpAddress } from '../../wire/address.ts'
import { Link } from '../link.ts'
import { delay, ShadowLine, shadowOptions } from '../shadow-line.ts'
import { type HolderDeps, type Holding, Steps } from './holding.ts'
import { type LocalPort, listenLocal } from './listen-local.ts'
import { Complaints } from './once.ts'
import { Splice } from './splice.ts'

// How long a connection waits for a tunnel, or for a pod that is ready. Programs give up themselves after about as long.
const PATIENCE_MS = 30_000
const LOOK_AGAIN_MS = 500
// A pod's address is only lent: one that was looked up this long ago may be another pod's by now.
const FRESH_MS = 5_000
const PROLONG_EVERY_MS = 5 * 60_000

export class Forward implements Holding {
  readonly #config: ForwardConfig
  readonly #deps: HolderDeps
  readonly #cluster: ClusterClient
  readonly #closing = new AbortController()
  readonly #line: ShadowLine
  readonly #complaints: Complaints
  readonly #steps: Steps
  readonly #counters = { bytesIn: 0, bytesOut: 0 }
  readonly #splices = new Set<Splice>()
  #shadow: ShadowHandle | undefined
  #link: Link | undefined
  #local: LocalPort | undefined
  #target: { found: ForwardTarget; at: number } | undefined
  #prolong: NodeJS.Timeout | undefined

  constructor(config: ForwardConfig, deps: HolderDeps) {
    this.#config = config
    this.#deps = deps
    this.#steps = new Steps(deps)
    this.#cluster = deps.cluster
    this.#line = new ShadowLine(this.#cluster, config, deps.log, this.#closing.signal)
    this.#complaints = new Complaints(deps.notice)
  }

  /** Resolves to a line for the user when the port leads there. After a rejection `close` must be called. */
  async start(): Promise<string> {
    // Nobody is served yet, and nobody waits: what comes early waits for the tunnel.
    this.#local = await listenLocal(this.#config.local, (socket) =>
      this.#serve(socket).catch((error: Error) => this.#fail(socket, 'serve', error.message)),
    )
    const began = performance.now()
    const connecting = this.#connectShadow()
    connecting.catch(() => {})
    const words = await this.#firstLook()
    this.#steps.done('target', words, performance.now() - began)
    const [shadow, tunnel] = await connecting
    this.#startLink(shadow, tunnel)
    const { port } = this.#local
    return `localhost:${port} leads to ${words}.`
  }

  async close(): Promise<string[]> {
    const notes: string[] = []
    this.#closing.abort()
    clearInterval(this.#prolong)
    this.#local?.close()
    for (const splice of this.#splices) splice.reset()
    await this.#link?.close().catch(() => {})
    const shadow = this.#link?.shadow ?? this.#shadow
    if (shadow)
      await this.#cluster
        .removeShadow(shadow)
        .catch((error: Error) =>
          notes.push(`the shadow ${shadow.job} could not be removed (it ends by itself): ${error.message}`),
        )
    await this.#cluster.close()
    return notes
  }

  hurry(): void {} // nothing is waited for

  status(): undefined {}

  /** A target without a ready pod is waited for, not refused: it may be starting. */
  async #firstLook(): Promise<string> {
    try {
      const found = await this.#resolve()
      return `${found.name} in ${found.namespace}, port ${found.port}${found.pod ? ` (now ${found.pod})` : ''}`
    } catch (error) {
      if ((error as { code?: string }).code !== 'not-ready') throw error
      this.#steps.note('target', (error as Error).message)
      return this.#config.target
    }
  }

  async #connectShadow(): Promise<[ShadowHandle, Tunnel]> {
    const began = performance.now()
    const connected = await this.#line.connect((dialable) => {
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
    const link = new Link({
      ...this.#line.linkEffects(),
      connectAnew: () => this.#connectShadow(),
      discardShadow: (s) => this.#cluster.removeShadow(s).catch((error: Error) => log(`${s.job}: ${error.message}`)),
      onLost: (why) => {
        log(`tunnel lost: ${why}`)
        this.#complaints.complain('tunnel', 'the tunnel is away; connections wait until it is back')
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

  /** One connection of a program here: finds the target, dials it, joins both. */
  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => {})
    const until = performance.now() + PATIENCE_MS
    // A dial that fails may be to a pod that has gone: then the target is looked up again, and dialled if it has moved.
    let failed: string | undefined
    for (let anew = false; ; anew = true) {
      const address = await this.#address(anew, until)
      const tunnel = address && (await this.#tunnel(until))
      if (socket.destroyed || this.#closing.signal.aborted) return void socket.destroy()
      if (typeof address === 'string') return this.#fail(socket, 'target', address)
      if (!tunnel || !address)
        return this.#fail(socket, 'wait', `a connection waited ${PATIENCE_MS / 1000} s for the tunnel`)
      const where = `${address.address}:${address.port}`
      if (where === failed) return this.#fail(socket, 'dial', this.#refusal(address))
      const failure = await this.#dial(socket, tunnel, address)
      if (failure === undefined) return
      this.#lastFailure = failure
      // A tunnel that went while dialling says nothing of the target.
      failed = failure === 'lost' ? undefined : where
    }
  }

  #lastFailure: DialFailure = 'refused'

  #refusal({ name, port, pod }: ForwardTarget): string {
    const words: Partial<Record<DialFailure, string>> = {
      refused: 'refuses the connection',
      timeout: 'does not answer',
    }
    const how = words[this.#lastFailure] ?? `cannot be reached (${this.#lastFailure})`
    return `${name}${pod ? ` (${pod})` : ''} port ${port} ${how}`
  }

  #fail(socket: Socket, what: string, line: string): void {
    this.#deps.log(line)
    this.#complaints.complain(what, line)
    socket.resetAndDestroy()
  }

  /** Where to dial now; a string says why there is no such place. */
  async #address(anew: boolean, until: number): Promise<ForwardTarget | string> {
    for (;;) {
      const known = this.#target
      const stays = known && (known.found.pod === undefined || performance.now() - known.at < FRESH_MS)
      if (known && stays && !anew) return known.found
      try {
        return await this.#resolve()
      } catch (error) {
        const { code, message } = error as { code?: string; message: string }
        // An API server out of reach: what was known is the best guess.
        if (known && code === 'unreachable' && !anew) return known.found
        const passing = code === 'not-ready' || code === 'target-unknown' || code === 'unreachable'
        if (!passing || performance.now() > until || this.#closing.signal.aborted) return message
        this.#deps.log.debug(`target: ${message}`)
      }
      await delay(LOOK_AGAIN_MS, this.#closing.signal)
    }
  }

  async #resolve(): Promise<ForwardTarget> {
    const { target, local, remote } = this.#config
    const request: ForwardRequest = { target, local, remote, preferPod: this.#target?.found.pod }
    const found = await this.#cluster.resolveForward(request)
    const before = this.#target?.found
    if (before?.pod && found.pod !== before.pod)
      this.#deps.notice(`${before.pod} is gone; ${found.pod} takes its place`)
    this.#target = { found, at: performance.now() }
    return found
  }

  /** Resolves to undefined when both are joined, else to why not; the socket is untouched then. */
  #dial(socket: Socket, tunnel: Tunnel, target: ForwardTarget): Promise<DialFailure | undefined> {
    return new Promise((resolve) => {
      const splice = new Splice(socket, this.#counters, {
        onOpen: () => {
          this.#complaints.well('dial')
          this.#complaints.well('target')
          this.#complaints.well('wait')
          resolve(undefined)
        },
        onFail: (reason) => {
          this.#splices.delete(splice)
          splice.detach()
          resolve(reason)
        },
        onClose: () => {
          this.#splices.delete(splice)
          resolve(undefined)
        },
      })
      this.#splices.add(splice)
      const origin = { address: IpAddress.parse('127.0.0.1'), port: socket.remotePort ?? 0 }
      const there = { address: IpAddress.parse(target.address), port: target.port }
      splice.attach(tunnel.openStream(there, origin, splice), false)
    })
  }
}
