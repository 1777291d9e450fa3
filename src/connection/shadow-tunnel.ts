// Opens one tunnel to a shadow that is there: a port-forward, a line over it where the agent knows lines, and SSH.
import { unlessAborted } from '../base/aborted.ts'
import type { Clock } from '../base/clock.ts'
import type { ClusterClient, PortForwardEndpoint, ShadowHandle } from '../cluster/calls.ts'
import { connectTunnel, LineClient, type Path, pathTransport, RefusedError } from '../tunnel/index.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { withPod } from './pod-hints.ts'

/** Opens a tunnel. Rejects when `signal` is aborted; nothing is left open then. */
export type OpenTunnel = (shadow: ShadowHandle, signal: AbortSignal) => Promise<Tunnel>

export interface ShadowTunnelOptions {
  cluster: Pick<ClusterClient, 'portForward' | 'shadowState'>
  /** Opens one port-forward. Rejects at once when `signal` is aborted; nothing is left open then. */
  openPath(endpoint: PortForwardEndpoint, signal: AbortSignal): Promise<Path>
  clock: Clock
  /** The time of day in ms. A jump of it shows that this machine slept. */
  wall(): number
  random(bytes: number): Buffer
  /** Port-forwards at a time, 1 if undefined. */
  paths?: number
  log(line: string): void
}

export class ShadowTunnels {
  readonly #options: ShadowTunnelOptions
  /** Pods whose agents are of a kt that knew no lines. */
  readonly #withoutLine = new Set<string>()
  readonly #endpoints = new Map<string, PortForwardEndpoint>()

  constructor(options: ShadowTunnelOptions) {
    this.#options = options
  }

  readonly open: OpenTunnel = async (shadow, signal) => {
    try {
      return await this.#open(shadow, signal)
    } catch (error) {
      throw withPod(error, shadow)
    }
  }

  async #open(shadow: ShadowHandle, signal: AbortSignal): Promise<Tunnel> {
    if (shadow.kind === 'agent' && !this.#withoutLine.has(shadow.pod)) {
      const line = await this.#openLine(shadow, signal)
      try {
        return await this.#connect(shadow, line, signal)
      } catch (error) {
        if (!line.unknownHere) throw error
        this.#options.log(`${shadow.pod}: an agent that does not know lines`)
        this.#withoutLine.add(shadow.pod)
      }
    }
    return await this.#connect(shadow, await this.#dial(shadow, signal), signal)
  }

  async #connect(shadow: ShadowHandle, below: LineClient | Path, signal: AbortSignal): Promise<Tunnel> {
    const line = below instanceof LineClient ? below : undefined
    const transport = below instanceof LineClient ? below.transport : pathTransport(below)
    const { kind, username, clientKey, hostKey } = shadow
    const { clock } = this.#options
    const giveUp = () => transport.destroy(new Error('given up'))
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      const connecting = connectTunnel({ kind, username, clientKey, hostKey, transport, line, clock })
      // The dial of the port-forward may have ended after the signal came.
      if (signal.aborted) giveUp()
      return await connecting
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  #openLine(shadow: ShadowHandle, signal: AbortSignal): Promise<LineClient> {
    const { cluster, clock, wall, random, paths, log } = this.#options
    const options = {
      ...{ clock, wall, random, paths, log },
      dial: (attempt: AbortSignal) => this.#dial(shadow, attempt),
      isAlive: async () => (await cluster.shadowState(shadow)).state !== 'gone',
    }
    return LineClient.open(options, signal)
  }

  /** One port-forward. How the API server is spoken to is remembered, so that a lost one is replaced within round trips. */
  async #dial(shadow: ShadowHandle, signal: AbortSignal): Promise<Path> {
    const { cluster, openPath } = this.#options
    const known = this.#endpoints.get(shadow.pod) ?? (await unlessAborted(cluster.portForward(shadow), signal))
    this.#endpoints.set(shadow.pod, known)
    try {
      return await openPath(known, signal)
    } catch (error) {
      if (!(error instanceof RefusedError) || (error.status !== 401 && error.status !== 403)) throw error
      this.#endpoints.delete(shadow.pod)
      if (error.status === 403) throw error
      // The token was revoked. A question to the API server makes new credentials, or says what is wrong with them.
      await unlessAborted(cluster.shadowState(shadow), signal)
      return await openPath(await unlessAborted(cluster.portForward(shadow), signal), signal)
    }
  }
}
