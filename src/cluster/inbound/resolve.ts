// From what the user named to the Service that is to be exchanged, and in scale mode to the workload behind it.
import type { V1Deployment, V1Pod, V1Service, V1StatefulSet } from '@kubernetes/client-node'
import type { ClusterError } from '../calls.ts'
import { clusterError, fromStatus } from '../errors.ts'
import type { ApiPort } from '../follow.ts'
import { missingIn } from '../missing.ts'
import { parseTarget } from '../target.ts'
import { type Labels, labelText, MANAGED_LABELS, readRecord } from './record.ts'

const MANAGED = 'app.kubernetes.io/managed-by'

export interface Workload {
  kind: 'Deployment' | 'StatefulSet'
  object: V1Deployment | V1StatefulSet
}

export interface Found {
  /** Undefined in scale mode where no single Service leads to the workload. */
  service: V1Service | undefined
  workload: Workload | undefined
  /** Pods that the Service selects now, as far as they may be listed. */
  pods: V1Pod[]
  /** `web`, or `deployment/web`; names lease and messages. */
  target: string
  /** All Services that lead to the workload: in scale mode they lose their pods. */
  services: V1Service[]
  /** A sentence where more comes here than was named. */
  more?: string
}

export const servicePath = (namespace: string, name?: string) =>
  `/api/v1/namespaces/${namespace}/services${name ? `/${name}` : ''}`

export function workloadPath(namespace: string, kind: Workload['kind'], name?: string): string {
  const plural = kind === 'Deployment' ? 'deployments' : 'statefulsets'
  return `/apis/apps/v1/namespaces/${namespace}/${plural}${name ? `/${name}` : ''}`
}

/** Throws ClusterError `target-unknown` or `target-unfit`. */
export async function resolveTarget(
  api: ApiPort,
  namespace: string,
  text: string,
  mode: 'selector' | 'scale',
): Promise<Found> {
  const { kind, name } = parseTarget(text)
  if (kind === undefined || kind === 'service') {
    const service = await find<V1Service>(api, servicePath(namespace, name))
    if (!service) throw await unknownService(api, namespace, name, kind === undefined)
    const selector = fitSelector(service)
    const pods = await listPods(api, namespace, selector)
    if (mode === 'selector') return { service, workload: undefined, pods, target: name, services: [service] }
    const workload = await workloadOf(api, namespace, `Service ${name}`, selector)
    const services = await servicesOf(api, namespace, workload.object.spec?.template.metadata?.labels ?? {})
    return { service, workload, pods, target: name, services }
  }
  const [labels, workload] = await labelsOf(api, namespace, kind, name)
  const services = await servicesOf(api, namespace, labels)
  if (mode === 'scale') {
    if (!workload)
      throw clusterError(
        'target-unfit',
        `no Deployment or StatefulSet made the Pod ${name}`,
        'name the Deployment or StatefulSet',
      )
    const service = services.length === 1 ? services[0] : undefined
    const target = service?.metadata?.name ?? `${workload.kind.toLowerCase()}/${workload.object.metadata!.name}`
    const pods = await listPods(api, namespace, labels)
    const more =
      kind === 'pod' ? `${target} is scaled to 0: all its pods are replaced, not only the Pod ${name}` : undefined
    return { service, workload, pods, target, services, more }
  }
  if (services.length !== 1) {
    const names = services.map(({ metadata }) => metadata!.name).join(', ')
    throw services.length === 0
      ? clusterError('target-unfit', `no Service leads to ${text}`, 'use --mode scale, or `kt run` for a new Service')
      : clusterError(
          'target-unfit',
          `several Services lead to ${text}: ${names}`,
          'name the one you mean: service/NAME',
        )
  }
  const [service] = services
  const pods = await listPods(api, namespace, fitSelector(service))
  const more = moreThanNamed(service, kind, name, labels, pods)
  return { service, workload: undefined, pods, target: service.metadata!.name!, services, more }
}

/** A Service is changed as a whole, whichever of its pods was named. */
function moreThanNamed(
  { metadata }: V1Service,
  kind: 'deployment' | 'statefulset' | 'pod',
  name: string,
  labels: Labels,
  pods: V1Pod[],
): string | undefined {
  const whole = `all requests to Service ${metadata!.name} come here`
  if (kind === 'pod') {
    const count = pods.length > 1 ? `, which leads to ${pods.length} pods` : ''
    return `${whole}${count}: a single Pod (${name}) cannot be exchanged`
  }
  const others = pods.filter((pod) => !covers(labels, pod.metadata?.labels ?? {})).length
  return others > 0
    ? `${whole}, also those that reached the ${others} pods of it which are not of ${kind}/${name}`
    : undefined
}

/** The selector, or the error of a Service that has none. */
function fitSelector(service: V1Service): Labels {
  const { name } = service.metadata!
  const { type, externalName, selector = {} } = service.spec!
  if (type === 'ExternalName')
    throw clusterError(
      'target-unfit',
      `Service ${name} is an ExternalName: only another name for ${externalName}, without pods`,
      `exchange the Service that ${externalName} is, or change this one with its owner`,
    )
  if (Object.keys(selector).length === 0)
    throw clusterError(
      'target-unfit',
      `Service ${name} has no selector: somebody else keeps its endpoints by hand`,
      '`kt run` makes a new Service that leads here',
    )
  return selector
}

