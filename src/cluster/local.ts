// What each call of the table (calls.ts) does, in this process: the worker's.
import { lookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import type { V1Pod } from '@kubernetes/client-node'
import { delay, type Time } from '../base/clock.ts'
import { builtFile, nativeBytes, REPAIR } from '../base/installation.ts'
import type { RandomBytes } from '../base/random.ts'
import { Api, type ApiOptions } from './api.ts'
import type { ClusterIdentity, ClusterSelection, PortForwardEndpoint, ShadowHandle } from './calls.ts'
import { type Arguments, type ClusterCalls, METHODS, type Method, type Result } from './calls.ts'
import { clusterError } from './errors.ts'
import { resolveForward } from './forward-target.ts'
import type { InboundContext } from './inbound/context.ts'
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
import { renewLease, watchExchange } from './inbound/while-held.ts'
import { type Environment, loadKubeconfig } from './kubeconfig.ts'
import type { ExecRequest } from './place-calls.ts'
import { podAt } from './pod-at.ts'
import { discoverRanges } from './ranges.ts'
import { readPlace } from './read-place.ts'
import { listServices, listTeam } from './services.ts'
import { createShadow, prolongShadow, shadowState } from './shadow.ts'
import { deleteShadow, removeShadow, retireShadow } from './shadow-removal.ts'
import { suffix } from './suffix.ts'
import { listTargets } from './targets.ts'

// Each becomes a routing domain of systemd-resolved.
const MOST_NAMESPACES = 1000

export interface LocalOptions {
  env: Environment
  /** File with the agent's program. Undefined: the one that was built with this kt. */
  agentBundle: string | undefined
  /** See ShadowDependencies. */
  patienceMs?: [number, number]
  time: Time
  random: RandomBytes
  /** See ApiOptions. */
  api?: Omit<ApiOptions, 'time'>
}

/** What the calls of one cluster share. */
interface Cluster extends InboundContext {
  readonly api: Api
  /** The pod of the shadow made last, while this process lives. */
  ownPod: Promise<V1Pod | undefined>
}

type Implementations = { readonly [M in Method]: (cluster: Cluster, ...args: Arguments<M>) => Result<M> }

const implementations: Implementations = {
  identify,
  discoverRanges: async ({ api, namespace, ownPod }) => {
    const servers = await addressesOf(new URL(api.kubeconfig.identity.server).hostname)
    return discoverRanges(api, namespace, servers, () => ownPod)
  },
  namespaces: ({ api }) => namespaces(api),
  services: ({ api, namespace }) => listServices(api, namespace),
  targets: ({ api, namespace }) => listTargets(api, namespace),
  team: ({ api, namespace }) => listTeam(api, namespace),

  createShadow: async (cluster, options, progress, hooks) => {
    const own = Promise.withResolvers<V1Pod | undefined>()
    cluster.ownPod = own.promise
    try {
      return await createShadow({ ...cluster, onRunning: own.resolve }, options, progress, hooks)
    } finally {
      own.resolve(undefined) // where it never ran
    }
  },
  portForward: ({ api }, shadow) => portForward(api, shadow),
  shadowState: ({ api }, shadow) => shadowState(api, shadow),
  prolongShadow: ({ api }, shadow) => prolongShadow(api, shadow),
  removeShadow: (cluster, shadow) => removeShadow(cluster, shadow),
  deleteShadow: ({ api }, shadow) => deleteShadow(api, shadow),
  retireShadow: ({ api }, shadow) => retireShadow(api, shadow),

  resolveForward: ({ api, namespace }, request) => resolveForward(api, namespace, request),
  podAt: ({ api, namespace }, address) => podAt(api, namespace, address),

  readPlace: ({ api, namespace, wall }, request) => readPlace(api, namespace, request, wall),
  podExec: ({ api }, request) => podExec(api, request),

  beginExchange,
  beginMesh,
  beginRun,
  switchExchange,
  renewLease,
  watchExchange,
  restoreExchange,
  removeExchange,
  addShadow,
  replaceShadow,

  leases: ({ api, namespace }) => listLeases(api, namespace),
  recover,
  findLeftovers,
  removeLeftovers,
}

/** Nothing is read before the first call. */
export function localCalls(selection: ClusterSelection, options: LocalOptions): ClusterCalls {
  const { time, random } = options
  let cluster: Cluster | undefined
  const open = (): Cluster => {
    const api = new Api(() => loadKubeconfig(selection, options.env), { ...options.api, time })
    return {
      api,
      get namespace() {
        return api.kubeconfig.identity.namespace
      },
      ownPod: Promise.resolve(undefined),
      suffix: () => suffix(random),
      agentBundle: () => readBundle(options.agentBundle),
      agentCipher: (arch) => nativeBytes('kt_gcm.node', arch),
      patienceMs: options.patienceMs,
      sleep: (ms) => delay(ms, undefined, time.clock),
      now: () => time.clock.now(),
      ...time,
    }
  }
  const calls = (Object.keys(METHODS) as Method[]).map((method) => {
    const act = implementations[method] as (cluster: Cluster, ...args: unknown[]) => Promise<unknown>
    // Async, so that a kubeconfig that cannot be read rejects.
    return [method, async (...args: unknown[]) => act((cluster ??= open()), ...args)]
  })
  return Object.fromEntries(calls)
}

async function identify({ api }: Cluster): Promise<ClusterIdentity> {
  const { identity, proxy } = api.kubeconfig
  await api.introduce()
  const hosts = [identity.server, ...(proxy ? [proxy] : [])].map((url) => new URL(url).hostname)
  const resolved = await Promise.all(hosts.map(addressesOf))
  return { ...identity, serverAddresses: [...new Set(resolved.flat())] }
}

async function namespaces(api: Api): Promise<string[]> {
  const { status, body } = await api.ask('GET', '/api/v1/namespaces', { query: { limit: String(MOST_NAMESPACES) } })
  if (status >= 400) return api.kubeconfig.namespaces
  return (body as unknown as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name)
}

function portForward(api: Api, { namespace, pod, port }: ShadowHandle): Promise<PortForwardEndpoint> {
  const query = new URLSearchParams({ ports: String(port) })
  return webSocket(api, `/api/v1/namespaces/${namespace}/pods/${pod}/portforward`, query)
}

function podExec(api: Api, { namespace, pod, container, command }: ExecRequest): Promise<PortForwardEndpoint> {
  const query = new URLSearchParams({ container, stdout: 'true', stderr: 'true' })
  for (const word of command) query.append('command', word)
  return webSocket(api, `/api/v1/namespaces/${namespace}/pods/${pod}/exec`, query)
}

async function webSocket(api: Api, path: string, query: URLSearchParams): Promise<PortForwardEndpoint> {
  const { identity, proxy } = api.kubeconfig
  const { headers, tls } = await api.credentials()
  const url = new URL(identity.server)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`
  url.search = String(query)
  return { url: url.href, headers, tls, ...(proxy && { proxy }) }
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

async function readBundle(file: string | undefined): Promise<string> {
  try {
    return file === undefined ? builtFile('agent.cjs').toString() : await readFile(file, 'utf8')
  } catch (error) {
    throw clusterError('internal', `the agent's program cannot be read: ${(error as Error).message}`, REPAIR)
  }
}
