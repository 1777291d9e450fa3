// Putting back what an exchange changed: by what the Service (or workload) itself says in its annotation, or else by what
// the caller knows. Only fields that still hold what kt wrote; then it waits until requests have moved back.
import type { V1Deployment, V1PodList } from '@kubernetes/client-node'
import type { ClusterError, Progress } from '../calls.ts'
import { clusterError } from '../errors.ts'
import { MERGE } from '../follow.ts'
import type { Restored } from '../inbound-calls.ts'
import { change, type InboundContext } from './context.ts'
import { waitForEndpoints, waitOrBelieve } from './endpoints.ts'
import {
  ID_LABEL,
  type InboundRecord,
  type MergePatch,
  personOf,
  RECORD_ANNOTATION,
  type RestorePlan,
  readRecord,
  restorePlan,
} from './record.ts'
import { find, servicePath, type Workload, workloadPath } from './resolve.ts'

const ENDPOINTS_MS = 15_000
const SCALE_UP_MS = 60_000
const LOOK_MS = 500

/** Selector mode. `record` stands in where the annotation was removed. */
export async function restoreService(
  context: InboundContext,
  name: string,
  record: InboundRecord,
  progress: Progress,
): Promise<Restored> {
  const { namespace } = context
  const doing = `putting back the Service ${name}`
  const planned = await change(
    context,
    servicePath(namespace, name),
    doing,
    (service: Parameters<typeof restorePlan>[0]): RestorePlan => {
      const there = readRecord(service.metadata?.annotations)
      if (there && there.id !== record.id) return { patch: undefined, ...heldByOther(`Service ${name}`, there) }
      return restorePlan(service, there ?? record)
    },
  )
  if (!planned) return { restored: [], kept: [`Service ${name} is not there any more`] }
  const { restored, kept } = planned
  if (restored.length > 0) progress('service', `${name} is put back`)
  await leave(context, name, record.id, kept)
  return { restored, kept }
}

/** Scale mode. `service` is the one whose endpoints are watched, where there is one. */
export async function restoreWorkload(
  context: InboundContext,
  workload: { kind: Workload['kind']; name: string },
  service: string | undefined,
  record: InboundRecord,
  progress: Progress,
): Promise<Restored> {
  const { namespace } = context
  const { kind, name } = workload
  const path = workloadPath(namespace, kind, name)
  const planned = await change(context, path, `scaling ${kind} ${name} back`, (object: V1Deployment) =>
    scaleBackPlan(`${kind} ${name}`, object, record),
  )
  if (!planned) return { restored: [], kept: [`${kind} ${name} is not there any more`] }
  const { restored, kept, replicas } = planned
  if (replicas !== undefined) {
    progress('scale', `${kind} ${name} goes back to ${replicas}`)
    if (!(await replicasReady(context, path, replicas))) kept.push(`${kind} ${name} has not ${replicas} ready pods yet`)
  }
  await leaveEndpoints(context, service, record.id, kept)
  return { restored, kept }
}

/** Takes the shadow out of the Services while it still serves, so that nobody is sent to a pod that is about to go. */
export async function leaveEndpoints(
  context: InboundContext,
  service: string | undefined,
  id: string,
  kept: string[],
): Promise<void> {
  await unlabel(context, id)
  if (service) await leave(context, service, id, kept)
}

interface ScalePlan extends Restored {
  patch: MergePatch | undefined
  /** Number it was scaled back to, if it was. */
  replicas?: number
}

/** Pure. Back to the old number only if it still is 0. */
export function scaleBackPlan(name: string, object: V1Deployment, fallback: InboundRecord): ScalePlan {
  const there = readRecord(object.metadata?.annotations)
  if (there && there.id !== fallback.id) return { patch: undefined, ...heldByOther(name, there) }
  // Without the annotation it may have been scaled to 0 by anybody.
  if (!there) return { patch: undefined, restored: [], kept: [] }
  const now = object.spec?.replicas ?? 1
  const replicas = there.replicas ?? fallback.replicas ?? 1
  const back = now === 0 && replicas > 0
  return {
    patch: {
      metadata: { resourceVersion: object.metadata?.resourceVersion, annotations: { [RECORD_ANNOTATION]: null } },
      ...(back && { spec: { replicas } }),
    },
    restored: back ? [`${name} to ${replicas} replicas`] : [],
    kept: now === 0 || now === replicas ? [] : [`${name} was scaled to ${now} meanwhile, which is kept`],
    ...(back && { replicas }),
  }
}

function heldByOther(name: string, there: InboundRecord): Restored {
  return {
    restored: [],
    kept: [`${name} is held by ${personOf(there.holder)} since ${there.since}, and was left alone`],
  }
}

/** Waits until none of the exchange's pods is among the Service's ready endpoints. */
async function leave(context: InboundContext, service: string, id: string, kept: string[]): Promise<void> {
  const { api, namespace } = context
  try {
    const { items } = await api.get<V1PodList>(`/api/v1/namespaces/${namespace}/pods`, {
      labelSelector: `${ID_LABEL}=${id}`,
    })
    const ours = new Set(items.map(({ metadata }) => metadata!.name))
    if (ours.size === 0) return
    const gone = (ready: string[]) => !ready.some((name) => ours.has(name))
    const late = `the endpoints of Service ${service} still lead to the shadow after ${ENDPOINTS_MS / 1000} s`
    await waitOrBelieve(waitForEndpoints(context, service, gone, ENDPOINTS_MS, late), context.sleep)
  } catch (error) {
    // It is put back; that the cluster is slow to follow is for people to know, and no reason to keep anything.
    if ((error as ClusterError).code !== 'timeout') throw error
    kept.push((error as Error).message)
  }
}

async function replicasReady(context: InboundContext, path: string, replicas: number): Promise<boolean> {
  for (const end = context.now() + SCALE_UP_MS; ; await context.sleep(LOOK_MS)) {
    const object = await find<V1Deployment>(context.api, path)
    if (!object || (object.spec?.replicas ?? 1) < replicas) return true // somebody has other plans
    if ((object.status?.readyReplicas ?? 0) >= replicas) return true
    if (context.now() > end) return false
  }
}

async function unlabel(context: InboundContext, id: string): Promise<void> {
  const { api, namespace } = context
  const path = `/api/v1/namespaces/${namespace}/pods`
  const { items } = await api.get<V1PodList>(path, { labelSelector: `${ID_LABEL}=${id}` })
  for (const { metadata } of items) {
    const keep = ['job-name', 'controller-uid', ID_LABEL]
    const keys = Object.keys(metadata?.labels ?? {}).filter(
      (key) => !keep.includes(key) && !key.startsWith('batch.kubernetes.io/'),
    )
    const labels = Object.fromEntries(keys.map((key) => [key, null]))
    // This only makes the end smoother. Without the right to change pods it is left out.
    await api.ask('PATCH', `${path}/${metadata!.name}`, { body: { metadata: { labels } }, contentType: MERGE })
  }
}

/** The error of whoever is told by its lease that it holds nothing any more. */
export function takenOver(target: string, by: InboundRecord | undefined): ClusterError {
  return by
    ? clusterError('taken-over', `${target} was taken over by ${personOf(by.holder)} at ${by.since}`)
    : clusterError(
        'taken-over',
        `${target} was put back by somebody: its lease is gone`,
        'begin again, if you still want it',
      )
}