/** Undefined when it is not there. */
export async function find<T>(api: ApiPort, path: string): Promise<T | undefined> {
  try {
    return await api.get<T>(path)
  } catch (error) {
    if ((error as ClusterError).code === 'gone') return undefined
    throw error
  }
}

async function labelsOf(
  api: ApiPort,
  namespace: string,
  kind: 'deployment' | 'statefulset' | 'pod',
  name: string,
): Promise<[Labels, Workload | undefined]> {
  const words = { deployment: 'Deployment', statefulset: 'StatefulSet', pod: 'Pod' } as const
  const text = `there is no ${words[kind]} ${JSON.stringify(name)} in namespace ${namespace}`
  const missing = () => missingIn(api, namespace, clusterError('target-unknown', text))
  if (kind === 'pod') {
    const pod = await find<V1Pod>(api, `/api/v1/namespaces/${namespace}/pods/${name}`)
    if (!pod) throw await missing()
    return [pod.metadata?.labels ?? {}, await makerOf(api, namespace, pod)]
  }
  const workload = words[kind] as Workload['kind']
  const object = await find<V1Deployment>(api, workloadPath(namespace, workload, name))
  if (!object) throw await missing()
  return [object.spec?.template.metadata?.labels ?? {}, { kind: workload, object }]
}

async function makerOf(api: ApiPort, namespace: string, pod: V1Pod): Promise<Workload | undefined> {
  const owner = pod.metadata?.ownerReferences?.find(({ controller }) => controller)
  if (owner?.kind === 'StatefulSet') {
    const object = await find<V1StatefulSet>(api, workloadPath(namespace, 'StatefulSet', owner.name))
    return object && { kind: 'StatefulSet', object }
  }
  if (owner?.kind !== 'ReplicaSet') return undefined
  const set = await find<V1Deployment>(api, `/apis/apps/v1/namespaces/${namespace}/replicasets/${owner.name}`)
  const maker = set?.metadata?.ownerReferences?.find(({ kind }) => kind === 'Deployment')
  const object = maker && (await find<V1Deployment>(api, workloadPath(namespace, 'Deployment', maker.name)))
  return object && { kind: 'Deployment', object }
}

async function workloadOf(api: ApiPort, namespace: string, name: string, selector: Labels): Promise<Workload> {
  const kinds = ['Deployment', 'StatefulSet'] as const
  const lists = await Promise.all(
    kinds.map(async (kind) => {
      const { items } = await api.get<{ items: V1Deployment[] }>(workloadPath(namespace, kind))
      return items.map((object): Workload => ({ kind, object }))
    }),
  )
  const fit = lists.flat().filter(({ object }) => covers(selector, object.spec?.template?.metadata?.labels ?? {}))
  if (fit.length === 1) return fit[0]
  const names = fit.map(({ kind, object }) => `${kind.toLowerCase()}/${object.metadata!.name}`).join(', ')
  throw fit.length === 0
    ? clusterError(
        'target-unfit',
        `no Deployment or StatefulSet makes the pods of ${name}, so there is nothing to scale`,
        'use --mode selector',
      )
    : clusterError(
        'target-unfit',
        `several workloads make the pods of ${name}: ${names}`,
        'name one of them, or use --mode selector',
      )
}

async function servicesOf(api: ApiPort, namespace: string, labels: Labels): Promise<V1Service[]> {
  const { items } = await api.get<{ items: V1Service[] }>(servicePath(namespace))
  return items.filter(({ metadata, spec }) => {
    // One that is exchanged now is known by the selector it had.
    const selector = readRecord(metadata?.annotations)?.selector ?? spec?.selector ?? {}
    return (
      metadata?.labels?.[MANAGED] !== MANAGED_LABELS[MANAGED] &&
      Object.keys(selector).length > 0 &&
      covers(selector, labels)
    )
  })
}

function covers(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}

async function listPods(api: ApiPort, namespace: string, labels: Labels): Promise<V1Pod[]> {
  const { items } = await api.get<{ items: V1Pod[] }>(`/api/v1/namespaces/${namespace}/pods`, {
    labelSelector: labelText(labels),
  })
  return items
}

async function unknownService(api: ApiPort, namespace: string, name: string, plain: boolean): Promise<ClusterError> {
  const { status, body } = await api.ask('GET', servicePath(namespace))
  if (status === 401) throw fromStatus(status, body, 'listing services')
  const items = status === 200 ? (body as unknown as { items: V1Service[] }).items : []
  const names = items.map(({ metadata }) => metadata!.name!)
  const list = names.length > 10 ? `${names.slice(0, 10).join(', ')}, …` : names.join(', ')
  const others = plain ? '; a Deployment or Pod is named deployment/NAME, pod/NAME' : ''
  const error = clusterError(
    'target-unknown',
    `there is no Service ${JSON.stringify(name)} in namespace ${namespace}`,
    list ? `Services there: ${list}${others}` : `use -n for another namespace${others}`,
  )
  return missingIn(api, namespace, error)
}
