// While an exchange, mesh or run is held: its lease, its shadow when the pod went away, and its end.
import type { V1Deployment, V1Job, V1Pod, V1Service } from '@kubernetes/client-node'
import type { BackEvent, BackHandle, Restored } from '../back-port.ts'
import { follow } from '../follow.ts'
import type { Progress, ShadowHandle, ShadowHooks } from '../port.ts'
import { createShadow } from '../shadow.ts'
import { jobPath, removeShadow } from '../shadow-removal.ts'
import { judgePod } from '../shadow-state.ts'
import { type BackContext, deleteOwn, readService, recordOf, targetOf } from './context.ts'
import { deleteLease, renew, takeLease } from './lease.ts'
import { removeMesh, replaceMesh, restoreMesh } from './mesh.ts'
import { leadsToShadow, readRecord } from './record.ts'
import { find, servicePath, workloadPath } from './resolve.ts'
import { restoreService, restoreWorkload, takenOver } from './restore.ts'

// A Job replaces a deleted pod after 8.5 s, measured; a container that ended is started again at once the first time.
const SUCCESSOR_MS = 5_000
const LOOK_MS = 250

/** Throws `taken-over`. A lease that was deleted while the Service is ours still is made again. */
export async function renewLease(context: BackContext, handle: BackHandle): Promise<void> {
  const { lease, holder } = handle
  const { lost, by } = { by: undefined, ...(await renew(context, lease.name, holder)) }
  if (!lost) return
  if (by || !(await isStillOurs(context, handle))) throw takenOver(targetOf(handle), by)
  await takeLease(context, recordOf(handle), false)
}

async function isStillOurs(context: BackContext, handle: BackHandle): Promise<boolean> {
  const { api, namespace } = context
  if (handle.workload) {
    const object = await find<V1Deployment>(api, workloadPath(namespace, handle.workload.kind, handle.workload.name))
    return readRecord(object?.metadata?.annotations)?.id === handle.id
  }
  const service = await readService(context, handle.service!)
  return readRecord(service?.metadata?.annotations)?.id === handle.id
}

export async function restoreExchange(context: BackContext, handle: BackHandle, progress: Progress): Promise<Restored> {
  if (handle.mesh) return restoreMesh(context, handle, progress)
  const { mode, service, workload, namespace } = handle
  if (mode === 'scale') return restoreWorkload(context, workload!, service, recordOf(handle), progress)
  if (mode === 'selector') return restoreService(context, service!, recordOf(handle), progress)
  const deleted = await deleteOwn(context, servicePath(namespace, service), handle.id, `Service ${service}`)
  return { restored: deleted ? [`no Service ${service}, as before`] : [], kept: [] }
}

/** Restores first, always: what leads to the shadow must not outlive it. */
export async function removeExchange(context: BackContext, handle: BackHandle): Promise<void> {
  const { api, namespace } = context
  if (handle.mesh) return removeMesh(context, handle)
  await restoreIfNeeded(context, handle)
  await removeShadow(api, handle.shadow)
  if (handle.original)
    await deleteOwn(context, servicePath(namespace, handle.original.name), handle.id, `Service ${handle.original.name}`)
  await deleteLease(context, handle.lease.name, handle.holder)
}

async function restoreIfNeeded(context: BackContext, handle: BackHandle): Promise<void> {
  const service = handle.mode === 'selector' ? await readService(context, handle.service!) : undefined
  const needed = handle.mode !== 'selector' || (service !== undefined && needsRestore(service, handle))
  if (needed) await restoreExchange(context, handle, () => {})
}

function needsRestore(service: V1Service, handle: BackHandle): boolean {
  return leadsToShadow(service, handle) || readRecord(service.metadata?.annotations)?.id === handle.id
}

