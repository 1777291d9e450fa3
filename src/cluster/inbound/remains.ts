// Everything of kt's way back that lies in a namespace, put together by exchange, and how one exchange is put back and
// removed by somebody who did not make it. Restore before delete, always.
import type { V1Deployment, V1Job, V1JobList, V1Service } from '@kubernetes/client-node'
import type { ClusterError, Progress } from '../calls.ts'
import type { HeldLease, InboundKind, Recovered, Restored } from '../inbound-calls.ts'
import { endPods, jobPath, removeJob } from '../shadow-removal.ts'
import { belongsTo, deleteOwn, type InboundContext, isOurs } from './context.ts'
import { deleteLease, listLeases, sameMeaning, takeLease } from './lease.ts'
import {
  ID_LABEL,
  type InboundRecord,
  leadsToShadow,
  MANAGED_SELECTOR,
  personOf,
  RECORD_ANNOTATION,
  readRecord,
} from './record.ts'
import { servicePath, type Workload, workloadPath } from './resolve.ts'
import { restoreService, restoreWorkload } from './restore.ts'

/** What there is of one exchange, mesh or run. */
export interface Remains {
  id: string
  kind: InboundKind
  target: string
  /** As far as it is known: from what was changed, else from the lease. */
  record: InboundRecord | undefined
  holder: string | undefined
  /** Those of its id (a mesh has one a person), and the one it names, whoever holds that now. */
  leases: HeldLease[]
  /** Changed by it: the Service's name. */
  service: string | undefined
  workload: { kind: Workload['kind']; name: string } | undefined
  /** Made by it. */
  services: string[]
  jobs: string[]
}

export async function survey(context: InboundContext): Promise<Remains[]> {
  const { api, namespace } = context
  const found = new Map<string, Remains>()
  const of = (id: string): Remains => {
    const there = found.get(id)
    if (there) return there
    const fresh: Remains = {
      id,
      kind: 'exchange',
      target: '',
      record: undefined,
      holder: undefined,
      leases: [],
      service: undefined,
      workload: undefined,
      services: [],
      jobs: [],
    }
    found.set(id, fresh)
    return fresh
  }
  const learn = (remains: Remains, record: InboundRecord) => {
    remains.record ??= record
    remains.kind = record.kind
    remains.target = record.target
    remains.holder ??= record.holder
  }
  const { items: services } = await api.get<{ items: V1Service[] }>(servicePath(namespace))
  for (const service of services) {
    const record = recordOn(service)
    const { name, labels } = service.metadata!
    if (record) learn(of(record.id), record)
    if (!isOurs(service)) {
      if (record) of(record.id).service = name!
      continue
    }
    const id = labels?.[ID_LABEL]
    // One whose record names another Service is somebody's copy.
    if (id && (record || !service.metadata?.annotations?.[RECORD_ANNOTATION])) of(id).services.push(name!)
  }
  // Its annotation was removed, and it leads to the shadow all the same: the second Service knows.
  for (const remains of found.values()) {
    const { record } = remains
    const lost = services.find((service) => !isOurs(service) && service.metadata!.name === record?.target)
    if (record?.mode === 'selector' && lost && leadsToShadow(lost, record)) remains.service ??= record.target
  }
  for (const kind of ['Deployment', 'StatefulSet'] as const)
    for (const object of await listIfAllowed<V1Deployment>(context, workloadPath(namespace, kind))) {
      const record = readRecord(object.metadata?.annotations)
      if (record?.workload?.kind !== kind || record.workload.name !== object.metadata?.name) continue
      learn(of(record.id), record)
      of(record.id).workload = { kind, name: object.metadata!.name! }
    }
  const { items: jobs } = await api.get<V1JobList>(jobPath(namespace), { labelSelector: MANAGED_SELECTOR })
  for (const job of jobs) {
    const id = job.metadata?.labels?.[ID_LABEL]
    if (!id) continue // the shadow of a kt up, which ends by itself
    const remains = of(id)
    remains.jobs.push(job.metadata!.name!)
    remains.target ||= job.metadata?.annotations?.['kt/target'] ?? ''
    remains.holder ??= job.metadata?.annotations?.['kt/holder']
    if (!remains.record) remains.kind = (job.metadata?.annotations?.['kt/kind'] as InboundKind) ?? 'exchange'
  }
  // Last: what began since has its lease and none of the above; what ended since has gone in the other order.
  const leases = await listLeases(context.api, namespace)
  for (const lease of leases) {
    const remains = of(lease.id)
    remains.kind = lease.kind
    remains.target ||= lease.target
    remains.holder ??= lease.holder
  }
  for (const remains of found.values())
    remains.leases = leases.filter((each) => {
      const { record, id } = remains
      return each.id === id || (record && each.lease === record.lease && sameMeaning(each, record))
    })
  return [...found.values()]
}

