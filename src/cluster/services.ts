// The services that can be seen, with how many of their endpoints are ready; and the team: whose shadows are there, which
// is who is connected, and what they hold. Everywhere where the rights allow it, else in the namespace.
import type { V1EndpointSlice, V1Lease, V1Pod, V1Service } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import type { ServiceSeen, Services, TeamSeen } from './calls.ts'
import { fromStatus } from './errors.ts'
import { heldLease } from './inbound/lease.ts'
import { ID_LABEL, MANAGED_LABELS, MANAGED_SELECTOR, readRecord } from './inbound/record.ts'
import { OWNER_ANNOTATION } from './shadow-manifest.ts'

// client-go's page size for lists (tools/pager, defaultPageSize).
const PAGE = '500'
// What is shown of a headless service's endpoints: enough to tell whether a route leads there.
const MOST_ENDPOINT_ADDRESSES = 4
// kubernetes.io/service-name: discovery.k8s.io/v1 LabelServiceName.
const SERVICE_NAME = 'kubernetes.io/service-name'

/** Never throws for want of a right: then `notes` say what is missing. Throws ClusterError when nobody answers. */
export async function listServices(api: Api, namespace: string): Promise<Services> {
  const [services, slices] = await Promise.all([
    everywhereOrHere<V1Service>(api, '/api/v1', namespace, 'services'),
    everywhereOrHere<V1EndpointSlice>(api, '/apis/discovery.k8s.io/v1', namespace, 'endpointslices'),
  ])
  const notes: string[] = []
  if (!services) notes.push(`no right to list services in the namespace ${namespace}`)
  else if (services.scope === 'namespace')
    notes.push(`only the namespace ${namespace} is shown: no right to list services in the cluster`)
  if (!slices) notes.push('no right to list endpointslices: which services have ready endpoints is not known')
  const known = slices && countEndpoints(slices.items)
  return {
    scope: services?.scope ?? 'namespace',
    notes,
    services: (services?.items ?? []).filter(isUsers).map((service) => {
      const id = `${service.metadata!.namespace}/${service.metadata!.name}`
      const visible = slices && (slices.scope === 'cluster' || service.metadata!.namespace === namespace)
      return describe(service, visible ? (known?.get(id) ?? NONE) : undefined)
    }),
  }
}

/** Without the right to list pods, or leases, that list is empty. */
export async function listTeam(api: Api, namespace: string): Promise<TeamSeen> {
  const shadows = `${MANAGED_SELECTOR},app.kubernetes.io/component=shadow`
  const [pods, leases] = await Promise.all([
    everywhereOrHere<V1Pod>(api, '/api/v1', namespace, 'pods', shadows),
    everywhereOrHere<V1Lease>(api, '/apis/coordination.k8s.io/v1', namespace, 'leases', MANAGED_SELECTOR),
  ])
  const connected = (pods?.items ?? [])
    .filter(({ status, metadata }) => status?.phase === 'Running' && !metadata?.deletionTimestamp)
    // The shadow of an exchange says nothing of who is connected.
    .filter(({ metadata }) => metadata?.labels?.[ID_LABEL] === undefined)
    .map(({ metadata, spec, status }) => ({
      owner: metadata?.annotations?.[OWNER_ANNOTATION] ?? '',
      namespace: metadata!.namespace!,
      pod: metadata!.name!,
      node: spec?.nodeName ?? '',
      since: String(status?.startTime ?? metadata?.creationTimestamp ?? ''),
    }))
    .sort((a, b) => a.since.localeCompare(b.since))
  return { connected, held: (leases?.items ?? []).flatMap((lease) => heldLease(lease) ?? []) }
}

/** Not one that kt made for its own use: the Service that leads to the original pods of another. */
export function isUsers({ metadata }: V1Service): boolean {
  const label = 'app.kubernetes.io/managed-by'
  if (metadata?.labels?.[label] !== MANAGED_LABELS[label] || metadata.labels[ID_LABEL] === undefined) return true
  return readRecord(metadata.annotations)?.kind === 'run'
}

interface Endpoints {
  ready: number
  total: number
  addresses: string[]
}
export const NONE: Endpoints = { ready: 0, total: 0, addresses: [] }

// A dual-stack service has slices of both families for the same pods: the fuller family counts, or pods count twice.
export function countEndpoints(slices: V1EndpointSlice[]): Map<string, Endpoints> {
  const families = new Map<string, Map<string, Endpoints>>()
  for (const { metadata, addressType, endpoints } of slices) {
    const id = `${metadata?.namespace}/${metadata?.labels?.[SERVICE_NAME]}`
    const byFamily = families.get(id) ?? new Map<string, Endpoints>()
    families.set(id, byFamily)
    const sum = byFamily.get(addressType) ?? { ready: 0, total: 0, addresses: [] }
    byFamily.set(addressType, sum)
    for (const { addresses, conditions } of endpoints ?? []) {
      sum.total++
      // "nil should be interpreted as true": discovery.k8s.io/v1 EndpointConditions.
      if (conditions?.ready ?? true) sum.ready++
      if (sum.addresses.length < MOST_ENDPOINT_ADDRESSES) sum.addresses.push(...addresses.slice(0, 1))
    }
  }
  const result = new Map<string, Endpoints>()
  for (const [id, byFamily] of families) {
    const all = [...byFamily.values()]
    result.set(id, {
      ready: Math.max(...all.map(({ ready }) => ready)),
      total: Math.max(...all.map(({ total }) => total)),
      addresses: all.flatMap(({ addresses }) => addresses),
    })
  }
  return result
}

export function describe({ metadata, spec }: V1Service, endpoints: Endpoints | undefined): ServiceSeen {
  const clusterIPs = (spec?.clusterIPs ?? []).filter((address) => address !== 'None' && address !== '')
  const headless = spec?.clusterIP === 'None'
  return {
    namespace: metadata!.namespace!,
    name: metadata!.name!,
    type: headless ? 'Headless' : (spec?.type ?? 'ClusterIP'),
    addresses: clusterIPs,
    targets: headless ? (endpoints?.addresses ?? []) : clusterIPs,
    ports: (spec?.ports ?? []).map(({ port, protocol, name }) => ({
      port,
      protocol: protocol ?? 'TCP',
      name: name ?? '',
    })),
    ready: endpoints?.ready ?? null,
    total: endpoints?.total ?? null,
  }
}

async function everywhereOrHere<T>(
  api: Api,
  group: string,
  namespace: string,
  resource: string,
  labelSelector?: string,
): Promise<{ items: T[]; scope: Services['scope'] } | undefined> {
  const everywhere = await pages<T>(api, `${group}/${resource}`, labelSelector)
  if (everywhere) return { items: everywhere, scope: 'cluster' }
  const here = await pages<T>(api, `${group}/namespaces/${namespace}/${resource}`, labelSelector)
  return here && { items: here, scope: 'namespace' }
}

/** All pages of a list; undefined without the right to it. */
export async function pages<T>(api: Api, path: string, labelSelector?: string): Promise<T[] | undefined> {
  const items: T[] = []
  let next: string | undefined
  do {
    const query = { limit: PAGE, ...(next && { continue: next }), ...(labelSelector && { labelSelector }) }
    const { status, body } = await api.ask('GET', path, { query })
    if (status === 403 || status === 404) return undefined
    if (status !== 200) throw fromStatus(status, body, `listing ${path}`)
    const list = body as unknown as { items?: T[]; metadata?: { continue?: string } }
    items.push(...(list.items ?? []))
    next = list.metadata?.continue
  } while (next)
  return items
}
