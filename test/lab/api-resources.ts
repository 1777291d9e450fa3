// Which paths the API-server double serves, and the objects a cluster has before anybody comes.

import type { ObjectStore } from './store.ts'
import {
  apiPort,
  dbPods,
  dnsAddresses,
  services as labServices,
  lan,
  namespaces,
  nodeName,
  ranges,
  webPods,
} from './topology.ts'

export interface Resource {
  group: string
  version: string
  plural: string
  kind: string
  namespaced: boolean
}

const resource = (groupVersion: string, plural: string, kind: string, namespaced = true): Resource => {
  const [group, version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion]
  return { group, version, plural, kind, namespaced }
}

export const resources: Resource[] = [
  resource('v1', 'namespaces', 'Namespace', false),
  resource('v1', 'nodes', 'Node', false),
  resource('v1', 'pods', 'Pod'),
  resource('v1', 'services', 'Service'),
  resource('v1', 'endpoints', 'Endpoints'),
  resource('v1', 'secrets', 'Secret'),
  resource('v1', 'configmaps', 'ConfigMap'),
  resource('v1', 'events', 'Event'),
  resource('v1', 'serviceaccounts', 'ServiceAccount'),
  resource('apps/v1', 'deployments', 'Deployment'),
  resource('apps/v1', 'statefulsets', 'StatefulSet'),
  resource('apps/v1', 'replicasets', 'ReplicaSet'),
  resource('batch/v1', 'jobs', 'Job'),
  resource('events.k8s.io/v1', 'events', 'Event'),
  resource('coordination.k8s.io/v1', 'leases', 'Lease'),
  resource('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice'),
  resource('networking.k8s.io/v1', 'servicecidrs', 'ServiceCIDR', false),
  resource('authorization.k8s.io/v1', 'selfsubjectaccessreviews', 'SelfSubjectAccessReview', false),
  resource('authorization.k8s.io/v1', 'selfsubjectrulesreviews', 'SelfSubjectRulesReview', false),
  resource('authentication.k8s.io/v1', 'selfsubjectreviews', 'SelfSubjectReview', false),
]

export interface ParsedPath {
  resource: Resource
  namespace?: string
  name?: string
  subresource?: string
}

/** `/api/v1/...` or `/apis/GROUP/VERSION/...`; undefined for what is not served. */
export function parsePath(path: string): ParsedPath | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent)
  const [group, version] = parts[0] === 'api' ? ['', parts[1]] : [parts[1], parts[2]]
  let rest = parts.slice(parts[0] === 'api' ? 2 : 3)
  let namespace: string | undefined
  if (rest[0] === 'namespaces' && rest.length > 2) {
    namespace = rest[1]
    rest = rest.slice(2)
  }
  const found = resources.find((r) => r.group === group && r.version === version && r.plural === rest[0])
  return found && { resource: found, namespace, name: rest[1], subresource: rest[2] }
}

export const apiVersion = ({ group, version }: Resource) => (group ? `${group}/${version}` : version)

/** Puts what is in `topology.ts` into the store, as a cluster that has run for a while. */
export function populate(store: ObjectStore): void {
  for (const name of namespaces) {
    store.create('namespaces', { metadata: { name }, status: { phase: 'Active' } })
    if (name !== 'kube-system') store.create('serviceaccounts', { metadata: { name: 'default', namespace: name } })
  }
  store.create('nodes', {
    metadata: { name: nodeName, labels: { 'kubernetes.io/hostname': nodeName, 'kubernetes.io/os': 'linux' } },
    spec: { podCIDR: ranges.pods[0], podCIDRs: [...ranges.pods] },
    status: {
      addresses: lan.node.map((address) => ({ type: 'InternalIP', address })),
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  })
  store.create('servicecidrs', { metadata: { name: 'kubernetes' }, spec: { cidrs: [...ranges.services] } })
  for (const pod of [...webPods, ...dbPods])
    store.create('pods', {
      metadata: { name: pod.name, namespace: pod.namespace, labels: { app: pod.app } },
      spec: { nodeName, containers: [{ name: 'echo', image: 'node:24-alpine' }] },
      status: { phase: 'Running', podIP: pod.addresses[0], podIPs: pod.addresses.map((ip) => ({ ip })) },
    })
  for (const service of labServices)
    store.create('services', {
      metadata: { name: service.name, namespace: service.namespace },
      spec: {
        clusterIP: service.addresses[0] ?? 'None',
        clusterIPs: service.addresses.length > 0 ? [...service.addresses] : ['None'],
        ports: service.ports,
        ...(service.pods.length > 0 ? { selector: { app: service.pods[0].app } } : {}),
      },
    })
}

/** What a pod's /etc/resolv.conf holds, as the kubelet writes it (dnsPolicy ClusterFirst). */
export const podResolvConf = (namespace: string) =>
  `search ${namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver ${dnsAddresses[0]}\noptions ndots:5\n`

export const apiUrl = (port: number = apiPort) => `https://${port === apiPort ? lan.node[0] : lan.gateway[0]}:${port}`
