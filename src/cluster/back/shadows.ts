// The shadows of an exchange, mesh or run: two, on two nodes where there are two, so that one may end without a request being lost;
// and another one in place of one that has gone, or is about to.
import type { V1Job, V1Lease, V1ObjectMeta, V1Pod, V1Service } from '@kubernetes/client-node'
import type { BackHandle } from '../back-port.ts'
import { MERGE } from '../follow.ts'
import type { Progress, ShadowHandle, ShadowHooks } from '../port.ts'
import { createShadow } from '../shadow.ts'
import { jobPath, retireShadow } from '../shadow-removal.ts'
import { judgePod } from '../shadow-state.ts'
import type { BackContext } from './context.ts'
import { leasePath } from './lease.ts'
import { find, servicePath } from './resolve.ts'
import { ensureRouter } from './router.ts'

const JOB_PREFIX = 'kt-shadow-'
// Endpoints are told from others by the name of the first Job, which this one continues (switch.ts).
const SECOND = '-b'
// A Job replaces a deleted pod after 8.5 s, measured; a container that ended is started again at once the first time.
const SUCCESSOR_MS = 5_000
const LOOK_MS = 250

export function shadowsOf({ shadow, second }: Pick<BackHandle, 'shadow' | 'second'>): ShadowHandle[] {
  return second ? [shadow, second] : [shadow]
}

/** The second shadow, beside `handle.shadow`; of a mesh the second router, which somebody else may have made. */
export async function addShadow(
  context: BackContext,
  handle: BackHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<ShadowHandle> {
  const name = `${handle.shadow.job}${SECOND}`
  if (handle.mesh?.mode === 'auto') return ensureRouter(context, probed(handle), name, undefined, progress, hooks)
  return another(context, handle, name.slice(JOB_PREFIX.length), progress, hooks)
}

/** In place of `handle.shadow`, which is gone, or was retired. */
export async function replaceShadow(
  context: BackContext,
  handle: BackHandle,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  const gone = handle.shadow
  if (handle.mesh?.mode === 'auto')
    return { ...handle, shadow: await ensureRouter(context, probed(handle), gone.job, gone, progress, hooks) }
  const successor = await findSuccessor(context, gone)
  if (successor) {
    hooks.dialable?.(successor)
    return { ...handle, shadow: successor }
  }
  const shadow = await another(context, handle, context.suffix(), progress, hooks)
  await retireShadow(context.api, gone)
  return { ...handle, shadow }
}

/** Requests are on their way already, so they must not reach a pod before its agent listens. */
function probed(handle: BackHandle): BackHandle {
  return { ...handle, serving: { ...handle.serving, probed: true } }
}

function another(context: BackContext, handle: BackHandle, suffix: string, progress: Progress, hooks: ShadowHooks) {
  const onJob = (job: V1Job) => ownRun(context, handle, job)
  const dependencies = { ...context, suffix: () => suffix, ...(handle.kind === 'run' && { onJob }) }
  return createShadow(dependencies, handle.options, progress, hooks, probed(handle).serving)
}

/** Service and Lease of a run go with the last of its Jobs. */
async function ownRun({ api, namespace }: BackContext, handle: BackHandle, job: V1Job): Promise<void> {
  const { name, uid } = job.metadata!
  const owner = { apiVersion: 'batch/v1', kind: 'Job', name: name!, uid: uid! }
  for (const path of [servicePath(namespace, handle.service!), leasePath(namespace, handle.lease.name)]) {
    const object = await find<(V1Service | V1Lease) & { metadata: V1ObjectMeta }>(api, path)
    if (!object) continue
    const ownerReferences = [...(object.metadata.ownerReferences ?? []), owner]
    await api.send('PATCH', path, {
      body: { metadata: { ownerReferences } },
      contentType: MERGE,
      doing: `making ${object.metadata.name} go with the Job ${name}`,
    })
  }
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
