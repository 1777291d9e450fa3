// What the cluster's words about the shadow's pod mean: still coming, running, or failed and why. Pure.
import type { CoreV1Event, V1ContainerStatus, V1Pod } from '@kubernetes/client-node'
import type { ClusterError } from './calls.ts'
import { clusterError } from './errors.ts'
import { CONTAINER } from './shadow-manifest.ts'

export interface PodVerdict {
  state: 'starting' | 'running' | 'failed'
  /** For people: where it is in its way. */
  detail: string
  /** With `failed`. For a container that ended, the last line of its log belongs behind it. */
  error?: ClusterError
  /** The container has run, so there may be a log. */
  hasLog?: boolean
  /** The scheduler's words, while it finds no node. */
  unschedulable?: string
}

// Reasons in `state.waiting`, from the kubelet (pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go).
const imageReasons = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
  'SignatureValidationFailed',
])
const startReasons = new Set([
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'PreCreateHookError',
  'PreStartHookError',
  'PostStartHookError',
])

export function judgePod(pod: V1Pod): PodVerdict {
  const status = pod.status ?? {}
  const container = status.containerStatuses?.find(({ name }) => name === CONTAINER)
  const waiting = container?.state?.waiting
  const ended = container?.state?.terminated
  if (ended) return crashed(pod, endWords(ended), true)
  if (status.phase === 'Failed' || status.phase === 'Succeeded') {
    const words = [status.reason, status.message].filter(Boolean).join(': ') || status.phase
    // The kubelet's own admission (sysctls, resources) and evictions end a pod that never had a container.
    const error = clusterError('admission', `the node ${pod.spec?.nodeName ?? ''} refused the shadow's pod: ${words}`)
    return { state: 'failed', detail: words, error }
  }
  if (pod.metadata?.deletionTimestamp) {
    return {
      state: 'failed',
      detail: 'being deleted',
      error: clusterError('gone', "the shadow's pod is being deleted"),
    }
  }
  if (waiting?.reason && imageReasons.has(waiting.reason)) {
    const words = [waiting.reason, waiting.message].filter(Boolean).join(': ')
    const image = pod.spec?.containers[0]?.image
    const error = clusterError('image-pull', `the image ${image} cannot be pulled: ${words}`)
    return { state: 'failed', detail: words, error }
  }
  if (waiting?.reason && startReasons.has(waiting.reason))
    return crashed(pod, [waiting.reason, waiting.message].filter(Boolean).join(': '), false)
  if (container?.state?.running) return { state: 'running', detail: `runs on ${pod.spec?.nodeName}` }
  if (pod.spec?.nodeName) return { state: 'starting', detail: `is being started on ${pod.spec.nodeName}` }
  const scheduled = status.conditions?.find(({ type }) => type === 'PodScheduled')
  if (scheduled?.status === 'False' && scheduled.message) {
    // What preemption could do follows the reason, and nobody asked for it.
    const words = scheduled.message.replace(/\s*preemption: .*$/s, '')
    return { state: 'starting', detail: words, unschedulable: words }
  }
  return { state: 'starting', detail: 'waits for a node' }
}

/** True when no node will ever do, unless nodes change: each one fails the pod's node selector. */
export function isHopeless(schedulerWords: string): boolean {
  const [, all] = /^0\/(\d+) nodes are available/.exec(schedulerWords) ?? []
  const [, unfit] = /(\d+) node\(s\) didn't match Pod's node affinity\/selector/.exec(schedulerWords) ?? []
  return all !== undefined && all === unfit
}

export interface EventVerdict {
  /** Worth showing. */
  detail?: string
  error?: ClusterError
  /** Somebody is about to add a node. */
  scaling?: boolean
}

/** What an event about the Job or its pod says. */
export function judgeEvent(event: CoreV1Event): EventVerdict {
  const message = event.message ?? ''
  switch (event.reason) {
    case 'FailedCreate': {
      // The quota controller asks for another try in its own way.
      if (/operation cannot be fulfilled/i.test(message)) return {}
      const words = message.replace(/^Error creating: (pods "[^"]*" is forbidden: )?/, '')
      return { error: clusterError('admission', `the cluster refuses the shadow's pod: ${words}`) }
    }
    case 'Pulling':
      return { detail: `image is being pulled: ${message.replace(/^Pulling image /, '')}` }
    case 'FailedMount':
    case 'FailedCreatePodSandBox':
    case 'NetworkNotReady':
      return { detail: message }
    case 'TriggeredScaleUp': // cluster-autoscaler
    case 'Nominated': // karpenter
      return { scaling: true, detail: message }
    default:
      return {}
  }
}

function crashed({ metadata }: V1Pod, words: string, hasLog: boolean): PodVerdict {
  return {
    state: 'failed',
    detail: words,
    hasLog,
    error: clusterError(
      'crashed',
      `the shadow's container did not stay up: ${words}`,
      `--image changes what runs in the pod${hasLog ? `; \`kubectl -n ${metadata?.namespace} logs ${metadata?.name}\` may say more` : ''}`,
    ),
  }
}

function endWords(ended: NonNullable<NonNullable<V1ContainerStatus['state']>['terminated']>): string {
  const words = `${ended.reason ?? 'ended'}, exit code ${ended.exitCode}`
  return ended.message ? `${words}: ${ended.message}` : words
}
