// What the calls of the way back share: the API server, time, and names of objects.
import type { V1ObjectMeta, V1Pod, V1Service } from '@kubernetes/client-node'
import type { Progress } from '../calls.ts'
import { clusterError, fromStatus } from '../errors.ts'
import { MERGE } from '../follow.ts'
import type { InboundHandle } from '../inbound-calls.ts'
import type { ShadowDependencies } from '../shadow.ts'
import { AGAIN, attempts, isOutdated } from './attempts.ts'
import { ID_LABEL, type InboundRecord, MANAGED_LABELS, type MergePatch } from './record.ts'
import { find, servicePath } from './resolve.ts'

export interface InboundContext extends ShadowDependencies {
  sleep(ms: number): Promise<void>
  /** Monotonic, ms. */
  now(): number
  /** This machine's time, ms since 1970. */
  wall(): number
}

/** What is known of an exchange, mesh or run before its shadow is made. */
export type Draft = Omit<InboundHandle, 'shadow' | 'serving'>

/** What the annotation of what is changed says. */
export function recordOf(handle: Draft): InboundRecord {
  const { kind, mode, id, holder, since, lease, original, selector, written, workload, mesh } = handle
  return {
    version: 1,
    kind,
    mode,
    id,
    target: targetOf(handle),
    holder,
    since,
    lease: lease.name,
    ...(mesh && { mark: `${mesh.header}: ${mesh.value}${mesh.prefix ? '*' : ''}` }),
    ...(original && { original: original.name }),
    ...(mode === 'selector' && { selector, written }),
    ...(workload && { workload: { kind: workload.kind, name: workload.name }, replicas: workload.replicas }),
  }
}

export function targetOf(handle: Pick<InboundHandle, 'service' | 'workload'>): string {
  return handle.service ?? `${handle.workload?.kind.toLowerCase()}/${handle.workload?.name}`
}

/**
 * Changes an object by what `plan` makes of it as it is now, and again when somebody was faster. Undefined when the object
 * is not there; otherwise what the plan was.
 */
export async function change<T, P extends { patch: MergePatch | undefined }>(
  { api, sleep }: Pick<InboundContext, 'api' | 'sleep'>,
  path: string,
  doing: string,
  plan: (object: T) => P,
): Promise<P | undefined> {
  return await attempts(sleep, doing, async () => {
    const object = await find<T>(api, path)
    if (!object) return undefined
    const planned = plan(object)
    if (!planned.patch) return planned
    const answer = await api.ask('PATCH', path, { body: planned.patch, contentType: MERGE })
    if (isOutdated(answer.status) || answer.status === 404) return AGAIN
    if (answer.status >= 400) throw fromStatus(answer.status, answer.body, doing)
    return planned
  })
}

/**
 * Deletes what belongs to the exchange `id` and was made by kt; anything else of that name stays. True when it was deleted.
 */
export async function deleteOwn(context: InboundContext, path: string, id: string, what: string): Promise<boolean> {
  const { api, sleep } = context
  return await attempts(sleep, `deleting ${what}`, async () => {
    const object = await find<{ metadata?: V1ObjectMeta }>(api, path)
    if (!object?.metadata || !belongsTo(object, id)) return false
    const { uid, resourceVersion } = object.metadata
    const body = { preconditions: { uid, resourceVersion }, propagationPolicy: 'Background' }
    const answer = await api.ask('DELETE', path, { body })
    if (isOutdated(answer.status)) return AGAIN
    if (answer.status === 404) return false
    if (answer.status >= 400) throw fromStatus(answer.status, answer.body, `deleting ${what}`)
    return true
  })
}

/** Made by kt for this exchange. */
export function belongsTo(object: { metadata?: V1ObjectMeta }, id: string): boolean {
  return isOurs(object) && object.metadata?.labels?.[ID_LABEL] === id
}

/** Made by kt. */
export function isOurs({ metadata }: { metadata?: V1ObjectMeta }): boolean {
  return Object.entries(MANAGED_LABELS).every(([key, value]) => metadata?.labels?.[key] === value)
}

/** Undefined for a headless one. */
export function addressOf({ spec }: V1Service): string | undefined {
  return spec?.clusterIP && spec.clusterIP !== 'None' ? spec.clusterIP : undefined
}

export function readService(context: InboundContext, name: string): Promise<V1Service | undefined> {
  return find<V1Service>(context.api, servicePath(context.namespace, name))
}

/** Resolves when the kubelet says that the agent listens. */
export async function waitForReady(
  context: InboundContext,
  pod: string,
  timeoutMs: number,
  progress: Progress,
): Promise<void> {
  const { api, namespace } = context
  const end = context.now() + timeoutMs
  for (let tries = 0; ; tries++) {
    const found = await find<V1Pod>(api, `/api/v1/namespaces/${namespace}/pods/${pod}`)
    if (!found) throw clusterError('gone', `the shadow's pod ${pod} is not there any more`)
    if (found.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) return
    if (context.now() > end)
      throw clusterError(
        'timeout',
        `the shadow's pod ${pod} is not ready after ${timeoutMs / 1000} s: its agent does not listen`,
      )
    if (tries === 20) progress('endpoints', `waits until ${pod} is ready`)
    await context.sleep(100)
  }
}
