// Who asks the API-server double, and what they may: an admin, a developer with rights in two namespaces only, and
// nobody. A bearer token or a client certificate says who; faults can take more away.
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

export interface User {
  name: string
  groups: string[]
}

export interface Attempt {
  verb: string
  group: string
  resource: string
  namespace?: string
  name?: string
  subresource?: string
}

const admin: User = { name: 'admin', groups: ['system:masters'] }
const developer: User = { name: 'developer', groups: ['developers'] }
/** May read pods in `shop` and nothing else. */
const guest: User = { name: 'guest', groups: [] }

export const users = { admin, developer, guest }
export type UserName = keyof typeof users

const developerNamespaces = ['shop', 'strict']

/** Undefined: 401. An expired certificate counts for nothing, as in any API server. */
export function authenticate(request: IncomingMessage, tokens: Record<string, UserName>): User | undefined {
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return tokens[bearer] && users[tokens[bearer]]
  const socket = request.socket as TLSSocket
  if (!socket.authorized) return undefined
  return users[socket.getPeerCertificate().subject?.CN as unknown as UserName]
}

export function authorize(user: User, attempt: Attempt, forbid: readonly string[]): boolean {
  const what = attempt.subresource ? `${attempt.resource}/${attempt.subresource}` : attempt.resource
  if (forbid.includes(`${attempt.verb} ${what}`)) return false
  if (attempt.group.startsWith('authorization.k8s.io') || attempt.group.startsWith('authentication.k8s.io')) return true
  if (user === admin) return true
  if (user === guest) return attempt.resource === 'pods' && attempt.namespace === 'shop' && attempt.verb !== 'create'
  // The role `edit`, bound in two namespaces: reads its namespace's Namespace object, too.
  const namespace = attempt.resource === 'namespaces' ? attempt.name : attempt.namespace
  if (!developerNamespaces.includes(namespace ?? '')) return false
  return attempt.resource !== 'namespaces' || attempt.verb === 'get'
}

/** The words of Kubernetes, which kt's messages are made from. */
export function forbiddenMessage(user: User, attempt: Attempt): string {
  const group = attempt.group === '' ? '' : `.${attempt.group}`
  const what = attempt.subresource ? `${attempt.resource}/${attempt.subresource}` : attempt.resource
  const name = attempt.name ? ` "${attempt.name}"` : ''
  const where = attempt.namespace ? `in the namespace "${attempt.namespace}"` : 'at the cluster scope'
  return `${attempt.resource}${group}${name} is forbidden: User "${user.name}" cannot ${attempt.verb} resource "${what}" in API group "${attempt.group}" ${where}`
}
