// From what the API server, TLS and the sockets say to the few errors a user can act on.
import { ToldError } from '../base/told-error.ts'
import { unreachableWords } from '../base/unreachable.ts'
import { ClusterError, type ClusterErrorCode } from './calls.ts'
import type { Kubeconfig } from './kubeconfig.ts'

/** A meta/v1 Status, the body of every refused request. */
export interface Status {
  kind?: string
  code?: number
  reason?: string
  message?: string
  details?: { name?: string; kind?: string; group?: string; causes?: { message?: string; field?: string }[] }
}

const hints: Record<ClusterErrorCode, string> = {
  'kubeconfig-missing': 'use --kubeconfig FILE, or set KUBECONFIG',
  'kubeconfig-invalid': 'mend the kubeconfig',
  'context-unknown': 'use --context',
  credentials: 'log in to the cluster again, or ask its administrator for a new kubeconfig',
  unreachable: 'check the network, VPN or proxy to the API server; `kubectl version` needs the same way',
  tls: "check the kubeconfig's certificate-authority, server and tls-server-name",
  forbidden: 'ask for this right: docs/operate/rights.md has a Role with all that kt needs',
  admission: 'change what is asked for (the flags are in `kt up --help`), or ask the administrator of the cluster',
  'image-pull': 'check the name with --image, and --image-pull-secret if the registry wants a login',
  unschedulable: 'check --node-selector, --toleration and --pod-resources, or wait until the cluster has room',
  crashed: '--image changes what runs in the pod; `kubectl logs` of it may say more',
  timeout: 'try again, or with a longer --ready-timeout',
  'namespace-missing': 'use --namespace with one that is there',
  gone: 'try again: what is gone is made anew',
  'target-unknown': 'name it as [service/|deployment/|statefulset/|pod/]NAME, with -n for another namespace',
  'target-unfit': 'name another target or port',
  'not-ready': '`kubectl get pods` shows why they are not ready',
  held: 'ask them, or take it over with --force',
  'taken-over': 'talk to them; nothing is left to put back here',
  'name-taken': 'take another name',
  internal: 'this is unexpected; please report it, with the log of KT_LOG=debug',
}

/** A ClusterError with the usual hint of its code. */
export function clusterError(code: ClusterErrorCode, message: string, hint = hints[code]): ClusterError {
  return new ClusterError(code, oneLine(message), hint)
}

/**
 * Under sudo, what a credential plugin or a proxy needs of the environment is often gone: then that is what to do first.
 * `env` is what kt was started with.
 */
export function withSudoHint(error: ClusterError, env: Record<string, string | undefined>): ClusterError {
  if (env['SUDO_USER'] === undefined) return error
  const hint = 'sudo keeps little of the environment: `kt up` without sudo keeps it and asks for root itself'
  return new ClusterError(error.code, error.message, `${error.hint}; ${hint}`)
}

/** What a refused request means. `doing` completes "while ...": `creating Job kt-shadow-x`. */
export function fromStatus(httpStatus: number, body: unknown, doing: string): ClusterError {
  const status: Status = typeof body === 'object' && body !== null ? body : {}
  const message = plainWords(
    status.message ?? (typeof body === 'string' && body.trim() ? body.trim().slice(0, 300) : 'no reason'),
  )
  switch (httpStatus) {
    case 401:
      return clusterError('credentials', `the API server does not accept the credentials: ${message}`)
    case 403:
      if (/cannot \w+ resource|cannot impersonate/.test(message)) return clusterError('forbidden', right(message))
      return clusterError('admission', message)
    case 404:
      if (status.details?.kind === 'namespaces')
        return clusterError('namespace-missing', `there is no namespace ${JSON.stringify(status.details.name)}`)
      return clusterError('gone', `${doing}: ${message}`)
    case 400:
    case 409:
      // Somebody else's object has the name that was to be given.
      if (status.reason === 'AlreadyExists') return clusterError('name-taken', `${doing}: ${message}`)
      return clusterError('admission', `${doing}: ${message}`)
    case 422:
      return clusterError('admission', `${doing}: ${message}`)
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      // A webhook that does not answer is a refusal of this request; the rest is the API server's own trouble.
      if (/webhook/.test(message)) return clusterError('admission', message)
      return clusterError('unreachable', `the API server cannot serve this now (${httpStatus}): ${message}`)
    case 410:
      return clusterError('gone', `${doing}: ${message}`)
    default:
      return clusterError(
        'unreachable',
        `${doing}: the API server, or what lies before it, answered ${httpStatus}: ${message}`,
        "check the kubeconfig's server, and the proxy to it; `kubectl version` needs the same way",
      )
  }
}

// What the API server says of values that it refuses ends with the regular expression it used.
function plainWords(message: string): string {
  return message
    .replace(/:? ?quantities must match the regular expression '[^']*'/g, ': it is no amount like 100m or 64Mi')
    .replace(/(,| \(|;)? ?regex used for validation is '[^']*'/g, '')
}

/** What a connection that failed means. */
export function fromTransport(
  error: Error & { code?: string },
  { identity, proxy, env }: Pick<Kubeconfig, 'proxy' | 'env'> & { identity: { server: string } },
): ClusterError {
  // What the way through a proxy says of itself.
  if (error instanceof ToldError) return withSudoHint(clusterError('unreachable', error.message, error.hint), env)
  const code = error.code ?? ''
  const words = unreachableWords(error)
  const said = error.message.split('\n')[0]
  const server = proxy
    ? `the API server ${identity.server} behind the proxy ${withoutPassword(proxy)}`
    : `the API server ${identity.server}`
  const lost = (why: string) => withSudoHint(clusterError('unreachable', `${server} ${why}`), env)
  if (words) return lost(words)
  if (/wrong.version.number|packet.length.too.long/i.test(`${code} ${said}`))
    return clusterError(
      'tls',
      `${server} does not speak TLS`,
      "check the kubeconfig's server: host, port, and http or https",
    )
  if (/^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|UNABLE_|SELF_SIGNED|DEPTH_ZERO|CERT_|EPROTO|HOSTNAME_MISMATCH)/.test(code))
    return clusterError('tls', `${server} is not trusted: ${said}`)
  if (code.startsWith('HPE_'))
    return clusterError(
      'unreachable',
      `${server} does not speak HTTP`,
      "check the kubeconfig's server: host, port, and http or https",
    )
  return lost(`cannot be used: ${said}`)
}

// `jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch" in the namespace "y"`: the
// sentence after the colon says it all.
function right(message: string): string {
  return message.replace(/^.*? is forbidden: /, '').replace(/^User/, 'user')
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/.*@/, '//')
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim()
}
