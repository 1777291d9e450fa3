// The shadows of an exchange, mesh or run. There are two, on two nodes where possible, so that one may end without a request being
// lost. A shadow that has gone, or is about to go, is replaced by a new one.
import type { V1Job, V1Pod } from '@kubernetes/client-node'
import type { Progress, ShadowHandle, ShadowHooks } from '../calls.ts'
import type { InboundHandle } from '../inbound-calls.ts'
import { createShadow } from '../shadow.ts'
import { jobPath, removeShadow, retireShadow } from '../shadow-removal.ts'
import { judgePod } from '../shadow-state.ts'
import { deleteOwn, type InboundContext } from './context.ts'
import { deleteLease } from './lease.ts'
import { find, servicePath } from './resolve.ts'
import { probed } from './serving.ts'

const JOB_PREFIX = 'kt-shadow-'
// The second Job's name begins with the first one's name, by which switch.ts recognises our endpoints.
const SECOND = '-b'
// A Job replaces a deleted pod after 8.5 s, measured; a container that ended is started again at once the first time.
const SUCCESSOR_MS = 5_000
const LOOK_MS = 250

export function shadowsOf({ shadow, second }: Pick<InboundHandle, 'shadow' | 'second'>): ShadowHandle[] {
  return second ? [shadow, second] : [shadow]
}

/** Tests that all ready endpoints are our shadows, and that there is one at least. */
export function onlyShadows(handle: InboundHandle): (ready: string[]) => boolean {
  const ours = isShadowOf(handle)
  return (ready) => ready.some(ours) && ready.every(ours)
}

/** Tests that one of the ready endpoints is our shadow. */
export function someShadow(handle: InboundHandle): (ready: string[]) => boolean {
  return (ready) => ready.some(isShadowOf(handle))
}

function isShadowOf(handle: InboundHandle): (pod: string) => boolean {
  const prefixes = shadowsOf(handle).map(({ job }) => `${job}-`)
  return (pod) => prefixes.some((prefix) => pod.startsWith(prefix))
}

export function secondName({ shadow }: Pick<InboundHandle, 'shadow'>): string {
  return `${shadow.job}${SECOND}`
}

/** Makes a second shadow beside `handle.shadow`. It belongs to this exchange alone. */
export function addOwn(
  context: InboundContext,
  handle: InboundHandle,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<ShadowHandle> {
  return another(context, handle, secondName(handle).slice(JOB_PREFIX.length), progress, hooks)
}

/** Makes a shadow in place of `handle.shadow`, which is gone or was retired. */
export async function replaceOwn(
  context: InboundContext,
  handle: InboundHandle,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<ShadowHandle> {
  const gone = handle.shadow
  const successor = await findSuccessor(context, gone)
  if (successor) {
    hooks.dialable?.(successor)
    return successor
  }
  const shadow = await another(context, handle, context.suffix(), progress, hooks)
  await retireShadow(context.api, gone)
  return shadow
}

/** Removes the shadows, the second Service, and the lease last. Nothing leads to them any more. */
export async function removeOwn(context: InboundContext, handle: InboundHandle): Promise<void> {
  const { namespace } = context
  await Promise.all(shadowsOf(handle).map((shadow) => removeShadow(context, shadow)))
  const { original } = handle
  if (original) await deleteOwn(context, servicePath(namespace, original.name), handle.id, `Service ${original.name}`)
  await deleteLease(context, handle.lease.name, handle.holder)
}

function another(
  context: InboundContext,
  handle: InboundHandle,
  suffix: string,
  progress: Progress,
  hooks: ShadowHooks,
) {
  const dependencies = { ...context, suffix: () => suffix }
  return createShadow(dependencies, handle.options, progress, hooks, probed(handle).serving)
}

/** The pod that the same Job has brought up since, with the same keys. */
async function findSuccessor(context: InboundContext, shadow: ShadowHandle): Promise<ShadowHandle | undefined> {
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
    // No pod is coming up. To wait for the Job's back-off would take longer than to make a new Job.
    const coming = items.some(
      ({ status, metadata }) => !metadata?.deletionTimestamp && /^(Pending|Running)$/.test(status?.phase ?? ''),
    )
    if (!coming || context.now() > end) return undefined
  }
}
