// Where `kt forward` leads: from a Service, Deployment, StatefulSet or Pod and a port to one address that the shadow
// can dial. Asked again when a dial fails and when a pod may have been replaced, since a pod's address is only lent.
import type { V1EndpointSlice, V1LabelSelector, V1Pod, V1Service } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import type { ForwardRequest, ForwardTarget } from './calls.ts'
import { clusterError, fromStatus } from './errors.ts'
import { missingIn } from './missing.ts'
import { isReady, longLivedContainers, selectorText } from './pods.ts'
import { parseTarget, type TargetKind } from './target.ts'

const paths: Record<TargetKind, string> = {
  service: '/api/v1/namespaces/NS/services',
  deployment: '/apis/apps/v1/namespaces/NS/deployments',
  statefulset: '/apis/apps/v1/namespaces/NS/statefulsets',
  pod: '/api/v1/namespaces/NS/pods',
}
const words: Record<TargetKind, string> = {
  service: 'Service',
  deployment: 'Deployment',
  statefulset: 'StatefulSet',
  pod: 'Pod',
}
// Where only a name is given, it is looked for in this order.
const order: TargetKind[] = ['service', 'deployment', 'statefulset', 'pod']
const MOST_NAMES = 10

/**
 * Throws ClusterError: `target-unknown`, `target-unfit` where it can never work (no such port, ExternalName, UDP),
 * `not-ready` where there is no ready pod now.
 */
export async function resolveForward(api: Api, namespace: string, request: ForwardRequest): Promise<ForwardTarget> {
  const { kind, name } = parseTarget(request.target)
  for (const one of kind ? [kind] : order) {
    const { status, body } = await api.ask('GET', `${paths[one].replace('NS', namespace)}/${name}`)
    if (status === 404) continue
    if (status >= 400) throw fromStatus(status, body, `reading the ${words[one]} ${name}`)
    const context = { api, namespace, request, name: `${one}/${name}` }
    switch (one) {
      case 'service':
        return await toService(context, body as V1Service)
      case 'pod':
        return toPod(context, body as V1Pod)
      default:
        return await toWorkload(context, (body as { spec: { selector: V1LabelSelector } }).spec.selector)
    }
  }
  throw await unknown(api, namespace, kind, name)
}

interface Context {
  api: Api
  namespace: string
  request: ForwardRequest
  /** As `service/web`. */
  name: string
}

async function toService(context: Context, service: V1Service): Promise<ForwardTarget> {
  const { namespace, name } = context
  const spec = service.spec!
  if (spec.type === 'ExternalName')
    throw clusterError(
      'target-unfit',
      `${name} is an ExternalName, another name for ${spec.externalName}`,
      `connect to ${spec.externalName} itself`,
    )
  const ports = spec.ports ?? []
  const port = pickServicePort(context, ports)
  if ((port.protocol ?? 'TCP') !== 'TCP')
    throw clusterError(
      'target-unfit',
      `port ${port.port} of ${name} is ${port.protocol}, and \`kt forward\` carries TCP only`,
      '`kt up` carries UDP too',
    )
  if (spec.clusterIP && spec.clusterIP !== 'None')
    return { name, namespace, address: spec.clusterIP, port: port.port, pod: undefined }
  return await toEndpoint(context, service, port.name)
}

function pickServicePort(
  { request, name, namespace }: Context,
  ports: NonNullable<V1Service['spec']>['ports'] & object,
) {
  const wanted = request.remote ?? String(request.local)
  const found = ports.filter((each) => String(each.port) === wanted || each.name === wanted)
  const port = found.find((each) => (each.protocol ?? 'TCP') === 'TCP') ?? found[0]
  if (port) return port
  const tcp = ports.filter((each) => (each.protocol ?? 'TCP') === 'TCP')
  if (request.remote === undefined && tcp.length === 1) return tcp[0]
  if (tcp.length === 0) throw clusterError('target-unfit', `${name} has no TCP port`, 'forward to a Pod instead')
  const list = tcp.map((each) => `${each.port}${each.name ? ` (${each.name})` : ''}`).join(', ')
  throw request.remote === undefined
    ? clusterError(
        'target-unfit',
        `${name} has several ports: ${list}`,
        `name one: \`kt forward ${request.target} ${request.local}:${tcp[0].port} -n ${namespace}\``,
      )
    : clusterError('target-unfit', `${name} has no port ${wanted}`, `its ports are ${list}`)
}

