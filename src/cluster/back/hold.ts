// While an exchange, mesh or run is held: its lease, what others do to it, and its end.
import type { V1Deployment, V1Service } from '@kubernetes/client-node'
import type { BackEvent, BackHandle, Restored } from '../back-port.ts'
import { follow } from '../follow.ts'
import type { Progress } from '../port.ts'
import { removeShadow } from '../shadow-removal.ts'
import { type BackContext, deleteOwn, readService, recordOf, targetOf } from './context.ts'
import { deleteLease, renew, takeLease } from './lease.ts'
import { removeMesh, restoreMesh } from './mesh.ts'
import { leadsToShadow, readRecord } from './record.ts'
import { find, servicePath, workloadPath } from './resolve.ts'
import { restoreService, restoreWorkload, takenOver } from './restore.ts'
import { shadowsOf } from './shadows.ts'

// Until a watch is begun again.
const WATCH_AGAIN_MS = 5_000

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
  await Promise.all(shadowsOf(handle).map((shadow) => removeShadow(api, shadow)))
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
      if (!signal.aborted) await context.sleep(WATCH_AGAIN_MS)
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
