// What a request needs to be let in: headers, TLS material, agent. @kubernetes/client-node makes it of the kubeconfig
// (client certificates, tokens, exec plugins, OIDC, proxies); its failures get words here.
import { X509Certificate } from 'node:crypto'
import type { Agent, RequestOptions } from 'node:https'
import { clusterError } from './errors.ts'
import type { Kubeconfig } from './kubeconfig.ts'
import type { ClusterError } from './port.ts'

/** For one request; tokens and certificates of plugins expire, so ask again for the next. */
export interface Credentials {
  headers: Record<string, string>
  tls: { ca?: string; cert?: string; key?: string; servername?: string; rejectUnauthorized: boolean }
  agent: Agent
}

// An exec plugin may ask an identity provider across the world, or wait for a person who is not there.
const PLUGIN_TIMEOUT_MS = 60_000

/** Throws ClusterError `credentials` or `kubeconfig-invalid`. */
export async function credentialsOf(kubeconfig: Kubeconfig): Promise<Credentials> {
  const options: RequestOptions & { headers: Record<string, string> } = { headers: {} }
  try {
    await limit(kubeconfig.config.applyToHTTPSOptions(options), PLUGIN_TIMEOUT_MS)
  } catch (error) {
    throw refused(error as Error, kubeconfig)
  }
  const agent = options.agent as Agent & { keepAlive: boolean }
  agent.keepAlive = true // client-node makes it without, which costs a TLS handshake a request
  if (options.auth) options.headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`
  return {
    headers: options.headers,
    tls: {
      ...pem('ca', options.ca),
      ...pem('cert', options.cert),
      ...pem('key', options.key),
      ...(options.servername && { servername: options.servername }),
      rejectUnauthorized: options.rejectUnauthorized ?? true,
    },
    agent,
  }
}

/** Words for a 401: when what was shown had expired at `serverTime` (ms), it says so. */
export function explainUnauthorized(
  kubeconfig: Kubeconfig,
  { headers, tls }: Credentials,
  serverTime: number,
  message: string,
): ClusterError {
  const { user } = kubeconfig.identity
  const expired = (what: string, when: Date) =>
    clusterError('credentials', `the ${what} of user ${JSON.stringify(user)} expired on ${when.toISOString()}`)
  if (tls.cert) {
    const validTo = certificateEnd(tls.cert)
    if (validTo && validTo.getTime() < serverTime) return expired('client certificate', validTo)
  }
  const token = /^Bearer (.+)$/.exec(headers['Authorization'] ?? '')?.[1]
  const end = token && tokenEnd(token)
  if (end && end.getTime() < serverTime) return expired('token', end)
  if (!token && !tls.cert && !headers['Authorization'])
    return clusterError('credentials', `user ${JSON.stringify(user)} of the kubeconfig has no credentials: ${message}`)
  return clusterError('credentials', `the API server does not accept user ${JSON.stringify(user)}: ${message}`)
}

function pem(key: 'ca' | 'cert' | 'key', value: RequestOptions['ca'] | RequestOptions['key']) {
  return value === undefined || value === null ? {} : { [key]: String(value) }
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

function refused(error: NodeJS.ErrnoException, { config, identity }: Kubeconfig): ClusterError {
  const user = config.getCurrentUser()
  const name = JSON.stringify(identity.user)
  if (user?.exec) {
    const command = JSON.stringify(String(user.exec.command))
    const hint = typeof user.exec.installHint === 'string' ? user.exec.installHint.trim().split('\n')[0] : undefined
    if (error.code === 'ENOENT' || error.code === 'EACCES')
      return clusterError(
        'credentials',
        `the credential plugin ${command} of user ${name} cannot be run (${error.code})`,
        hint ?? 'install it, or check its path in the kubeconfig',
      )
    return clusterError('credentials', `the credential plugin ${command} of user ${name} failed: ${lastLine(error)}`)
  }
  // Certificates and keys named as files are read at each use.
  if (error.code === 'ENOENT' || error.code === 'EACCES')
    return clusterError('kubeconfig-invalid', `user ${name}: ${error.path} cannot be read (${error.code})`)
  return clusterError('credentials', `no credentials for user ${name}: ${lastLine(error)}`)
}

function lastLine(error: Error): string {
  const lines = error.message.split('\n').filter((line) => line.trim() !== '')
  if (error instanceof SyntaxError) return `its answer is no JSON (${lines.at(-1)})`
  if (error instanceof TypeError) return 'its answer has no status with a token or certificate'
  return lines.at(-1)?.trim() ?? 'it said nothing'
}

async function limit<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
