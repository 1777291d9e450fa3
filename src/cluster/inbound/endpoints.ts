// Waits until a Service's endpoints are where they shall be: from then on new connections go there, as soon as each
// node's kube-proxy has followed.
import type { V1EndpointSlice, V1EndpointSliceList } from '@kubernetes/client-node'
import type { ClusterError } from '../calls.ts'
import { clusterError } from '../errors.ts'
import { follow } from '../follow.ts'
import type { InboundContext } from './context.ts'

/**
 * Resolves when `arrived` says so of the ready pods' names, those of both address families. Throws `timeout`, and `forbidden` where
 * endpoint slices may not be watched.
 */
export async function waitForEndpoints(
  { api, namespace, clock }: Pick<InboundContext, 'api' | 'namespace' | 'clock'>,
  service: string,
  arrived: (ready: string[]) => boolean,
  timeoutMs: number,
  late: string,
): Promise<void> {
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
  const query = { labelSelector: `kubernetes.io/service-name=${service}` }
  const over = new AbortController()
  const slices = new Map<string, V1EndpointSlice>()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const look = () => {
    const endpoints = [...slices.values()].flatMap((slice) => slice.endpoints ?? [])
    const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false)
    if (arrived(ready.map(({ targetRef }) => targetRef?.name ?? '?'))) resolve()
  }
  const cancel = clock.after(timeoutMs, () => reject(clusterError('timeout', late)))
  try {
    const { items, metadata } = await api.get<V1EndpointSliceList>(path, query)
    for (const slice of items) slices.set(slice.metadata!.name!, slice)
    look()
    const since = { ...query, resourceVersion: metadata?.resourceVersion ?? '' }
    const each = (type: string, slice: V1EndpointSlice) => {
      if (type === 'DELETED') slices.delete(slice.metadata!.name!)
      else slices.set(slice.metadata!.name!, slice)
      look()
    }
    follow<V1EndpointSlice>(api, path, since, over.signal, each).catch(reject)
    await promise
  } finally {
    cancel()
    over.abort()
  }
}

/** Endpoint slices may be hidden from this user: then this long is waited instead. */
export const BLIND_WAIT_MS = 2_000

/** As waitForEndpoints, but without the right to look it waits a while and believes. */
export async function waitOrBelieve(waiting: Promise<void>, sleep: (ms: number) => Promise<void>): Promise<void> {
  try {
    await waiting
  } catch (error) {
    if ((error as ClusterError).code !== 'forbidden') throw error
    await sleep(BLIND_WAIT_MS)
  }
}
