// One port of this machine that `kt forward` serves. Where it leads is asked when a connection comes; connections wait,
// within a bound, for a pod or a tunnel that is away.

import type { Socket } from 'node:net'
import { type Clock, delay } from '../../base/clock.ts'
import { resetSocket } from '../../base/reset.ts'
import type { ClusterClient, ForwardRequest, ForwardTarget } from '../../cluster/calls.ts'
import type { ForwardPort } from '../../control/holder.ts'
import type { DialFailure, Tunnel } from '../../tunnel/tunnel.ts'
import { IpAddress } from '../../wire/address.ts'
import type { Log } from '../log.ts'
import { type LocalPort, listenLocal } from './listen-local.ts'
import type { Complaints } from './once.ts'
import { Splice, type SpliceCounters } from './splice.ts'

// How long a connection waits for a tunnel, or for a pod that is ready. Programs give up themselves after about as long.
const PATIENCE_MS = 30_000
const LOOK_AGAIN_MS = 500
// A pod's address is only lent: one that was looked up this long ago may be another pod's by now.
const FRESH_MS = 5_000

export interface ForwardedPortDeps {
  cluster: Pick<ClusterClient, 'resolveForward'>
  target: string
  counters: SpliceCounters
  complaints: Complaints
  notice(line: string): void
  log: Log
  /** The tunnel, waited for until then; undefined when time is up. */
  tunnel(until: number): Promise<Tunnel | undefined>
  closing: AbortSignal
  clock: Clock
}

export class ForwardedPort {
  readonly #port: ForwardPort
  readonly #deps: ForwardedPortDeps
  readonly #splices = new Set<Splice>()
  #local: LocalPort | undefined
  #target: { found: ForwardTarget; at: number } | undefined

  constructor(port: ForwardPort, deps: ForwardedPortDeps) {
    this.#port = port
    this.#deps = deps
  }

  /** Resolves to the port that was asked for, or picked. What comes before there is a tunnel waits for it. */
  async listen(): Promise<number> {
    this.#local = await listenLocal(this.#port.local, (socket) =>
      this.#serve(socket).catch((error: Error) => this.#fail(socket, 'serve', error.message)),
    )
    return this.#local.port
  }

  /** Resolves to words for where it leads. Throws ClusterError, `not-ready` where there is no ready pod now. */
  async look(): Promise<string> {
    const found = await this.#resolve()
    return `${found.name} in ${found.namespace}, port ${found.port}${found.pod ? ` (now ${found.pod})` : ''}`
  }

  close(): void {
    this.#local?.close()
    for (const splice of this.#splices) splice.reset()
  }

  /** One connection of a program here: finds the target, dials it, joins both. */
  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => {})
    const until = this.#deps.clock.now() + PATIENCE_MS
    // A dial that fails may be to a pod that has gone: then the target is looked up again, and dialled if it has moved.
    let failed: string | undefined
    for (let anew = false; ; anew = true) {
      const address = await this.#address(anew, until)
      const tunnel = address && (await this.#deps.tunnel(until))
      if (socket.destroyed || this.#deps.closing.aborted) return void socket.destroy()
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
    this.#deps.complaints.complain(what, line)
    resetSocket(socket)
  }

  /** Where to dial now; a string says why there is no such place. */
  async #address(anew: boolean, until: number): Promise<ForwardTarget | string> {
    for (;;) {
      const known = this.#target
      const stays = known && (known.found.pod === undefined || this.#deps.clock.now() - known.at < FRESH_MS)
      if (known && stays && !anew) return known.found
      try {
        return await this.#resolve()
      } catch (error) {
        const { code, message } = error as { code?: string; message: string }
        // An API server out of reach: what was known is the best guess.
        if (known && code === 'unreachable' && !anew) return known.found
        const passing = code === 'not-ready' || code === 'target-unknown' || code === 'unreachable'
        if (!passing || this.#deps.clock.now() > until || this.#deps.closing.aborted) return message
        this.#deps.log.debug(`target: ${message}`)
      }
      await delay(LOOK_AGAIN_MS, this.#deps.closing, this.#deps.clock)
    }
  }

  async #resolve(): Promise<ForwardTarget> {
    const { local, remote } = this.#port
    const request: ForwardRequest = { target: this.#deps.target, local, remote, preferPod: this.#target?.found.pod }
    const found = await this.#deps.cluster.resolveForward(request)
    const before = this.#target?.found
    if (before?.pod && found.pod !== before.pod)
      this.#deps.notice(`${before.pod} is gone; ${found.pod} takes its place`)
    this.#target = { found, at: this.#deps.clock.now() }
    return found
  }

  /** Resolves to undefined when both are joined, else to why not; the socket is untouched then. */
  #dial(socket: Socket, tunnel: Tunnel, target: ForwardTarget): Promise<DialFailure | undefined> {
    return new Promise((resolve) => {
      const splice = new Splice(socket, this.#deps.counters, {
        onOpen: () => {
          this.#deps.complaints.well('dial')
          this.#deps.complaints.well('target')
          this.#deps.complaints.well('wait')
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
