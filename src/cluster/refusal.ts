// Answers that are about who asks, or that no API server gives: the same for every request, whatever it was about.
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ClusterError } from './calls.ts'
import type { Credentials } from './credentials.ts'
import { clusterError, type Status, withSudoHint } from './errors.ts'
import type { Kubeconfig } from './kubeconfig.ts'

/** The error that an answer other than a success means, unless it is about what was asked for. */
export function unfitAnswer(
  kubeconfig: Kubeconfig,
  credentials: Credentials,
  response: IncomingMessage,
  body: unknown,
): ClusterError | undefined {
  const status = response.statusCode!
  const message = typeof body === 'string' ? body.trim() : ((body as Status | null)?.message ?? '')
  if (status === 401) return unauthorized(kubeconfig, credentials, response, message || 'Unauthorized')
  // A user that the API server does not know has hardly any right, which is not what is to be mended.
  if (status === 403 && message.includes('User "system:anonymous"')) return anonymous(kubeconfig, credentials, message)
  const { identity } = kubeconfig
  const check = `check the server of cluster ${JSON.stringify(identity.cluster)} in the kubeconfig`
  if (status === 400 && /HTTP request (.* )?to an? (HTTPS|TLS)|plain HTTP request/i.test(message))
    return clusterError(
      'tls',
      `${identity.server} is plain http, and https is spoken there`,
      `${check}: it should begin with https://`,
    )
  if (status >= 300 && status < 400) {
    const to = response.headers.location
    return clusterError(
      'unreachable',
      `${identity.server} sends on${to ? ` to ${to}` : ''}, which no API server does`,
      check,
    )
  }
  return undefined
}

/** When what was shown had expired by the API server's clock, it says so. */
function unauthorized(
  { user, env }: Kubeconfig,
  { headers, tls }: Credentials,
  response: IncomingMessage,
  message: string,
): ClusterError {
  const serverTime = Date.parse(response.headers.date ?? '')
  const name = JSON.stringify(user.name)
  const expired = (what: string, when: Date) =>
    clusterError('credentials', `the ${what} of user ${name} expired on ${when.toISOString()}`)
  if (tls.cert) {
    const validTo = certificateEnd(tls.cert)
    if (validTo && validTo.getTime() < serverTime) return expired('client certificate', validTo)
  }
  const token = /^Bearer (.+)$/.exec(String(headers['Authorization'] ?? ''))?.[1]
  const end = token && tokenEnd(token)
  if (end && end.getTime() < serverTime) return expired('token', end)
  if (!tls.cert && !headers['Authorization']) return nobody(user.name, message)
  return withSudoHint(clusterError('credentials', `the API server does not accept user ${name}: ${message}`), env)
}

function anonymous({ user, proxy }: Kubeconfig, { headers, tls }: Credentials, message: string): ClusterError {
  if (!tls.cert && !headers['Authorization']) return nobody(user.name, message)
  return clusterError(
    'credentials',
    `the API server does not see the credentials of user ${JSON.stringify(user.name)}: ${message}`,
    proxy || tls.cert
      ? 'a proxy or load balancer that ends TLS does not pass a client certificate on: go past it, or use a token'
      : undefined,
  )
}

function nobody(user: string, message: string): ClusterError {
  return clusterError(
    'credentials',
    user
      ? `user ${JSON.stringify(user)} of the kubeconfig has no credentials: ${message}`
      : `the context names no user, so there are no credentials: ${message}`,
    'log in to the cluster: the user of the kubeconfig needs a token, a client certificate or a credential plugin',
  )
}

function certificateEnd(cert: string): Date | undefined {
  try {
    return new Date(new X509Certificate(cert).validTo)
  } catch {
    return undefined // not a certificate: then the API server's own words have to do
  }
}

// RFC 7519 4.1.4: `exp`, seconds since 1970.
function tokenEnd(token: string): Date | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp?: number }
    return typeof exp === 'number' ? new Date(exp * 1000) : undefined
  } catch {
    return undefined // an opaque token
  }
}
