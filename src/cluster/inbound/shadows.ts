// The shadows of an exchange, mesh or run: two, on two nodes where there are two, so that one may end without a request being lost;
// and another one in place of one that has gone, or is about to.
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
// Endpoints are told from others by the name of the first Job, which this one continues (switch.ts).
const SECOND = '-b'
// A Job replaces a deleted pod after 8.5 s, measured; a container that ended is started again at once the first time.
const SUCCESSOR_MS = 5_000
const LOOK_MS = 250

export function shadowsOf({ shadow, second }: Pick<InboundHandle, 'shadow' | 'second'>): ShadowHandle[] {
  return second ? [shadow, second] : [shadow]
}

/** Whether nothing else is among the ready endpoints. */
export function onlyShadows(handle: InboundHandle): (ready: string[]) => boolean {
  const ours = isShadowOf(handle)
  return (ready) => ready.some(ours) && ready.every(ours)
}

/** Whether one of them is among the ready endpoints. */
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

/** A second shadow beside `handle.shadow`, of nobody else. */
export function addOwn(
  context: InboundContext,
  handle: InboundHandle,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<ShadowHandle> {
  return another(context, handle, secondName(handle).slice(JOB_PREFIX.length), progress, hooks)
}

/** In place of `handle.shadow`, which is gone, or was retired. */
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

/** The shadows, what is reached behind them, and at last the lease. Nothing leads to them any more. */
export async function removeOwn(context: InboundContext, handle: InboundHandle): Promise<void> {
  const { api, namespace } = context
  await Promise.all(shadowsOf(handle).map((shadow) => removeShadow(api, shadow)))
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
    // One that has ended for good, or none: the Job's own back-off would take longer than a Job of ours.
    const coming = items.some(
      ({ status, metadata }) => !metadata?.deletionTimestamp && /^(Pending|Running)$/.test(status?.phase ?? ''),
    )
    if (!coming || context.now() > end) return undefined
  }
}
