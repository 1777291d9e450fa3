// What is not there may be the namespace, and then that is what the user wants to hear.

import type { ClusterError } from './calls.ts'
import { fromStatus } from './errors.ts'
import type { ApiPort } from './follow.ts'

/** `error`, or `namespace-missing` where the API server knows no such namespace. Who may not ask gets `error`. */
export async function missingIn(
  api: Pick<ApiPort, 'ask'>,
  namespace: string,
  error: ClusterError,
): Promise<ClusterError> {
  const { status, body } = await api.ask('GET', `/api/v1/namespaces/${namespace}`)
  return status === 404 ? fromStatus(status, body, `reading namespace ${namespace}`) : error
}
