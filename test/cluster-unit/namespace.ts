// A namespace in memory with a Service and its workload, and clients in it whose time passes when they wait.

import { systemTime } from '../../src/base/clock.ts'
import type { ShadowOptions } from '../../src/cluster/calls.ts'
import type { ApiPort } from '../../src/cluster/follow.ts'
import type { InboundContext } from '../../src/cluster/inbound/context.ts'
import type { ExchangeRequest, MeshRequest } from '../../src/cluster/inbound-calls.ts'
import { MemoryCluster, type Stored } from './memory-cluster.ts'

export const options: ShadowOptions = {
  kind: 'agent',
  image: 'node:24-alpine',
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  labels: {},
  annotations: {},
  resources: {},
  owner: 'ann@laptop',
  readyTimeoutMs: 60_000,
}

export const core = '/api/v1/namespaces/shop'
export const leases = '/apis/coordination.k8s.io/v1/namespaces/shop/leases'
export const jobs = '/apis/batch/v1/namespaces/shop/jobs'
export const silent = () => {}
/** Whose shadows of `kt up` clean looks at: nobody's. */
export const NOBODY = { owner: '', except: [] }

/** Services by these names, each with pods of its own. */
export function namespaceWith(...names: string[]): MemoryCluster {
  const cluster = new MemoryCluster()
  for (const name of names) {
    const labels = { app: name }
    cluster.put(`/apis/apps/v1/namespaces/shop/deployments/${name}`, {
      spec: { replicas: 2, template: { metadata: { labels } } },
    })
    const ports = [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }]
    cluster.put(`${core}/services/${name}`, { spec: { type: 'ClusterIP', selector: labels, ports } })
  }
  return cluster
}

let ids = 0
/** `elapse` is called whenever this client waits. */
export function clientOf(api: ApiPort, elapse: (ms: number) => unknown = silent): InboundContext {
  let now = 0
  return {
    api,
    namespace: 'shop',
    suffix: () => `id${++ids}`,
    agentBundle: async () => 'program',
    ...systemTime,
    now: () => now,
    sleep: async (ms) => {
      now += ms
      await elapse(ms)
    },
  }
}

export const exchangeOf = (target: string, holder: string, more: Partial<ExchangeRequest> = {}): ExchangeRequest => ({
  kind: 'exchange',
  target,
  mode: 'selector',
  ports: [{ port: 80 }],
  holder,
  force: false,
  ...more,
})

export const meshOf = (target: string, value: string, more: Partial<MeshRequest> = {}): MeshRequest => ({
  target,
  mode: 'auto',
  ports: [{ port: 80 }],
  header: 'kt-version',
  value,
  prefix: false,
  holder: `${value}@laptop/1`,
  force: false,
  ...more,
})

/** All that is there and does not go by itself, as text to compare. */
export function contents(cluster: MemoryCluster): [string, unknown][] {
  return [...cluster.objects]
    .filter(([path]) => !/\/(pods|secrets|endpointslices)\//.test(path))
    .map(([path, object]): [string, unknown] => [path, plain(object)])
    .sort(([a], [b]) => a.localeCompare(b))
}

function plain({ metadata, spec }: Stored): unknown {
  const { labels = {}, annotations = {} } = metadata
  return { labels, annotations, spec }
}
