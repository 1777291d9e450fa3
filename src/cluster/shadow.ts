// Makes, watches and removes shadows: a suspended Job, its Secret, then the release. Whoever
// gives up or fails here leaves nothing behind in the cluster.
import type { CoreV1Event, V1Job, V1Pod, V1Secret } from '@kubernetes/client-node'
import type { Clock } from '../base/clock.ts'
import { aborted } from './api.ts'
import { ClusterError, type Progress, type ShadowHandle, type ShadowHooks, type ShadowOptions } from './calls.ts'
import { clusterError } from './errors.ts'
import { type ApiPort, follow, MERGE } from './follow.ts'
import type { Serving } from './inbound-calls.ts'
import { checkPortForward } from './rights.ts'
import {
  CLIENT_KEY_ANNOTATION,
  HOST_KEY_ANNOTATION,
  jobManifest,
  type ShadowFiles,
  SSHD_DEADLINE_S,
  secretManifest,
  secretNameOf,
  shadowLogin,
} from './shadow-manifest.ts'
import { jobPath, undoJob } from './shadow-removal.ts'
import { isHopeless, judgeEvent, judgePod, type PodVerdict } from './shadow-state.ts'
import { generateSshKeyPair } from './ssh-key.ts'

export interface ShadowDependencies {
  api: ApiPort
  namespace: string
  clock: Clock
  /** Five letters or digits nobody can guess. */
  suffix: () => string
  /** The agent's program. Throws ClusterError where it was not built. */
  agentBundle: () => Promise<string>
  /** The agent's compiled cipher, native/gcm.c, for nodes of this architecture if there is one. The agent works without. */
  agentCipher?: (arch: string) => Buffer | undefined
  /** How long a pod may be without a node: [when no node fits its selector, when no autoscaler stirs]. */
  patienceMs?: [number, number]
  /** Told the pod as it is when its container runs. */
  onRunning?: (pod: V1Pod) => void
  /** Told the Job, suspended as yet, and may refuse it. */
  onJob?: (job: V1Job) => Promise<void>
}

// The scheduler may be ahead of its node cache; the cluster-autoscaler looks every 10 s (--scan-interval).
const PATIENCE_MS: [number, number] = [3_000, 15_000]

/** For whichever node the pod comes to; the agent takes the one of its architecture. */
function ciphers({ agentCipher }: ShadowDependencies): ShadowFiles {
  const files: ShadowFiles = {}
  for (const arch of ['x64', 'arm64']) {
    const bytes = agentCipher?.(arch)
    if (bytes) files[`kt_gcm-${arch}.node`] = bytes
  }
  return files
}

export async function createShadow(
  dependencies: ShadowDependencies,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
  serving?: Serving,
): Promise<ShadowHandle> {
  const { api, namespace } = dependencies
  const name = `kt-shadow-${dependencies.suffix()}`
  const client = generateSshKeyPair('kt')
  const key = client.publicLine.trim()
  const host = options.kind === 'agent' ? generateSshKeyPair('kt-shadow') : undefined
  const files: ShadowFiles =
    host === undefined
      ? { authorized: client.publicLine }
      : {
          'agent.cjs': await dependencies.agentBundle(),
          ...ciphers(dependencies),
          host_key: host.privateKey,
          authorized: client.publicLine,
        }
  const secret = serving ? secretNameOf(name, host?.publicKey) : name
  const named = serving && {
    ...serving,
    annotations: { ...serving.annotations, ...(host && { [HOST_KEY_ANNOTATION]: host.publicKey }) },
  }
  const watching = new AbortController()
  const stop = () => watching.abort()
  hooks.signal?.addEventListener('abort', stop)
  let job: V1Job | undefined
  let secretUid: string | undefined
  try {
    throwIfAborted(hooks.signal)
    const right = checkPortForward(api, namespace)
    right.catch(() => {}) // looked at below; until then it must not count as unhandled
    // What changes the cluster is never cut off in the middle: half done, nobody could know what to undo.
    const annotations = { ...options.annotations, [CLIENT_KEY_ANNOTATION]: key }
    const manifest = jobManifest(name, namespace, { ...options, annotations }, named, secret)
    const request = { body: manifest, doing: `creating the Job ${name}` }
    job = (await api.send<V1Job>('POST', jobPath(namespace), request)).body
    throwIfAborted(hooks.signal)
    await dependencies.onJob?.(job)
    const handle = {
      namespace,
      job: name,
      jobUid: job.metadata!.uid!,
      secret,
      kind: options.kind,
      ...shadowLogin[options.kind],
      ...(serving && { port: serving.sshPort }),
      clientKey: client.privateKey,
      hostKey: host?.publicKey,
    }
    const running = waitForPod(dependencies, job, options.readyTimeoutMs, watching.signal, progress, (pod) =>
      hooks.dialable?.({ ...handle, secretUid, pod: pod.metadata!.name!, node: pod.spec!.nodeName! }),
    )
    running.catch(() => {})
    const released = release(api, job, files, (uid) => {
      secretUid = uid
    })
    await Promise.race([released, running])
    await right
    const pod = await running
    dependencies.onRunning?.(pod)
    if (options.kind === 'agent') {
      const forEver = { spec: { activeDeadlineSeconds: null } }
      await api.send('PATCH', jobPath(namespace, name), { body: forEver, contentType: MERGE })
    }
    return { ...handle, secretUid, pod: pod.metadata!.name!, node: pod.spec!.nodeName! }
  } catch (error) {
    stop()
    // A refused Job does not exist; one whose answer was lost may.
    if (job || (error as ClusterError).code === 'unreachable')
      await undoJob(api, namespace, name, job?.metadata?.uid, key)
    throw hooks.signal?.aborted ? aborted() : error
  } finally {
    stop()
    hooks.signal?.removeEventListener('abort', stop)
  }
}

