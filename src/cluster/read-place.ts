// Reads all that a container's environment and files are made of, and what cannot be read for lack of a right, and has the pure core
// (place/) compute them.
import type { V1ConfigMap, V1Container, V1Node, V1Pod, V1Secret, V1Service } from '@kubernetes/client-node'
import { fromStatus } from './errors.ts'
import type { ApiPort } from './follow.ts'
import { chooseContainer, servedPorts } from './place/choice.ts'
import { environmentOf, type UnreadServices } from './place/environment.ts'
import type { FieldFacts } from './place/fields.ts'
import type { SourceKind, Sources } from './place/sources.ts'
import { mountedVolumes, mountsOf, tokenKey, tokensOf, type VolumeFacts } from './place/volumes.ts'
import type { Place, PlaceRequest } from './place-calls.ts'
import { findPlace } from './place-target.ts'
import { longLivedContainers } from './pods.ts'
import { minorVersion } from './rights.ts'

interface Refused {
  refused: string
}

/** Throws ClusterError where the target is not there or may not be read. What else cannot be read is named in the result. */
export async function readPlace(
  api: ApiPort,
  namespace: string,
  request: PlaceRequest,
  wall: () => number,
): Promise<Place> {
  const { pod, ports } = await findPlace(api, namespace, request.target)
  const container = chooseContainer(pod, request.container, ports)
  const volumes = request.files ? mountedVolumes(pod, container) : []
  const [sources, node, { services, unread }, minor, { tokens, tokenMs }] = await Promise.all([
    readSources(api, namespace, pod, container, request.files),
    readNode(api, pod, container, request.files),
    readServices(api, namespace, pod, request.serviceLinks || expands(container)),
    minorVersion(api),
    readTokens(api, namespace, pod, request.tokens ? tokensOf(volumes) : [], wall),
  ])
  const facts = { pod, container, sources, ...node }
  const { serviceLinks } = request
  const all = environmentOf({ ...facts, services, unread, minor, serviceLinks: true })
  const { variables, missing } = serviceLinks
    ? all
    : environmentOf({ ...facts, services, unread, minor, serviceLinks: false })
  const known = new Map(all.variables.map(({ name, value }) => [name, value]))
  const { mounts, missing: missingFiles } = request.files
    ? mountsOf({ ...facts, variables: known, tokens: request.tokens ? tokens : undefined })
    : { mounts: [], missing: [] }
  return {
    namespace,
    pod: pod.metadata?.name ?? null,
    running: pod.status?.phase === 'Running',
    container: container.name,
    containers: longLivedContainers(pod).map(({ name }) => name),
    sharedProcesses: pod.spec?.shareProcessNamespace === true,
    variables,
    missing,
    mounts,
    missingFiles,
    tokenMs,
    ports: servedPorts(pod, container, ports),
  }
}

function expands({ env = [], volumeMounts = [] }: V1Container): boolean {
  return env.some(({ value }) => value?.includes('$(')) || volumeMounts.some(({ subPathExpr }) => subPathExpr)
}

async function readSources(
  api: ApiPort,
  namespace: string,
  pod: V1Pod,
  container: V1Container,
  files: boolean,
): Promise<Sources> {
  const names: Record<SourceKind, Set<string>> = { ConfigMap: new Set(), Secret: new Set() }
  const want = (kind: SourceKind, name: string | undefined) => name && names[kind].add(name)
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    want('ConfigMap', configMapRef?.name)
    want('Secret', secretRef?.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    want('ConfigMap', valueFrom?.configMapKeyRef?.name)
    want('Secret', valueFrom?.secretKeyRef?.name)
  }
  for (const { configMap, secret, projected } of files ? mountedVolumes(pod, container) : []) {
    want('ConfigMap', configMap?.name)
    want('Secret', secret?.secretName)
    for (const source of projected?.sources ?? []) {
      want('ConfigMap', source.configMap?.name)
      want('Secret', source.secret?.name)
    }
  }
  const [configMaps, secrets] = await Promise.all([
    readAll<V1ConfigMap>(api, namespace, 'configmaps', [...names.ConfigMap]),
    readAll<V1Secret>(api, namespace, 'secrets', [...names.Secret]),
  ])
  return { configMaps, secrets }
}

