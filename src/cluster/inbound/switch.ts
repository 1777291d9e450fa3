// The moment of an exchange: from now on requests come here. The shadow is ready before anything leads to it.
import type { V1Deployment, V1Service } from '@kubernetes/client-node'
import type { Progress } from '../calls.ts'
import { clusterError } from '../errors.ts'
import type { InboundHandle } from '../inbound-calls.ts'
import { AGAIN, attempts } from './attempts.ts'
import { change, type InboundContext, recordOf, waitForReady } from './context.ts'
import { waitForEndpoints, waitOrBelieve } from './endpoints.ts'
import { getLease, held } from './lease.ts'
import {
  type InboundRecord,
  labelText,
  type MergePatch,
  RECORD_ANNOTATION,
  readRecord,
  sameLabels,
  switchPatch,
} from './record.ts'
import { find, servicePath, workloadPath } from './resolve.ts'
import { restoreService } from './restore.ts'

const READY_MS = 30_000
const ENDPOINTS_MS = 30_000
const SCALE_DOWN_MS = 60_000
const LOOK_MS = 500

export async function waitUntilReady(
  context: InboundContext,
  { shadow }: InboundHandle,
  progress: Progress,
): Promise<void> {
  await waitForReady(context, shadow.pod, READY_MS, progress)
}

/** Resolves when `arrived` says so of the ready endpoints' names; at once where there is no Service. */
export async function waitUntilLed(
  context: InboundContext,
  { service, shadow }: InboundHandle,
  arrived: (ready: string[]) => boolean,
  progress: Progress,
): Promise<void> {
  if (!service) return
  const late = `the endpoints of Service ${service} do not lead to the shadow ${shadow.pod} after ${ENDPOINTS_MS / 1000} s`
  await waitOrBelieve(waitForEndpoints(context, service, arrived, ENDPOINTS_MS, late), context.sleep)
  progress('service', `${service} leads to ${shadow.pod}`)
}

/** Leads the Service to the shadows by its selector. */
export async function leadService(context: InboundContext, handle: InboundHandle): Promise<void> {
  const { namespace } = context
  const name = handle.service!
  await attempts(context.sleep, `leading the Service ${name} here`, async () => {
    const planned = await writeSelector(context, handle)
    if (!planned) throw clusterError('target-unknown', `the Service ${name} is not there any more`)
    const { rival } = planned
    if (!rival) return
    if (!(await hasLostTo(context, rival, handle))) throw held(rival, name, namespace)
    // It led the Service to its own shadow at the moment when its lease was taken over.
    await restoreService(context, name, rival, () => {})
    return AGAIN
  })
}

interface SwitchPlan {
  patch: MergePatch | undefined
  /** Somebody else's exchange, which the Service leads to. */
  rival?: InboundRecord
}

function writeSelector(context: InboundContext, handle: InboundHandle): Promise<SwitchPlan | undefined> {
  const name = handle.service!
  const path = servicePath(context.namespace, name)
  return change(context, path, `leading the Service ${name} here`, (service: V1Service): SwitchPlan => {
    const there = readRecord(service.metadata?.annotations)
    if (there && there.id !== handle.id) return { patch: undefined, rival: there }
    const now = service.spec?.selector ?? {}
    // Somebody changed it since: the second Service, and so the shadow, would lead elsewhere than it does now.
    if (!sameLabels(now, handle.selector) && !sameLabels(now, handle.written))
      throw clusterError(
        'admission',
        `the selector of Service ${name} is ${labelText(now)} now, and was ${labelText(handle.selector)} when kt looked`,
        'run the command again',
      )
    return { patch: switchPatch(service, recordOf(handle)) }
  })
}

/** The rival held the lease that is ours now. */
async function hasLostTo({ api, namespace }: InboundContext, rival: InboundRecord, { lease, holder }: InboundHandle) {
  if (rival.lease !== lease.name) return false
  const { body } = await getLease(api, namespace, lease.name)
  return body.spec?.holderIdentity === holder
}

/** Scales the workload to 0, and waits until its pods are none of a Service's endpoints any more. */
export async function scaleDown(context: InboundContext, handle: InboundHandle, progress: Progress): Promise<void> {
  const { api, namespace } = context
  const { kind, name } = handle.workload!
  const path = workloadPath(namespace, kind, name)
  const planned = await change(
    context,
    path,
    `scaling ${kind} ${name} to 0`,
    (object: V1Deployment): { patch: MergePatch | undefined } => {
      const there = readRecord(object.metadata?.annotations)
      if (there && there.id !== handle.id) throw held(there, name, namespace)
      const now = object.spec?.replicas ?? 1
      if (there && now === 0) return { patch: undefined }
      // The number it has now, which somebody may have changed since the beginning, is the one to go back to.
      const replicas = there?.replicas ?? now
      const annotations = { [RECORD_ANNOTATION]: JSON.stringify({ ...recordOf(handle), replicas }) }
      return {
        patch: { metadata: { resourceVersion: object.metadata?.resourceVersion, annotations }, spec: { replicas: 0 } },
      }
    },
  )
  if (!planned) throw clusterError('target-unknown', `the ${kind} ${name} is not there any more`)
  progress('scale', `${kind} ${name} goes to 0`)
  for (const end = context.now() + SCALE_DOWN_MS; context.now() < end; await context.sleep(LOOK_MS)) {
    const object = await find<V1Deployment>(api, path)
    if (!object || (object.spec?.replicas ?? 1) > 0 || (object.status?.replicas ?? 0) === 0) return
    // With a Service, its endpoints say so sooner: pods that end are none.
    if (handle.service) return
  }
}
