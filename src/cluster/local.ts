// The ClusterClient itself: what the worker runs. Joins kubeconfig, requests, ranges and shadow.
import { randomInt } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { V1Pod } from '@kubernetes/client-node'
import { Api, type ApiOptions } from './api.ts'
import type {
  ClusterClient,
  ClusterIdentity,
  ClusterSelection,
  ForwardRequest,
  ForwardTarget,
  PortForwardEndpoint,
  Progress,
  Ranges,
  Services,
  ShadowHandle,
  ShadowHooks,
  ShadowOptions,
  TeamSeen,
} from './calls.ts'
import { clusterError } from './errors.ts'
import { resolveForward } from './forward-target.ts'
import type { InboundContext } from './inbound/context.ts'
import { renewLease, watchExchange } from './inbound/hold.ts'
import {
  addShadow,
  beginExchange,
  beginMesh,
  beginRun,
  removeExchange,
  replaceShadow,
  restoreExchange,
  switchExchange,
} from './inbound/kinds.ts'
import { listLeases } from './inbound/lease.ts'
import { findLeftovers, recover, removeLeftovers } from './inbound/recover.ts'
import type {
  ExchangeRequest,
  InboundEvent,
  InboundHandle,
  Leftover,
  MeshRequest,
  OwnShadows,
  RunRequest,
} from './inbound-calls.ts'
import { type Environment, loadKubeconfig } from './kubeconfig.ts'
import { discoverRanges } from './ranges.ts'
import { listServices, listTeam } from './services.ts'
import { createShadow, prolongShadow, shadowState } from './shadow.ts'
import { removeShadow, retireShadow } from './shadow-removal.ts'

// Each becomes a routing domain of systemd-resolved.
const MOST_NAMESPACES = 1000

export interface LocalOptions {
  env: Environment
  /** File with the agent's program, made by the build. */
  agentBundle: string
  /** See ShadowDependencies. */
  patienceMs?: [number, number]
  /** See ApiOptions. */
  api?: ApiOptions
}

/** Everything in this process. Nothing is read before the first call. */
export class LocalClusterClient implements ClusterClient {
  readonly #selection: ClusterSelection
  readonly #options: LocalOptions
  #api: Api | undefined
  /** The pod of the shadow made last, while this process lives. */
  #ownPod: Promise<V1Pod | undefined> = Promise.resolve(undefined)

  constructor(selection: ClusterSelection, options: LocalOptions) {
    this.#selection = selection
    this.#options = options
  }

  async identify(): Promise<ClusterIdentity> {
    const api = this.#connect()
    const { identity, proxy } = api.kubeconfig
    await api.introduce()
    const hosts = [identity.server, ...(proxy ? [proxy] : [])].map((url) => new URL(url).hostname)
    const resolved = await Promise.all(hosts.map(addressesOf))
    return { ...identity, serverAddresses: [...new Set(resolved.flat())] }
  }

