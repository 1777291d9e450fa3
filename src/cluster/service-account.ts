// In a pod without a kubeconfig one is the pod's service account, as for kubectl: what the kubelet gives every pod says it all.
// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
import { existsSync, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'

const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'
const NAME = 'in-cluster'

/** As kubeconfig-file.ts reads a file. Undefined where this is no pod, or one without a token. */
export function podsKubeconfig(env: Record<string, string | undefined>, folder: string = FOLDER) {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  const file = join(folder, 'token')
  if (!host || !port || !existsSync(file)) return undefined
  const entry = (body: Record<string, unknown>) => [{ name: NAME, body, file }]
  return {
    files: [file],
    currentContext: NAME,
    contexts: entry({ cluster: NAME, user: NAME, namespace: textOr(join(folder, 'namespace'), 'default') }),
    clusters: entry({
      server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      'certificate-authority': join(folder, 'ca.crt'),
    }),
    // The kubelet replaces the token before it expires, and it is read again for each request.
    users: entry({ tokenFile: file }),
  }
}

function textOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'utf8').trim() || otherwise
  } catch {
    return otherwise
  }
}