async function release(
  api: ApiPort,
  job: V1Job,
  files: ShadowFiles,
  onSecret: (uid: string | undefined) => void,
): Promise<never> {
  const { name, namespace } = job.metadata!
  const secret = { body: secretManifest(job, files), doing: `creating the Secret of ${name}` }
  const made = await api.send<V1Secret>('POST', `/api/v1/namespaces/${namespace}/secrets`, secret)
  onSecret(made.body.metadata?.uid)
  const go = { body: { spec: { suspend: false } }, contentType: MERGE, doing: `releasing the Job ${name}` }
  await api.send('PATCH', jobPath(namespace!, name), go)
  return new Promise<never>(() => {}) // from here on the pod decides
}

// Settles when the container runs, when the cluster says it will not, or when time is up.
async function waitForPod(
  { api, namespace, clock, patienceMs = PATIENCE_MS }: ShadowDependencies,
  job: V1Job,
  timeoutMs: number,
  stopped: AbortSignal,
  progress: Progress,
  onNode: (pod: V1Pod) => void,
): Promise<V1Pod> {
  const { promise, resolve, reject } = Promise.withResolvers<V1Pod>()
  const cancels: (() => void)[] = []
  const later = (ms: number, action: () => void) => cancels.push(clock.after(ms, action))
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, stopped])
  stopped.addEventListener('abort', () => reject(aborted()), { once: true })
  const say = (detail: string) => {
    if (detail === said) return
    said = detail
    progress('shadow', detail)
  }
  let said = ''
  let verdict: PodVerdict | undefined
  let node = ''
  let scaling = false

  const look = (pod: V1Pod) => {
    const before = verdict
    verdict = judgePod(pod)
    if (pod.spec?.nodeName && !node) {
      node = pod.spec.nodeName
      say(`${pod.metadata!.name} is scheduled to ${node}`)
      onNode(pod)
      watchEvents(pod.metadata!.uid!)
    }
    if (verdict.unschedulable && !before?.unschedulable) {
      const fail = () => verdict?.unschedulable && reject(clusterError('unschedulable', noNode(verdict.unschedulable)))
      later(patienceMs[0], () => {
        if (!verdict?.unschedulable) return
        if (isHopeless(verdict.unschedulable)) fail()
        else say(noNode(verdict.unschedulable))
      })
      later(patienceMs[1], () => scaling || fail())
    }
    if (verdict.state === 'running') {
      say(`${pod.metadata!.name} ${verdict.detail}`)
      resolve(pod)
    } else if (verdict.state === 'failed') {
      withLog(api, pod, verdict).then(reject, reject)
    }
  }
  const watchEvents = (uid: string) => {
    const query = { fieldSelector: `involvedObject.uid=${uid}` }
    const path = `/api/v1/namespaces/${namespace}/events`
    const each = (event: CoreV1Event) => {
      const { error, detail, scaling: more } = judgeEvent(event)
      if (error) reject(error)
      scaling ||= more ?? false
      if (detail) say(detail)
    }
    // Events only make a failure known earlier, or with a better reason. Without the right to read them the rest works.
    follow<CoreV1Event>(api, path, query, signal, (type, event) => type !== 'DELETED' && each(event)).catch(() => {})
  }

  later(timeoutMs, () => {
    const seconds = `${timeoutMs / 1000} s`
    if (verdict?.unschedulable) reject(clusterError('unschedulable', noNode(verdict.unschedulable)))
    else if (verdict)
      reject(clusterError('timeout', `the shadow's pod does not run after ${seconds}: ${verdict.detail}`))
    else reject(clusterError('timeout', `the Job ${job.metadata!.name} has no pod after ${seconds}`))
  })
  watchEvents(job.metadata!.uid!)
  const pods = { labelSelector: `job-name=${job.metadata!.name}` }
  follow<V1Pod>(api, `/api/v1/namespaces/${namespace}/pods`, pods, signal, (type, pod) => {
    // A Job of this name that was there before may have a pod that still ends.
    if (pod.metadata?.ownerReferences?.every(({ uid }) => uid !== job.metadata!.uid)) return
    if (type === 'DELETED') reject(clusterError('gone', "the shadow's pod was deleted while it started"))
    else look(pod)
  }).catch(reject)
  try {
    return await promise
  } finally {
    over.abort()
    for (const cancel of cancels) cancel()
  }
}

