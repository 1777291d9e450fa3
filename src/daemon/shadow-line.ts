// The way to one shadow: making it, dialling it as soon as it may answer, and the words of the cluster when it will not
// come. Shared by `kt up` and by the holders of exchange, mesh, run and forward.
import { randomBytes } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { ToldError } from '../base/told-error.ts'
import type { ClusterClient, PortForwardEndpoint, ShadowHandle, ShadowOptions } from '../cluster/port.ts'
import type { ShadowConfig } from '../control/protocol.ts'
import { connectTunnel, LineClient, openPortForward, type Path, pathTransport, RefusedError } from '../tunnel/index.ts'
import type { Tunnel, TunnelLine } from '../tunnel/port.ts'
import type { LinkEffects } from './link.ts'
import type { Log } from './log.ts'

const DEFAULT_AGENT_IMAGE = 'node:24-alpine'
// The pod is dialled before its status says Running, which lags by up to a second; until it listens, dials fail at once.
const DIAL_RETRY_MS = 75
// Every so many failed dials the cluster is asked whether the pod is still there.
const LOOK_EVERY_DIALS = 15
// How long a container that runs may take until its SSH server answers.
const DIAL_AFTER_RUNNING_MS = 10_000
// Errors of a dial that no second try mends.
const FINAL_ERRORS = new Set(['host-key', 'auth', 'forbidden', 'credentials'])

export class ShadowLine {
  readonly #cluster: ClusterClient
  readonly #config: ShadowConfig
  readonly #log: Log
  readonly #closing: AbortSignal
  /** Pods whose agents are of a kt that knew no lines. */
  readonly #withoutLine = new Set<string>()
  readonly #endpoints = new Map<string, PortForwardEndpoint>()
  readonly #lines = new Set<TunnelLine>()

  constructor(cluster: ClusterClient, config: ShadowConfig, log: Log, closing: AbortSignal) {
    this.#cluster = cluster
    this.#config = config
    this.#log = log
    this.#closing = closing
  }

  /**
   * A shadow and a tunnel to it. The pod is dialled as soon as it may answer, some 0.4 s before the cluster says that it
   * runs; a pod that will not come is told in the cluster's words, by `create`, which calls `dialable` when the pod has a
   * node (see ShadowHooks) and resolves when it runs.
   */
  async connect(
    create: (dialable: (shadow: ShadowHandle) => void) => Promise<ShadowHandle>,
  ): Promise<[ShadowHandle, Tunnel]> {
    const giveUp = new AbortController()
    let running = Number.POSITIVE_INFINITY
    return await new Promise<[ShadowHandle, Tunnel]>((resolve, reject) => {
      let dialling = false
      const dialOnce = (shadow: ShadowHandle) => {
        if (dialling) return
        dialling = true
        const tooLate = () => performance.now() > running + DIAL_AFTER_RUNNING_MS
        this.#dialUntil(shadow, tooLate, AbortSignal.any([giveUp.signal, this.#closing])).then(
          (tunnel) => resolve([shadow, tunnel]),
          reject,
        )
      }
      create(dialOnce)
        .then((shadow) => {
          running = performance.now()
          dialOnce(shadow)
        })
        .catch((error) => {
          giveUp.abort()
          reject(error)
        })
    })
  }

  /** One dial of a shadow that is there. */
  async open(shadow: ShadowHandle): Promise<Tunnel> {
    const { kind, username, clientKey, hostKey } = shadow
    const session = { kind, username, clientKey, hostKey }
    if (kind === 'agent' && !this.#withoutLine.has(shadow.pod)) {
      const line = await this.#openLine(shadow)
      try {
        return this.#keep(await connectTunnel({ ...session, transport: line.transport, line }))
      } catch (error) {
        if (!line.unknownHere) throw error
        this.#log(`${shadow.pod}: an agent that does not know lines`)
        this.#withoutLine.add(shadow.pod)
      }
    }
    return await connectTunnel({ ...session, transport: pathTransport(await this.#dial(shadow)) })
  }

  /** Something has happened that may have broken the connections of all tunnels there are. */
  suspect(cause: string): void {
    for (const line of this.#lines) line.suspect(cause)
  }

  #keep(tunnel: Tunnel): Tunnel {
    const { line, closed } = tunnel
    if (!line) return tunnel
    this.#lines.add(line)
    void closed.then(() => this.#lines.delete(line))
    return tunnel
  }

  #openLine(shadow: ShadowHandle): Promise<LineClient> {
    const options = {
      clock: systemClock,
      wall: Date.now,
      random: randomBytes,
      dial: () => this.#dial(shadow),
      isAlive: async () => (await this.#cluster.shadowState(shadow)).state !== 'gone',
      log: this.#log,
    }
    return LineClient.open(options, this.#closing)
  }

  /** One port-forward. How the API server is spoken to is remembered, so that a lost one is replaced within round trips. */
  async #dial(shadow: ShadowHandle): Promise<Path> {
    const known = this.#endpoints.get(shadow.pod) ?? (await this.#cluster.portForward(shadow))
    this.#endpoints.set(shadow.pod, known)
    try {
      return await openPortForward(known)
    } catch (error) {
      if (!(error instanceof RefusedError) || (error.status !== 401 && error.status !== 403)) throw error
      this.#endpoints.delete(shadow.pod)
      if (error.status === 403) throw error
      // A token that was revoked: a question to the API server makes the credentials anew, or says what is wrong with them.
      await this.#cluster.shadowState(shadow)
      return await openPortForward(await this.#cluster.portForward(shadow))
    }
  }

  /** What a Link does with any shadow, whoever holds it. */
  linkEffects(): Pick<LinkEffects, 'openTunnel' | 'shadowState' | 'delay' | 'log'> {
    return {
      openTunnel: (shadow) => this.open(shadow),
      shadowState: async (shadow) => (await this.#cluster.shadowState(shadow)).state,
      delay,
      log: this.#log,
    }
  }

  async #dialUntil(shadow: ShadowHandle, tooLate: () => boolean, signal: AbortSignal): Promise<Tunnel> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.open(shadow)
      } catch (error) {
        const code = (error as { code?: string }).code ?? ''
        if (signal.aborted || tooLate() || FINAL_ERRORS.has(code)) throw error
        this.#log.debug(`tunnel: not yet: ${(error as Error).message}`)
        if (tries % LOOK_EVERY_DIALS === 0) await this.#requireAlive(shadow)
        await delay(DIAL_RETRY_MS, signal)
      }
    }
  }

  /** A container that ended is told with its last words, not as a dial that failed. */
  async #requireAlive(shadow: ShadowHandle): Promise<void> {
    const { state, detail } = await this.#cluster.shadowState(shadow)
    if (state !== 'gone') return
    throw new ToldError(
      'crashed',
      `the shadow ${shadow.pod} ended: ${detail}`,
      `check that the image ${shadowImage(this.#config)} holds what --shadow ${shadow.kind} needs`,
    )
  }
}

export function shadowImage(config: ShadowConfig): string {
  return config.image ?? DEFAULT_AGENT_IMAGE
}

export function shadowOptions(config: ShadowConfig): ShadowOptions {
  return {
    kind: config.shadow,
    image: shadowImage(config),
    nodeSelector: config.nodeSelector,
    tolerations: config.tolerations,
    serviceAccount: config.serviceAccount,
    imagePullSecrets: config.imagePullSecrets,
    labels: config.labels,
    annotations: config.annotations,
    resources: config.podResources,
    owner: config.owner,
    readyTimeoutMs: config.readyTimeoutS * 1000,
  }
}

/** Resolves after `ms`, or at once when aborted. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