  async discoverRanges(): Promise<Ranges> {
    const api = this.#connect()
    const { identity } = api.kubeconfig
    const servers = await addressesOf(new URL(identity.server).hostname)
    return discoverRanges(api, identity.namespace, servers, () => this.#ownPod)
  }

  async namespaces(): Promise<string[]> {
    const api = this.#connect()
    const { status, body } = await api.ask('GET', '/api/v1/namespaces', { query: { limit: String(MOST_NAMESPACES) } })
    if (status >= 400) return api.kubeconfig.namespaces
    return (body as unknown as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name)
  }

  async services(): Promise<Services> {
    const api = this.#connect()
    return listServices(api, api.kubeconfig.identity.namespace)
  }

  async team(): Promise<TeamSeen> {
    const api = this.#connect()
    return listTeam(api, api.kubeconfig.identity.namespace)
  }

  async createShadow(options: ShadowOptions, progress: Progress, hooks?: ShadowHooks): Promise<ShadowHandle> {
    const own = Promise.withResolvers<V1Pod | undefined>()
    this.#ownPod = own.promise
    try {
      const dependencies = { ...this.#back(), onRunning: own.resolve }
      return await createShadow(dependencies, options, progress, hooks)
    } finally {
      own.resolve(undefined) // where it never ran
    }
  }

  async resolveForward(request: ForwardRequest): Promise<ForwardTarget> {
    const api = this.#connect()
    return resolveForward(api, api.kubeconfig.identity.namespace, request)
  }

  async portForward(shadow: ShadowHandle): Promise<PortForwardEndpoint> {
    const api = this.#connect()
    const { identity, proxy } = api.kubeconfig
    const { headers, tls } = await api.credentials()
    const url = new URL(identity.server)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    url.pathname = `${url.pathname.replace(/\/$/, '')}/api/v1/namespaces/${shadow.namespace}/pods/${shadow.pod}/portforward`
    url.searchParams.set('ports', String(shadow.port))
    return { url: url.href, headers, tls, ...(proxy && { proxy }) }
  }

  async shadowState(shadow: ShadowHandle) {
    return shadowState(this.#connect(), shadow)
  }

  async prolongShadow(shadow: ShadowHandle): Promise<void> {
    await prolongShadow(this.#connect(), shadow)
  }

  async removeShadow(shadow: ShadowHandle): Promise<void> {
    await removeShadow(this.#connect(), shadow)
  }

  async retireShadow(shadow: ShadowHandle): Promise<void> {
    await retireShadow(this.#connect(), shadow)
  }

  async beginExchange(request: ExchangeRequest, options: ShadowOptions, progress: Progress, hooks?: ShadowHooks) {
    return beginExchange(this.#back(), request, options, progress, hooks)
  }

  async beginMesh(request: MeshRequest, options: ShadowOptions, progress: Progress, hooks?: ShadowHooks) {
    return beginMesh(this.#back(), request, options, progress, hooks)
  }

  async beginRun(request: RunRequest, options: ShadowOptions, progress: Progress, hooks?: ShadowHooks) {
    return beginRun(this.#back(), request, options, progress, hooks)
  }

  async switchExchange(handle: InboundHandle, progress: Progress): Promise<void> {
    await switchExchange(this.#back(), handle, progress)
  }

  async renewLease(handle: InboundHandle): Promise<void> {
    await renewLease(this.#back(), handle)
  }

  async watchExchange(
    handle: InboundHandle,
    onEvent: (event: InboundEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await watchExchange(this.#back(), handle, onEvent, signal)
  }

  async restoreExchange(handle: InboundHandle, progress: Progress) {
    return restoreExchange(this.#back(), handle, progress)
  }

  async removeExchange(handle: InboundHandle): Promise<void> {
    await removeExchange(this.#back(), handle)
  }

  async addShadow(handle: InboundHandle, progress: Progress, hooks?: ShadowHooks) {
    return addShadow(this.#back(), handle, progress, hooks)
  }

  async replaceShadow(handle: InboundHandle, progress: Progress, hooks?: ShadowHooks) {
    return replaceShadow(this.#back(), handle, progress, hooks)
  }

  async leases() {
    const { api, namespace } = this.#back()
    return listLeases(api, namespace)
  }

  async recover(target: string, options: { force: boolean; holder: string }, progress: Progress) {
    return recover(this.#back(), target, options, progress)
  }

  async findLeftovers(shadows: OwnShadows, progress: Progress) {
    return findLeftovers(this.#back(), shadows, progress)
  }

  async removeLeftovers(leftovers: Leftover[], holder: string, progress: Progress) {
    return removeLeftovers(this.#back(), leftovers, holder, progress)
  }

  async close(): Promise<void> {
    const api = this.#api
    this.#api = undefined
    api?.close()
  }

  #back(): InboundContext {
    const api = this.#connect()
    return {
      api,
      namespace: api.kubeconfig.identity.namespace,
      suffix,
      agentBundle: () => readBundle(this.#options.agentBundle),
      agentCipher: () => readFile(join(dirname(this.#options.agentBundle), 'kt_gcm.node')).catch(() => undefined),
      patienceMs: this.#options.patienceMs,
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      now: () => performance.now(),
    }
  }

  #connect(): Api {
    this.#api ??= new Api(() => loadKubeconfig(this.#selection, this.#options.env), this.#options.api)
    return this.#api
  }
}

// By the machine's own resolver, which is not ours yet.
async function addressesOf(host: string): Promise<string[]> {
  try {
    const found = await lookup(host.replace(/^\[|\]$/g, ''), { all: true })
    return found.map(({ address }) => address)
  } catch {
    return [] // behind a proxy the name may be the proxy's to resolve
  }
}

// Letters and digits as in the names Kubernetes makes (k8s.io/apimachinery/pkg/util/rand: no vowels, no 0 1 3).
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
function suffix(): string {
  return Array.from({ length: 5 }, () => alphabet[randomInt(alphabet.length)]).join('')
}

async function readBundle(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    throw clusterError('internal', `the agent's program ${file} is missing`, 'build it: ./dev build')
  }
}
