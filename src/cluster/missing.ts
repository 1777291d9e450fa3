// What is not there may be the namespace, and then that is what the user wants to hear.

import type { ClusterError } from './calls.ts'
import { fromStatus } from './errors.ts'
import type { ApiPort } from './follow.ts'

/** The error `namespace-missing`; undefined where the namespace is there, or may not be asked for. */
export async function missingNamespace(
  api: Pick<ApiPort, 'ask'>,
  namespace: string,
): Promise<ClusterError | undefined> {
  const { status, body } = await api.ask('GET', `/api/v1/namespaces/${encodeURIComponent(namespace)}`)
  if (status !== 404) return undefined
  const error = fromStatus(status, body, `reading namespace ${namespace}`)
  return error.code === 'namespace-missing' ? error : undefined
}

/** `error`, or `namespace-missing` where the API server knows no such namespace. Who may not ask gets `error`. */
export async function missingIn(
  api: Pick<ApiPort, 'ask'>,
  namespace: string,
  error: ClusterError,
): Promise<ClusterError> {
  return (await missingNamespace(api, namespace)) ?? error
}
