// What can be exchanged or forwarded in a namespace: its Services, the workloads that no Service leads to, and who holds
// what. Nothing of it fails for want of a right; then a note says what is missing.
import type { V1Deployment, V1EndpointSlice, V1Lease, V1Service, V1StatefulSet } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import type { TargetsSeen } from './calls.ts'
import { clusterError } from './errors.ts'
import { heldLease } from './inbound/lease.ts'
import { MANAGED_SELECTOR } from './inbound/record.ts'
import { missingNamespace } from './missing.ts'
import { longLivedContainers } from './pods.ts'
import { countEndpoints, describe, isUsers, NONE, pages } from './services.ts'

type Workload = V1Deployment | V1StatefulSet
type Target = TargetsSeen['targets'][number]

/** Throws ClusterError when nobody answers, where there is no such namespace, and where nothing of it may be listed. */
export async function listTargets(api: Api, namespace: string): Promise<TargetsSeen> {
  const path = (group: string, resource: string) => `${group}/namespaces/${encodeURIComponent(namespace)}/${resource}`
  const [services, slices, leases, deployments, statefulSets] = await Promise.all([
    pages<V1Service>(api, path('/api/v1', 'services')),
    pages<V1EndpointSlice>(api, path('/apis/discovery.k8s.io/v1', 'endpointslices')),
    pages<V1Lease>(api, path('/apis/coordination.k8s.io/v1', 'leases'), MANAGED_SELECTOR),
    pages<V1Deployment>(api, path('/apis/apps/v1', 'deployments')),
    pages<V1StatefulSet>(api, path('/apis/apps/v1', 'statefulsets')),
  ])
  const missing = (list: unknown[] | undefined, what: string, unknown = '') =>
    list ? [] : [`no right to list ${what} in the namespace ${namespace}${unknown}`]
  const users = (services ?? []).filter(isUsers)
  const known = slices && countEndpoints(slices)
  // What is exchanged leads to a shadow meanwhile: the Service with the old selector says whose pods were its own.
  const selectors = (services ?? []).map(({ spec }) => spec?.selector ?? {})
  const alone = (workload: Workload) => !selectors.some((selector) => selects(selector, workload))
  const targets = [
    ...users.map((service) => ofService(service, known)),
    ...(deployments ?? []).filter(alone).map((one) => ofWorkload('deployment', one)),
    ...(statefulSets ?? []).filter(alone).map((one) => ofWorkload('statefulset', one)),
  ]
  const held = (leases ?? []).flatMap((lease) => heldLease(lease) ?? [])
  // The API server gives empty lists of a namespace that is not there.
  if (targets.length + held.length === 0) {
    const why = await missingNamespace(api, namespace)
    if (why) throw why
    if (!services && !deployments && !statefulSets)
      throw clusterError(
        'forbidden',
        `no right to list services, deployments and statefulsets in the namespace ${namespace}`,
      )
  }
  const { context, cluster } = api.kubeconfig.identity
  return {
    namespace,
    context,
    cluster,
    targets: targets.sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name, 'en', { numeric: true })),
    held,
    notes: [
      ...missing(services, 'services'),
      ...missing(slices, 'endpointslices', ': how many pods are ready is not known'),
      ...missing(leases, 'leases', ': who holds what is not known'),
      ...missing(deployments, 'deployments'),
      ...missing(statefulSets, 'statefulsets'),
    ],
  }
}

const order = ({ kind }: Target) => (kind === 'service' ? 0 : 1)

function ofService(service: V1Service, known: ReturnType<typeof countEndpoints> | undefined): Target {
  const { metadata, spec } = service
  const { type, ports, ready, total, name } = describe(
    service,
    known && (known.get(`${metadata!.namespace}/${metadata!.name}`) ?? NONE),
  )
  const selects = Object.keys(spec?.selector ?? {}).length > 0
  const unfit =
    spec?.type === 'ExternalName' ? 'a name of something outside of the cluster' : selects ? '' : 'it has no selector'
  return { kind: 'service', name, type, ports, ready, total, unfit }
}

function ofWorkload(kind: 'deployment' | 'statefulset', { metadata, spec, status }: Workload): Target {
  const ports = longLivedContainers(spec!.template as Parameters<typeof longLivedContainers>[0]).flatMap(
    ({ ports = [] }) => ports,
  )
  return {
    kind,
    name: metadata!.name!,
    type: '',
    ports: ports.map(({ containerPort, protocol, name }) => ({
      port: containerPort,
      protocol: protocol ?? 'TCP',
      name: name ?? '',
    })),
    ready: status?.readyReplicas ?? 0,
    total: spec?.replicas ?? 1,
    unfit: ports.length > 0 ? '' : 'its containers name no ports',
  }
}

function selects(selector: Record<string, string>, { spec }: Workload): boolean {
  const keys = Object.entries(selector)
  const labels = spec?.template.metadata?.labels ?? {}
  return keys.length > 0 && keys.every(([key, value]) => labels[key] === value)
}
