// From what the API server, TLS and the sockets say to the few errors a user can act on.
import { ClusterError, type ClusterErrorCode } from './port.ts'

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
  forbidden: 'ask for this right: docs/rights.md has a Role with all that kt needs',
  admission: 'change what is asked for (the flags are in `kt up --help`), or ask the administrator of the cluster',
  'image-pull': 'check the name with --image, and --image-pull-secret if the registry wants a login',
  unschedulable: 'check --node-selector and --pod-resources, or wait until the cluster has room',
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

/** What a refused request means. `doing` completes "while ...": `creating Job kt-shadow-x`. */
export function fromStatus(httpStatus: number, body: unknown, doing: string): ClusterError {
  const status: Status = typeof body === 'object' && body !== null ? body : {}
  const message = status.message ?? (typeof body === 'string' && body.trim() ? body.trim().slice(0, 300) : 'no reason')
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
    default:
      return clusterError('internal', `${doing}: the API server answered ${httpStatus}: ${message}`)
  }
}

const unreachable: Record<string, string> = {
  ECONNREFUSED: 'refuses the connection',
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
  ETIMEDOUT: 'does not answer',
  EHOSTUNREACH: 'is not reachable from here (no route to host)',
  ENETUNREACH: 'is not reachable from here (no network)',
  ENOTFOUND: 'has a name that is not known',
  EAI_AGAIN: 'has a name that cannot be looked up now',
}

/** What a connection that failed means. `where` is the API server's URL. */
export function fromTransport(
  error: Error & { code?: string },
  where: string,
  proxy: string | undefined,
): ClusterError {
  const code = error.code ?? ''
  const server = proxy
    ? `the API server ${where} behind the proxy ${withoutPassword(proxy)}`
    : `the API server ${where}`
  if (unreachable[code]) return clusterError('unreachable', `${server} ${unreachable[code]}`)
  if (/^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|UNABLE_|SELF_SIGNED|DEPTH_ZERO|CERT_|EPROTO|HOSTNAME_MISMATCH)/.test(code))
    return clusterError('tls', `${server} is not trusted: ${error.message.split('\n')[0]}`)
  return clusterError('unreachable', `${server}: ${error.message.split('\n')[0]}`)
}

// `jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch" in the namespace "y"`: the
// sentence after the colon says it all.
function right(message: string): string {
  return message.replace(/^.*? is forbidden: /, '').replace(/^User/, 'user')
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//')
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim()
}
