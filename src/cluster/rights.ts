// Asks the API server what this user may do, where finding out by trying would come too late to be told well.
import type { V1SelfSubjectAccessReview } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import { clusterError } from './errors.ts'

/** Throws ClusterError `forbidden` when a port-forward to pods of the namespace will be refused. */
export async function checkPortForward(api: Api, namespace: string): Promise<void> {
  const [get, create] = await Promise.all([
    may(api, namespace, 'get', 'pods', 'portforward'),
    may(api, namespace, 'create', 'pods', 'portforward'),
  ])
  if (!get) throw missing('get', namespace)
  // A WebSocket begins with GET; from 1.35 on the API server wants `create` for it as well.
  if (!create && (await minorVersion(api)) >= 35) throw missing('create', namespace)
}

function missing(verb: string, namespace: string) {
  return clusterError(
    'forbidden',
    `this user cannot ${verb} pods/portforward in the namespace ${JSON.stringify(namespace)}`,
  )
}

async function may(api: Api, namespace: string, verb: string, resource: string, subresource: string): Promise<boolean> {
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace, verb, resource, subresource } },
  }
  const answer = await api.ask('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body })
  // Who may not even ask is let through: the attempt itself will tell.
  return answer.status >= 400 || (answer.body as V1SelfSubjectAccessReview).status?.allowed === true
}

async function minorVersion(api: Api): Promise<number> {
  const { minor } = await api.get<{ minor: string }>('/version')
  return Number.parseInt(minor, 10)
}
