// Asks the API server what this user may do, where finding out by trying would come too late to be told well.
import type { V1SelfSubjectAccessReview } from '@kubernetes/client-node'
import { clusterError } from './errors.ts'
import type { ApiPort } from './follow.ts'

/** Something to do in the cluster. */
export interface Right {
  verb: string
  /** API group; '' is the core's. */
  group: string
  resource: string
  subresource?: string
  /** Left out: in the whole cluster. */
  namespace?: string
}

/** Throws ClusterError `forbidden` when a port-forward to pods of the namespace will be refused. */
export async function checkPortForward(api: ApiPort, namespace: string): Promise<void> {
  const forward = { group: '', resource: 'pods', subresource: 'portforward', namespace }
  const [get, create] = await Promise.all([
    may(api, { verb: 'get', ...forward }),
    may(api, { verb: 'create', ...forward }),
  ])
  // Who may not even ask is let through: the attempt itself will tell.
  if (get === false) throw missing('get', namespace)
  // A WebSocket begins with GET; from 1.35 on the API server wants `create` for it as well.
  if (create === false && (await minorVersion(api)) >= 35) throw missing('create', namespace)
}

function missing(verb: string, namespace: string) {
  return clusterError(
    'forbidden',
    `this user cannot ${verb} pods/portforward in the namespace ${JSON.stringify(namespace)}`,
  )
}

/** Undefined where the API server does not say. Throws ClusterError when it cannot be asked at all. */
export async function may(api: ApiPort, right: Right): Promise<boolean | undefined> {
  // One by one: what else the caller's object has would be a field that the API server does not know, and warns of.
  const { verb, group, resource, subresource, namespace } = right
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb, group, resource, subresource, namespace } },
  }
  const answer = await api.ask('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body })
  if (answer.status >= 400) return undefined
  return (answer.body as V1SelfSubjectAccessReview).status?.allowed === true
}

/** Of Kubernetes 1.MINOR. */
export async function minorVersion(api: ApiPort): Promise<number> {
  const { minor } = await api.get<{ minor: string }>('/version')
  return Number.parseInt(minor, 10)
}
