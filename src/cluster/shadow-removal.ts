// The end of a shadow: its Job, and with it pod and Secret. Only what is known by its uid, or by a key that nobody else
// has, is deleted: another object of the same name is somebody else's.
import type { V1Job, V1Pod, V1PodList } from '@kubernetes/client-node'
import type { Clock } from '../base/clock.ts'
import type { ShadowHandle } from './calls.ts'
import { clusterError } from './errors.ts'
import type { ApiPort } from './follow.ts'
import { CLIENT_KEY_ANNOTATION, REMOVAL_GRACE_S } from './shadow-manifest.ts'

const GONE_MS = 5_000
// kube-proxy applies a change within a second; a slow node needs longer.
const NODES_FOLLOW_S = 3

/**
 * `pod` undefined: there is none. Resolves when Job, Secret and pod are gone, or after 5 s when the node is slow to end the pod. Idempotent. Does nothing
 * to a Job of this name that is another one.
 */
export async function removeShadow({ api, clock }: { api: ApiPort; clock: Clock }, shadow: Removable): Promise<void> {
  await deleteShadow(api, shadow)
  if (shadow.pod) await podGone(api, shadow.namespace, shadow.pod, clock)
}

type Removable = Pick<ShadowHandle, 'namespace' | 'job' | 'jobUid' | 'secret' | 'secretUid'> & {
  pod: string | undefined
}

/** As `removeShadow`, but resolves when the API server has taken the deletions. */
export async function deleteShadow(api: ApiPort, shadow: Removable): Promise<void> {
  const { namespace, job, jobUid, secret = job, secretUid, pod } = shadow
  if (!(await removeJob(api, namespace, job, jobUid))) return
  // The garbage collector does these too, a little later and without our rights: so a refusal is no error. A Secret that
  // somebody else made is left to it: by now it may be that of the next Job of this name.
  await Promise.all([
    pod &&
      api.ask('DELETE', `/api/v1/namespaces/${namespace}/pods/${pod}`, {
        body: { gracePeriodSeconds: REMOVAL_GRACE_S },
      }),
    secretUid &&
      api.ask('DELETE', `/api/v1/namespaces/${namespace}/secrets/${secret}`, {
        body: { preconditions: { uid: secretUid } },
      }),
  ])
}

/**
 * Ends a shadow to which requests may lead still: its pod is no endpoint from now on, serves on for as long as it must, and no
 * other is made in its place. Idempotent; resolves when that is under way.
 */
export async function retireShadow(api: ApiPort, shadow: ShadowHandle): Promise<void> {
  const { namespace, job, jobUid, secret = job, secretUid, pod } = shadow
  // As in removeShadow, but at once, and with the grace that the pod was made with.
  await Promise.all([
    removeJob(api, namespace, job, jobUid),
    api.ask('DELETE', `/api/v1/namespaces/${namespace}/pods/${pod}`),
    secretUid &&
      api.ask('DELETE', `/api/v1/namespaces/${namespace}/secrets/${secret}`, {
        body: { preconditions: { uid: secretUid } },
      }),
  ])
}

/** Ends a removed Job's pods sooner than they would by themselves; the nodes have learned by then that nothing leads there. */
export async function endPods(api: ApiPort, namespace: string, job: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  const { status, body } = await api.ask('GET', path, { query: { labelSelector: `job-name=${job}` } })
  // This only makes the removal faster. Without the right it is left out.
  for (const { metadata } of status === 200 ? (body as unknown as V1PodList).items : [])
    await api.ask('DELETE', `${path}/${metadata!.name}`, { body: { gracePeriodSeconds: NODES_FOLLOW_S } })
}

async function podGone(api: ApiPort, namespace: string, pod: string, clock: Clock): Promise<void> {
  const over = new AbortController()
  const cancel = clock.after(GONE_MS, () => over.abort())
  try {
    const path = `/api/v1/namespaces/${namespace}/pods`
    const one = { fieldSelector: `metadata.name=${pod}` }
    const { items, metadata } = await api.get<V1PodList>(path, one)
    if (items.length === 0) return
    const since = { ...one, resourceVersion: metadata?.resourceVersion ?? '' }
    for await (const { type } of api.watch<V1Pod>(path, since, over.signal)) if (type === 'DELETED') return
  } catch {
    // Time is up, or it may not be watched: it is being deleted, which is all that was promised.
  } finally {
    cancel()
  }
}

// What failed first is what the user hears of; an API server that is away now finds the Job's deadline later.
export async function undoJob(
  api: ApiPort,
  namespace: string,
  name: string,
  uid: string | undefined,
  clientKey: string,
): Promise<void> {
  for (let tries = 0; tries < 3; tries++) {
    try {
      const made = uid ?? (await uidOfOwn(api, namespace, name, clientKey))
      if (made) await removeJob(api, namespace, name, made)
      return
    } catch {}
  }
}

/** Its creation was never answered: whether it is there, and made by this client, must be asked. */
async function uidOfOwn(api: ApiPort, namespace: string, name: string, clientKey: string): Promise<string | undefined> {
  const { status, body } = await api.ask('GET', jobPath(namespace, name))
  const { metadata } = body as V1Job
  return status === 200 && metadata?.annotations?.[CLIENT_KEY_ANNOTATION] === clientKey ? metadata.uid : undefined
}

/** False when the Job of that name is another one. */
export async function removeJob(api: ApiPort, namespace: string, name: string, uid: string): Promise<boolean> {
  const body = { propagationPolicy: 'Background', preconditions: { uid } }
  const { status, body: answer } = await api.ask('DELETE', jobPath(namespace, name), { body })
  if (status === 409) return false
  if (status >= 400 && status !== 404)
    throw clusterError(
      'internal',
      `the Job ${name} in namespace ${namespace} could not be removed: ${answer.message}`,
      `it ends by itself; or \`kubectl -n ${namespace} delete job ${name}\``,
    )
  return true
}

export function jobPath(namespace: string, name?: string): string {
  return `/apis/batch/v1/namespaces/${namespace}/jobs${name ? `/${name}` : ''}`
}