async function readAll<T>(api: ApiPort, namespace: string, resource: string, names: string[]) {
  const read = async (name: string): Promise<[string, T | Refused | null]> => {
    const path = `/api/v1/namespaces/${namespace}/${resource}/${name}`
    const { status, body } = await api.ask('GET', path)
    if (status === 404) return [name, null]
    if (status === 403) return [name, { refused: `you may not get ${resource} in namespace ${namespace}` }]
    if (status !== 200) throw fromStatus(status, body, `reading ${resource} ${name}`)
    return [name, body as T]
  }
  return new Map(await Promise.all(names.map(read)))
}

/** What the pod's node can give, where a limit that is not set is asked for. */
async function readNode(
  api: ApiPort,
  pod: V1Pod,
  { env = [] }: V1Container,
  files: boolean,
): Promise<Pick<FieldFacts, 'allocatable' | 'noNode'>> {
  const inVolumes = files ? JSON.stringify(pod.spec?.volumes ?? []).includes('"resourceFieldRef"') : false
  if (!inVolumes && !env.some(({ valueFrom }) => valueFrom?.resourceFieldRef)) return {}
  const name = pod.spec?.nodeName
  if (!name) return { noNode: 'and there is no pod now' }
  const { status, body } = await api.ask('GET', `/api/v1/nodes/${name}`)
  if (status === 200) return { allocatable: (body as unknown as V1Node).status?.allocatable ?? {} }
  return { noNode: status === 403 ? 'and you may not get nodes' : `and node ${name} cannot be read` }
}

/** The kubelet's: those of the namespace, and `kubernetes` of namespace default. */
async function readServices(
  api: ApiPort,
  namespace: string,
  pod: V1Pod,
  wanted: boolean,
): Promise<{ services: V1Service[]; unread: UnreadServices[] }> {
  const services: V1Service[] = []
  const unread: UnreadServices[] = []
  if (!wanted) return { services, unread }
  const [own, main] = await Promise.all([
    pod.spec?.enableServiceLinks === false ? undefined : api.ask('GET', `/api/v1/namespaces/${namespace}/services`),
    api.ask('GET', '/api/v1/namespaces/default/services/kubernetes'),
  ])
  const isMain = ({ metadata }: V1Service) => namespace === 'default' && metadata?.name === 'kubernetes'
  if (own?.status === 200)
    services.push(...(own.body as unknown as { items: V1Service[] }).items.filter((one) => !isMain(one)))
  else if (own)
    unread.push({ name: 'those of Services', why: `you may not list services in namespace ${namespace}`, prefix: '' })
  // A Service of the namespace that is called so too has lost its variables to this one.
  if (main.status === 200) services.push(main.body as V1Service)
  else
    unread.push({
      name: 'those of Service kubernetes',
      why: 'you may not get services in namespace default',
      prefix: 'KUBERNETES_',
    })
  return { services, unread }
}

/** As the kubelet asks for them: for the pod's service account, and bound to the pod. */
async function readTokens(
  api: ApiPort,
  namespace: string,
  { metadata, spec }: V1Pod,
  wishes: ReturnType<typeof tokensOf>,
  wall: () => number,
): Promise<{ tokens: NonNullable<VolumeFacts['tokens']>; tokenMs: number | null }> {
  const tokens = new Map<string, { token: string } | Refused>()
  let tokenMs: number | null = null
  const account = spec?.serviceAccountName || 'default'
  const bound = metadata?.name && {
    boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid },
  }
  await Promise.all(
    wishes.map(async (wish) => {
      const { audience, seconds } = wish
      const body = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { ...(audience && { audiences: [audience] }), expirationSeconds: seconds, ...bound },
      }
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
      const answer = await api.ask('POST', path, { body })
      const { token, expirationTimestamp } =
        (answer.body as { status?: { token?: string; expirationTimestamp?: string } }).status ?? {}
      if (answer.status < 300 && token) {
        tokens.set(tokenKey(wish), { token })
        // The API server may make it shorter or longer than it was asked for.
        const lives = Math.min(seconds * 1000, Date.parse(expirationTimestamp ?? '') - wall() || Infinity)
        tokenMs = Math.min(tokenMs ?? Infinity, lives)
      } else {
        const refused =
          answer.status === 403
            ? `you may not create serviceaccounts/token in namespace ${namespace}`
            : fromStatus(answer.status, answer.body, `asking for a token of ${account}`).message
        tokens.set(tokenKey(wish), { refused })
      }
    }),
  )
  return { tokens, tokenMs }
}