async function withLog(api: ApiPort, pod: V1Pod, { error, hasLog }: PodVerdict): Promise<ClusterError> {
  if (!hasLog || !error) return error!
  const { name, namespace } = pod.metadata!
  try {
    const text = await api.get<unknown>(`/api/v1/namespaces/${namespace}/pods/${name}/log`, { tailLines: '20' })
    // A log whose only line is a number or JSON comes parsed.
    const lines = (typeof text === 'string' ? text : JSON.stringify(text)).split('\n').filter((line) => line.trim())
    // Node's own report ends with its version; what went wrong stands in the line that names an error.
    const line = lines.findLast((each) => /error|fail|denied|not found/i.test(each)) ?? lines.at(-1)
    return line ? clusterError(error.code, `${error.message}; its log says: ${line.trim()}`) : error
  } catch {
    return error // no right to read logs, or it is gone already
  }
}

function noNode(words: string): string {
  return `no node takes the shadow's pod: ${words}`
}

/** `running` from the container's state, `gone` when nobody will bring this pod back. */
export async function shadowState(
  api: ApiPort,
  shadow: ShadowHandle,
): Promise<{ state: 'running' | 'starting' | 'gone'; detail: string }> {
  try {
    const pod = await api.get<V1Pod>(`/api/v1/namespaces/${shadow.namespace}/pods/${shadow.pod}`)
    const { state, detail } = judgePod(pod)
    return { state: state === 'failed' ? 'gone' : state, detail: `${shadow.pod} ${detail}` }
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'gone') throw error
    return { state: 'gone', detail: `the pod ${shadow.pod} is not there any more` }
  }
}

/** For sshd: the deadline counts from the Job's start, so it is set to what has passed and half an hour more. */
export async function prolongShadow(api: ApiPort, shadow: ShadowHandle): Promise<void> {
  if (shadow.kind !== 'sshd') return
  const path = jobPath(shadow.namespace, shadow.job)
  const { body: job, serverTime } = await api.send<V1Job>('GET', path)
  if (job.metadata?.uid !== shadow.jobUid) throw clusterError('gone', `the Job ${shadow.job} is not there any more`)
  const start = Date.parse(String(job.status?.startTime))
  // The API server's clock, not this machine's: they may differ by minutes.
  const passed = Number.isFinite(serverTime - start) ? Math.max(0, Math.ceil((serverTime - start) / 1000)) : 0
  const body = { spec: { activeDeadlineSeconds: passed + SSHD_DEADLINE_S } }
  await api.send('PATCH', path, { body, contentType: MERGE, doing: `prolonging the Job ${shadow.job}` })
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted()
}
