// Which pod an address belongs to.
import type { V1Pod } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import type { PodName } from './calls.ts'
import { fromStatus } from './errors.ts'

/** Looked for everywhere, or, without the right to that, in the namespace. Undefined where there is none, or several. */
export async function podAt(api: Api, namespace: string, address: string): Promise<PodName | undefined> {
  // Pods of a node's own network share its address; two are enough to see that. A dual-stack pod is found by the first
  // of its addresses only, which is the one that can be selected by.
  const query = { fieldSelector: `status.podIP=${address}`, limit: '20' }
  for (const path of ['/api/v1/pods', `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`]) {
    const { status, body } = await api.ask('GET', path, { query })
    if (status === 403) continue
    if (status !== 200) throw fromStatus(status, body, `looking for the pod with address ${address}`)
    // A pod that has ended keeps its address in its status, and another may have it by now.
    const pods = ((body as unknown as { items?: V1Pod[] }).items ?? []).filter(
      ({ status }) => status?.phase === 'Running' || status?.phase === 'Pending',
    )
    const [first, ...others] = pods
    return first && others.length === 0
      ? { name: first.metadata!.name!, namespace: first.metadata!.namespace! }
      : undefined
  }
  return undefined
}