export async function replaceShadow(
  context: BackContext,
  handle: BackHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  if (handle.mesh?.mode === 'auto') return replaceMesh(context, handle, progress, hooks)
  const successor = await findSuccessor(context, handle.shadow)
  if (successor) {
    hooks.dialable?.(successor)
    return { ...handle, shadow: successor }
  }
  const shadow = await createShadow(context, handle.options, progress, hooks, handle.serving)
  await removeShadow(context.api, handle.shadow)
  return { ...handle, shadow }
}

/** The pod that the same Job has brought up since, with the same keys. */
async function findSuccessor(context: BackContext, shadow: ShadowHandle): Promise<ShadowHandle | undefined> {
  const { api, namespace } = context
  for (const end = context.now() + SUCCESSOR_MS; ; await context.sleep(LOOK_MS)) {
    const job = await find<V1Job>(api, jobPath(namespace, shadow.job))
    const over = job?.status?.conditions?.some(
      ({ type, status }) => /^(Complete|Failed)$/.test(type) && status === 'True',
    )
    if (job?.metadata?.uid !== shadow.jobUid || job.metadata.deletionTimestamp || over) return undefined
    const { items } = await api.get<{ items: V1Pod[] }>(`/api/v1/namespaces/${namespace}/pods`, {
      labelSelector: `job-name=${shadow.job}`,
    })
    const pod = items.find((each) => judgePod(each).state === 'running')
    if (pod) return { ...shadow, pod: pod.metadata!.name!, node: pod.spec!.nodeName! }
    // One that has ended for good, or none: the Job's own back-off would take longer than a Job of ours.
    const coming = items.some(
      ({ status, metadata }) => !metadata?.deletionTimestamp && /^(Pending|Running)$/.test(status?.phase ?? ''),
    )
    if (!coming || context.now() > end) return undefined
  }
}

/** Resolves when `signal` aborts. */
export async function watchExchange(
  context: BackContext,
  handle: BackHandle,
  onEvent: (event: BackEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { api, namespace } = context
  const scale = handle.mode === 'scale' ? handle.workload : undefined
  const name = scale?.name ?? handle.service!
  const path = scale ? workloadPath(namespace, scale.kind) : servicePath(namespace)
  const what = `${scale?.kind ?? 'Service'} ${name}`
  let last: BackEvent['type'] = 'returned'
  const each = (type: string, object: V1Service & V1Deployment) => {
    const ours = scale ? (object.spec?.replicas ?? 1) === 0 : leadsToShadow(object, handle)
    const now = type === 'DELETED' ? 'deleted' : ours ? 'returned' : 'reverted'
    if (now === last) return
    last = now
    const manager = now === 'reverted' ? managerOf(object, scale ? 'f:replicas' : 'f:selector') : undefined
    const messages = {
      deleted: `${what} was deleted`,
      returned: `${what} leads here again`,
      reverted: scale
        ? `${what} was scaled to ${object.spec?.replicas} by ${manager ?? 'somebody'}: its pods get requests again`
        : `the selector of ${what} was changed by ${manager ?? 'somebody'}: requests do not come here any more`,
    }
    onEvent({ type: now, manager, message: messages[now] })
  }
  while (!signal.aborted) {
    try {
      await follow(api, path, { fieldSelector: `metadata.name=${name}` }, signal, each)
    } catch {
      // The API server is away, or it may not be watched: the lease's renewal tells what matters.
      if (!signal.aborted) await context.sleep(SUCCESSOR_MS)
    }
  }
}

interface Managed {
  metadata?: { managedFields?: { manager?: string; time?: unknown; fieldsV1?: unknown }[] }
}

/** Who wrote a field of the spec last, kt left out. */
export function managerOf({ metadata }: Managed, field: string): string | undefined {
  const writers = (metadata?.managedFields ?? []).filter(({ manager, fieldsV1 }) => {
    const spec = (fieldsV1 as { 'f:spec'?: object } | undefined)?.['f:spec']
    return manager !== 'kt' && spec !== undefined && field in spec
  })
  return writers.sort((a, b) => String(b.time).localeCompare(String(a.time)))[0]?.manager
}
