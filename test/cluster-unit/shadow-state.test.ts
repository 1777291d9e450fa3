import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { V1ContainerState, V1Pod, V1PodStatus } from '@kubernetes/client-node'
import type { ClusterErrorCode } from '../../src/cluster/calls.ts'
import { isHopeless, judgeEvent, judgePod } from '../../src/cluster/shadow-state.ts'

function pod(status: V1PodStatus, nodeName?: string): V1Pod {
  return { metadata: { name: 'p' }, spec: { nodeName, containers: [{ name: 'shadow', image: 'img:1' }] }, status }
}
const container = (state: V1ContainerState, phase = 'Pending') =>
  pod({ phase, containerStatuses: [{ name: 'shadow', state } as never] }, 'n1')

// Statuses as kubelet and scheduler wrote them, and what they mean.
const table: [string, V1Pod, string, ClusterErrorCode | undefined, RegExp][] = [
  ['just made', pod({ phase: 'Pending' }), 'starting', undefined, /waits for a node/],
  ['has a node', pod({ phase: 'Pending' }, 'n1'), 'starting', undefined, /being started on n1/],
  ['being created', container({ waiting: { reason: 'ContainerCreating' } }), 'starting', undefined, /being started/],
  ['runs', container({ running: {} }, 'Running'), 'running', undefined, /runs on n1/],
  [
    'no image',
    container({ waiting: { reason: 'ErrImagePull', message: 'rpc error: not found' } }),
    'failed',
    'image-pull',
    /img:1 cannot be pulled: ErrImagePull: rpc error: not found/,
  ],
  [
    'no image, again',
    container({ waiting: { reason: 'ImagePullBackOff' } }),
    'failed',
    'image-pull',
    /ImagePullBackOff/,
  ],
  ['no such name', container({ waiting: { reason: 'InvalidImageName' } }), 'failed', 'image-pull', /InvalidImageName/],
  [
    'image wants root',
    container({ waiting: { reason: 'CreateContainerConfigError', message: 'image will run as root' } }),
    'failed',
    'crashed',
    /CreateContainerConfigError: image will run as root/,
  ],
  [
    'no program',
    container({ terminated: { exitCode: 128, reason: 'StartError', message: 'exec: "node": not found' } }),
    'failed',
    'crashed',
    /StartError, exit code 128: exec: "node": not found/,
  ],
  [
    'ended well',
    container({ terminated: { exitCode: 0, reason: 'Completed' } }, 'Succeeded'),
    'failed',
    'crashed',
    /exit code 0/,
  ],
  [
    'sysctl not allowed on the node',
    pod({ phase: 'Failed', reason: 'SysctlForbidden', message: 'forbidden sysctl' }, 'n1'),
    'failed',
    'admission',
    /node n1 refused.*SysctlForbidden: forbidden sysctl/,
  ],
]
for (const [what, input, state, code, words] of table)
  test(`pod: ${what}`, () => {
    const verdict = judgePod(input)
    assert.equal(verdict.state, state)
    assert.equal(verdict.error?.code, code)
    assert.match(verdict.error?.message ?? verdict.detail, words)
  })

test('pod: being deleted', () => {
  const leaving = container({ running: {} }, 'Running')
  leaving.metadata!.deletionTimestamp = new Date(0)
  assert.equal(judgePod(leaving).error?.code, 'gone')
})

test('pod: no node takes it, in the scheduler’s words without those on preemption', () => {
  const message =
    "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
  const conditions = [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }]
  const { state, unschedulable } = judgePod(pod({ phase: 'Pending', conditions }))
  assert.equal(state, 'starting')
  assert.equal(unschedulable, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
})

test('hopeless is only what every node fails by its labels', () => {
  assert.ok(isHopeless("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."))
  assert.ok(
    !isHopeless("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector."),
  )
  assert.ok(!isHopeless('0/2 nodes are available: 2 Insufficient cpu.'))
})

test('events: a refused pod is an error in the words behind the wrapping', () => {
  const quota = 'Error creating: pods "kt-shadow-a-b" is forbidden: exceeded quota: q, requested: pods=1'
  const { error } = judgeEvent({ reason: 'FailedCreate', message: quota } as never)
  assert.equal(error?.code, 'admission')
  assert.equal(error?.message, "the cluster refuses the shadow's pod: exceeded quota: q, requested: pods=1")
})

test('events: a quota that was changed at the same moment is tried again by the cluster', () => {
  const message = 'Error creating: Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
  assert.deepEqual(judgeEvent({ reason: 'FailedCreate', message } as never), {})
})

test('events: pulling is progress, an autoscaler is a reason to wait', () => {
  assert.match(
    judgeEvent({ reason: 'Pulling', message: 'Pulling image "x:1"' } as never).detail!,
    /image is being pulled: "x:1"/,
  )
  assert.equal(judgeEvent({ reason: 'TriggeredScaleUp', message: '' } as never).scaling, true)
  assert.deepEqual(judgeEvent({ reason: 'Scheduled', message: 'x' } as never), {})
})
