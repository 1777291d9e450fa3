// Which pod an address belongs to.
import type { V1Pod } from '@kubernetes/client-node'
import type { Api } from './api.ts'
import type { PodName } from './calls.ts'
import { fromStatus } from './errors.ts'

const PAGE = '500'
/** Of all the cluster's pods; in larger clusters the rest stays unknown. */
const MOST_PAGES = 4

/** Looked for everywhere, or, without the right to that, in the namespace. Null where there is none, or several. */
export async function podAt(api: Api, namespace: string, address: string): Promise<PodName | null> {
  const [everywhere, here] = ['/api/v1/pods', `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`]
  const fieldSelector = `status.podIP=${address}`
  const first = (await pods(api, everywhere, 1, fieldSelector)) ?? (await pods(api, here, 1, fieldSelector)) ?? []
  if (first.length > 0) return only(first)
  // A dual-stack pod can be selected by the first of its addresses only. Callers are mostly of the same namespace.
  const has = ({ status }: V1Pod) => status?.podIPs?.some(({ ip }) => ip === address) === true
  const near = (await pods(api, here, 1))?.filter(has) ?? []
  if (near.length > 0) return only(near)
  return only((await pods(api, everywhere, MOST_PAGES))?.filter(has) ?? [])
}

/** Pods of the node's own network have its address, as its kubelet and others do: nobody knows which of them it was. */
function only(pods: V1Pod[]): PodName | null {
  const [first, ...others] = pods.filter(({ spec }) => !spec?.hostNetwork)
  if (!first || others.length > 0) return null
  return { name: first.metadata!.name!, namespace: first.metadata!.namespace! }
}

/** Without the right to list them, undefined. */
async function pods(api: Api, path: string, pages: number, fieldSelector?: string): Promise<V1Pod[] | undefined> {
  const found: V1Pod[] = []
  let next: string | undefined
  do {
    const query = { limit: PAGE, ...(fieldSelector && { fieldSelector }), ...(next && { continue: next }) }
    const { status, body } = await api.ask('GET', path, { query })
    if (status === 403) return undefined
    if (status !== 200) throw fromStatus(status, body, 'looking for the pod that has an address')
    const list = body as unknown as { items?: V1Pod[]; metadata?: { continue?: string } }
    // One that has ended keeps its address in its status, and another may have it by now.
    found.push(...(list.items ?? []).filter(({ status }) => status?.phase === 'Running' || status?.phase === 'Pending'))
    next = list.metadata?.continue
  } while (next && --pages > 0)
  return found
}
