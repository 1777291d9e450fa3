// The Jobs of a mesh's routers: two for each meshed Service, by names that all who mesh it know, made by whoever comes first and
// made again by whoever sees first that it is gone. It accepts any key (only who may port-forward to it can offer one); its own
// is pinned by the annotation that its maker left.
import type { V1Job, V1Pod } from '@kubernetes/client-node'
import { aborted } from '../api.ts'
import type { ClusterError, Progress, ShadowHandle, ShadowHooks } from '../calls.ts'
import { clusterError } from '../errors.ts'
import type { InboundHandle } from '../inbound-calls.ts'
import { createShadow } from '../shadow.ts'
import { HOST_KEY_ANNOTATION, shadowLogin } from '../shadow-manifest.ts'
import { jobPath, removeShadow } from '../shadow-removal.ts'
import { judgePod } from '../shadow-state.ts'
import { generateSshKeyPair } from '../ssh-key.ts'
import { belongsTo, type InboundContext } from './context.ts'
import { find } from './resolve.ts'

const LOOK_MS = 250

/** Resolves when it runs. `gone`: the one that does not answer any more, if there was one. */
export async function ensureRouter(
  context: InboundContext,
  handle: Omit<InboundHandle, 'shadow'>,
  name: string,
  gone: ShadowHandle | undefined,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<ShadowHandle> {
  const { api, namespace } = context
  const { id, options, serving } = handle
  const suffix = name.slice('kt-shadow-'.length)
  const end = context.now() + options.readyTimeoutMs
  for (; ; await context.sleep(LOOK_MS)) {
    if (hooks.signal?.aborted) throw aborted()
    if (context.now() > end)
      throw clusterError('timeout', `the router ${name} does not run after ${options.readyTimeoutMs / 1000} s`)
    const job = await find<V1Job>(api, jobPath(namespace, name))
    if (!job) {
      try {
        return await createShadow({ ...context, suffix: () => suffix }, options, progress, hooks, serving)
      } catch (error) {
        // Somebody else made it first, or the old router is still being deleted.
        if ((error as ClusterError).code !== 'name-taken') throw error
        continue
      }
    }
    if (!belongsTo(job, id))
      throw clusterError('name-taken', `there is a Job ${name} which does not belong to this mesh`, 'delete it')
    if (job.metadata?.deletionTimestamp) continue
    const pod = await livingPod(context, job)
    const ended = job.status?.conditions?.some(
      ({ type, status }) => /^(Complete|Failed)$/.test(type) && status === 'True',
    )
    // Its Job would make another pod, but only after its back-off.
    const stale = pod === undefined && job.metadata?.uid === gone?.jobUid
    if (ended || stale) {
      await removeShadow(context, removable(job, undefined))
      continue
    }
    if (pod === undefined || judgePod(pod).state !== 'running') continue
    const client = generateSshKeyPair('kt').privateKey
    const shadow = handleOf(job, pod, handle, client)
    progress('shadow', `${shadow.pod} is the router already`)
    hooks.dialable?.(shadow)
    return shadow
  }
}

export async function removeRouters(context: InboundContext, id: string): Promise<void> {
  await Promise.all([`kt-shadow-${id}`, `kt-shadow-${id}-b`].map((name) => removeRouter(context, id, name)))
}

async function removeRouter(context: InboundContext, id: string, name: string): Promise<void> {
  const { api, namespace } = context
  const job = await find<V1Job>(api, jobPath(namespace, name))
  if (!job || !belongsTo(job, id)) return
  const pod = await livingPod(context, job)
  await removeShadow(context, removable(job, pod))
}

async function livingPod({ api, namespace }: InboundContext, { metadata: job }: V1Job): Promise<V1Pod | undefined> {
  const { items } = await api.get<{ items: V1Pod[] }>(`/api/v1/namespaces/${namespace}/pods`, {
    labelSelector: `job-name=${job!.name}`,
  })
  return items.find(
    ({ status, metadata }) =>
      !metadata?.deletionTimestamp &&
      // Not one of a Job that had this name before.
      !metadata?.ownerReferences?.every(({ uid }) => uid !== job!.uid) &&
      /^(Pending|Running)$/.test(status?.phase ?? ''),
  )
}

function removable(job: V1Job, pod: V1Pod | undefined) {
  const { namespace, name, uid } = job.metadata!
  return { namespace: namespace!, job: name!, jobUid: uid!, pod: pod?.metadata?.name }
}

function handleOf(
  job: V1Job,
  pod: V1Pod,
  { namespace, serving }: Pick<InboundHandle, 'namespace' | 'serving'>,
  clientKey: string,
): ShadowHandle {
  const { name, uid, annotations } = job.metadata!
  return {
    namespace,
    job: name!,
    jobUid: uid!,
    pod: pod.metadata!.name!,
    node: pod.spec!.nodeName!,
    kind: 'agent',
    ...shadowLogin.agent,
    port: serving.sshPort,
    clientKey,
    hostKey: annotations?.[HOST_KEY_ANNOTATION],
  }
}
