// From a target to the pod whose place is taken: a ready one if there is one, else the template of the workload that makes them.
import type { V1Deployment, V1LabelSelector, V1Pod, V1Service, V1ServicePort } from '@kubernetes/client-node'
import { clusterError, fromStatus } from './errors.ts'
import type { ApiPort } from './follow.ts'
import { MANAGED_LABELS, readRecord } from './inbound/record.ts'
import { missingIn } from './missing.ts'
import { isReady, selectorText } from './pods.ts'
import { parseTarget, type TargetKind } from './target.ts'

export interface PlaceTarget {
  /** Without name and status where it is a template. */
  pod: V1Pod
  /** Of the Service, if the target is one. */
  ports: V1ServicePort[]
}

const PATHS: Record<TargetKind, string> = {
  service: '/api/v1/namespaces/NS/services',
  deployment: '/apis/apps/v1/namespaces/NS/deployments',
  statefulset: '/apis/apps/v1/namespaces/NS/statefulsets',
  pod: '/api/v1/namespaces/NS/pods',
}
// Where only a name is given, it is looked for in this order.
const ORDER: TargetKind[] = ['service', 'deployment', 'statefulset', 'pod']
const WORKLOADS = ['deployment', 'statefulset'] as const

/** Throws ClusterError `target-unknown`, `target-unfit` or `not-ready`. */
export async function findPlace(api: ApiPort, namespace: string, text: string): Promise<PlaceTarget> {
  const { kind, name } = parseTarget(text)
  for (const one of kind ? [kind] : ORDER) {
    const { status, body } = await api.ask('GET', `${PATHS[one].replace('NS', namespace)}/${name}`)
    if (status === 404) continue
    if (status >= 400) throw fromStatus(status, body, `reading ${one}/${name}`)
    switch (one) {
      case 'service':
        return await ofService(api, namespace, body as V1Service)
      case 'pod':
        return { pod: body as V1Pod, ports: [] }
      default:
        return { pod: await ofWorkload(api, namespace, body as V1Deployment), ports: [] }
    }
  }
  const what = kind ?? 'Service, Deployment, StatefulSet or Pod'
  const missing = clusterError(
    'target-unknown',
    `there is no ${what} ${JSON.stringify(name)} in namespace ${namespace}`,
  )
  throw await missingIn(api, namespace, missing)
}

async function ofService(api: ApiPort, namespace: string, { metadata, spec }: V1Service): Promise<PlaceTarget> {
  // One that is exchanged leads to a shadow now, and is known by the selector that it had.
  const selector = readRecord(metadata?.annotations)?.selector ?? spec?.selector ?? {}
  const ports = spec?.ports ?? []
  const name = `Service ${metadata!.name}`
  if (Object.keys(selector).length === 0)
    throw clusterError('target-unfit', `${name} has no selector, so no pod is behind it`, 'name a Deployment or Pod')
  const pod = (await podOf(api, namespace, { matchLabels: selector })) ?? (await templateFor(api, namespace, selector))
  if (pod) return { pod, ports }
  throw clusterError(
    'not-ready',
    `${name} has no pod, and no workload that makes one is known`,
    'name a Deployment or Pod',
  )
}

async function ofWorkload(api: ApiPort, namespace: string, { spec }: V1Deployment): Promise<V1Pod> {
  return (await podOf(api, namespace, spec!.selector)) ?? templateOf(namespace, spec!.template)
}

/** The best of them to stand for all; undefined where there is none. */
async function podOf(api: ApiPort, namespace: string, selector: V1LabelSelector): Promise<V1Pod | undefined> {
  const query = { labelSelector: selectorText(selector) }
  const { items } = await api.get<{ items: V1Pod[] }>(PATHS.pod.replace('NS', namespace), query)
  const managed = Object.entries(MANAGED_LABELS)
  const rank = (pod: V1Pod) => (isReady(pod) ? 2 : pod.status?.phase === 'Running' ? 1 : 0)
  return items
    .filter(({ metadata }) => !metadata?.deletionTimestamp)
    .filter(({ metadata }) => !managed.every(([key, value]) => metadata?.labels?.[key] === value))
    .sort((a, b) => rank(b) - rank(a))[0]
}

/** Of the workload whose pods a Service leads to, if just one can be seen. */
async function templateFor(
  api: ApiPort,
  namespace: string,
  labels: Record<string, string>,
): Promise<V1Pod | undefined> {
  const lists = await Promise.all(
    WORKLOADS.map(async (kind) => {
      const { status, body } = await api.ask('GET', PATHS[kind].replace('NS', namespace))
      return status === 200 ? (body as unknown as { items: V1Deployment[] }).items : []
    }),
  )
  const fit = lists
    .flat()
    .flatMap(({ spec }) => spec?.template ?? [])
    .filter(({ metadata }) => Object.entries(labels).every(([key, value]) => metadata?.labels?.[key] === value))
  return fit.length === 1 ? templateOf(namespace, fit[0]) : undefined
}

function templateOf(namespace: string, { metadata, spec }: NonNullable<V1Deployment['spec']>['template']): V1Pod {
  const { labels, annotations } = metadata ?? {}
  // The API server writes it into pods, and leaves it out of templates.
  const serviceAccountName = spec?.serviceAccountName ?? 'default'
  return { metadata: { namespace, labels, annotations }, spec: { ...spec!, serviceAccountName } }
}