/**
 * What a Service says of an exchange that changed it, or made it. Undefined where the record is about another Service:
 * whoever copies a Service copies its annotations.
 */
function recordOn({ metadata }: V1Service): InboundRecord | undefined {
  const record = readRecord(metadata?.annotations)
  return record && (record.target === metadata?.name || record.original === metadata?.name) ? record : undefined
}

async function listIfAllowed<T>({ api }: InboundContext, path: string): Promise<T[]> {
  try {
    return (await api.get<{ items: T[] }>(path)).items
  } catch (error) {
    if ((error as ClusterError).code !== 'forbidden') throw error
    return []
  }
}

/** What removing it will do, for people, in that order. */
export function actionsOf(remains: Remains): string[] {
  const { service, workload, record, services, jobs, leases, kind } = remains
  return [
    ...(service && kind !== 'run' ? [`put back the selector of Service ${service}`] : []),
    ...(workload ? [`scale ${workload.kind} ${workload.name} back to ${record?.replicas ?? 1} if it is at 0`] : []),
    ...jobs.map((name) => `delete Job ${name}`),
    ...services.map((name) => `delete Service ${name}`),
    ...leases.map(({ lease }) => `delete Lease ${lease}`),
  ]
}

/**
 * Takes the leases first, so that neither their holders nor anybody else does anything meanwhile. Throws `held` when one is
 * no longer as `remains` has it.
 */
export async function removeRemains(
  context: InboundContext,
  remains: Remains,
  holder: string,
  progress: Progress,
): Promise<Recovered> {
  const { namespace } = context
  const { id, kind, target, leases, record } = remains
  // Without a lease, one is made, under which nobody can begin anew before this is done.
  const names = leases.length > 0 ? leases.map(({ lease }) => lease) : record ? [record.lease] : []
  for (const name of names) {
    const seen = leases.find(({ lease }) => lease === name)
    const mode = record?.mode ?? 'selector'
    const mark = seen?.mark ?? record?.mark
    const mine: Omit<InboundRecord, 'since'> = {
      ...{ version: 1, kind, mode, id, target, holder, lease: name },
      ...(mark && { mark }),
    }
    try {
      await takeLease(context, mine, seen !== undefined, seen?.resourceVersion || undefined)
    } catch (error) {
      // An older kt gave the same name to leases of different targets; that one is somebody else's.
      if (seen || (error as ClusterError).code !== 'name-taken') throw error
    }
  }
  const { restored, kept } = await putBack(context, remains, progress)
  const removed: string[] = []
  for (const job of remains.jobs) if (await deleteJob(context, job, id)) removed.push(`Job ${job}`)
  for (const service of remains.services)
    if (await deleteOwn(context, servicePath(namespace, service), id, `Service ${service}`))
      removed.push(`Service ${service}`)
  for (const name of names) {
    await deleteLease(context, name, holder)
    removed.push(`Lease ${name}`)
  }
  progress('clean', `${target || id}: ${[...restored, ...removed].join(', ') || 'nothing was left'}`)
  return { restored, kept, removed, holder: remains.holder && personOf(remains.holder) }
}

async function putBack(
  context: InboundContext,
  { service, workload, record, kind }: Remains,
  progress: Progress,
): Promise<Restored> {
  if (record && workload) return restoreWorkload(context, workload, serviceOf(record), record, progress)
  if (record && service && kind !== 'run') return restoreService(context, service, record, progress)
  return { restored: [], kept: [] }
}

/** Puts back what somebody else's record says, and ends their shadow: for whoever takes over. */
export async function endOther(context: InboundContext, remains: Remains, progress: Progress): Promise<void> {
  await putBack(context, remains, progress)
  // Nodes follow the endpoints a moment later.
  await context.sleep(NODES_FOLLOW_MS)
  for (const job of remains.jobs) await deleteJob(context, job, remains.id)
  for (const service of remains.services)
    await deleteOwn(context, servicePath(context.namespace, service), remains.id, `Service ${service}`)
}

const NODES_FOLLOW_MS = 1_000

async function deleteJob(context: InboundContext, name: string, id: string): Promise<boolean> {
  const { api, namespace } = context
  const { status, body } = await api.ask('GET', jobPath(namespace, name))
  if (status !== 200 || !belongsTo(body as V1Job, id)) return false
  if (!(await removeJob(api, namespace, name, (body as V1Job).metadata!.uid!))) return false
  await endPods(api, namespace, name)
  return true
}

function serviceOf({ target }: InboundRecord): string | undefined {
  return target.includes('/') ? undefined : target
}
