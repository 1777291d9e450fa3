// While an exchange, mesh or run is held: its lease, and what others do to it.
import type { V1Deployment, V1Service } from '@kubernetes/client-node'
import { follow } from '../follow.ts'
import type { InboundEvent, InboundHandle } from '../inbound-calls.ts'
import { type InboundContext, readService, recordOf, targetOf } from './context.ts'
import { renew, takeLease } from './lease.ts'
import { leadsToShadow, readRecord } from './record.ts'
import { find, servicePath, workloadPath } from './resolve.ts'
import { takenOver } from './restore.ts'

// Until a watch is begun again.
const WATCH_AGAIN_MS = 5_000

/** Throws `taken-over`. A lease that was deleted while the Service is ours still is made again. */
export async function renewLease(context: InboundContext, handle: InboundHandle): Promise<void> {
  const { lease, holder } = handle
  const { lost, by } = { by: undefined, ...(await renew(context, lease.name, holder)) }
  if (!lost) return
  if (by || !(await isStillOurs(context, handle))) throw takenOver(targetOf(handle), by)
  await takeLease(context, recordOf(handle), false)
}

async function isStillOurs(context: InboundContext, handle: InboundHandle): Promise<boolean> {
  const { api, namespace } = context
  if (handle.workload) {
    const object = await find<V1Deployment>(api, workloadPath(namespace, handle.workload.kind, handle.workload.name))
    return readRecord(object?.metadata?.annotations)?.id === handle.id
  }
  const service = await readService(context, handle.service!)
  return readRecord(service?.metadata?.annotations)?.id === handle.id
}

/** Resolves when `signal` aborts. */
export async function watchExchange(
  context: InboundContext,
  handle: InboundHandle,
  onEvent: (event: InboundEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { api, namespace } = context
  const scale = handle.workload
  const name = scale?.name ?? handle.service!
  const path = scale ? workloadPath(namespace, scale.kind) : servicePath(namespace)
  const what = `${scale?.kind ?? 'Service'} ${name}`
  let last: InboundEvent['type'] = 'returned'
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