/** A headless Service has no address of its own: one of its ready pods is taken. */
async function toEndpoint({ api, namespace, name, request }: Context, service: V1Service, portName?: string) {
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
  const selector = { labelSelector: `kubernetes.io/service-name=${service.metadata!.name}` }
  const { items } = await api.get<{ items: V1EndpointSlice[] }>(path, selector)
  const candidates = items.flatMap((slice) => {
    const port = slice.ports?.find((each) => (each.name ?? '') === (portName ?? ''))?.port
    if (port === undefined || port === null) return []
    return (slice.endpoints ?? [])
      .filter(({ conditions }) => conditions?.ready !== false)
      .map(({ addresses, targetRef }) => ({ address: addresses[0], port, pod: targetRef?.name ?? addresses[0] }))
  })
  const chosen = candidates.find(({ pod }) => pod === request.preferPod) ?? candidates[0]
  if (!chosen) throw clusterError('not-ready', `${name} has no ready pod`, podsHint(namespace))
  return { name, namespace, ...chosen }
}

async function toWorkload(context: Context, selector: V1LabelSelector): Promise<ForwardTarget> {
  const { api, namespace, name, request } = context
  const query = { labelSelector: selectorText(selector) }
  const { items } = await api.get<{ items: V1Pod[] }>(paths.pod.replace('NS', namespace), query)
  const ready = items.filter(isReady)
  const pod = ready.find((each) => each.metadata!.name === request.preferPod) ?? ready[0]
  if (!pod)
    throw clusterError(
      'not-ready',
      items.length === 0 ? `${name} has no pod` : `none of the ${items.length} pods of ${name} is ready`,
      podsHint(namespace),
    )
  return toPod(context, pod)
}

function toPod({ namespace, name, request }: Context, pod: V1Pod): ForwardTarget {
  const wanted = request.remote ?? String(request.local)
  const declared = longLivedContainers(pod).flatMap((container) => container.ports ?? [])
  const port = /^\d+$/.test(wanted) ? Number(wanted) : declared.find((each) => each.name === wanted)?.containerPort
  if (!port) {
    const named = declared.map((each) => `${each.containerPort}${each.name ? ` (${each.name})` : ''}`).join(', ')
    throw clusterError(
      'target-unfit',
      `${name} has no port ${wanted}`,
      named ? `its ports are ${named}` : 'it names no ports; give a number',
    )
  }
  if (!isReady(pod) || !pod.status?.podIP)
    throw clusterError('not-ready', `pod ${pod.metadata!.name} is not ready`, podsHint(namespace))
  return { name, namespace, address: pod.status.podIP, port, pod: pod.metadata!.name! }
}

function podsHint(namespace: string): string {
  return `\`kubectl -n ${namespace} get pods\` shows why`
}

/** Names what there is of the kind that was asked for. */
async function unknown(api: Api, namespace: string, kind: TargetKind | undefined, name: string) {
  const listed = kind ?? 'service'
  const { status, body } = await api.ask('GET', paths[listed].replace('NS', namespace))
  const items = status === 200 ? (body as unknown as { items: V1Service[] }).items : []
  const names = items.map(({ metadata }) => metadata!.name!).slice(0, MOST_NAMES)
  const more = items.length > MOST_NAMES ? ', …' : ''
  const hint = names.length > 0 ? `${words[listed]}s there: ${names.join(', ')}${more}` : undefined
  const what = kind ? words[kind] : 'Service, Deployment, StatefulSet or Pod'
  const text = `there is no ${what} ${JSON.stringify(name)} in namespace ${namespace}`
  return missingIn(api, namespace, clusterError('target-unknown', text, hint))
}
