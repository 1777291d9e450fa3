import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { ShadowOptions } from '../../src/cluster/calls.ts'
import { jobManifest, secretManifest } from '../../src/cluster/shadow-manifest.ts'
import { ShadowConfig } from '../../src/control/config.ts'
import { shadowOptions } from '../../src/daemon/shadow-options.ts'
import { options } from './namespace.ts'

const asked = {
  ...{ shadow: 'agent', readyTimeoutS: 60, owner: 'ann@laptop', env: {}, nodeSelector: {}, tolerations: [] },
  ...{ imagePullSecrets: [], labels: {}, annotations: {}, podResources: {} },
}

// Golden files show what a cluster's administrator will see. Made anew with KT_UPDATE_GOLDEN=1; read the difference.
function golden(name: string, value: unknown): void {
  const file = new URL(`golden/${name}.json`, import.meta.url)
  const plain = JSON.parse(JSON.stringify(value)) // as it is sent: without what is undefined
  if (process.env['KT_UPDATE_GOLDEN']) writeFileSync(file, `${JSON.stringify(plain, undefined, 2)}\n`)
  assert.deepEqual(plain, JSON.parse(readFileSync(file, 'utf8')))
}

test('the agent with nothing asked for', () => golden('agent', jobManifest('kt-shadow-abcde', 'shop', options)))

test('sshd with everything asked for', () => {
  const everything: ShadowOptions = {
    ...options,
    kind: 'sshd',
    image: 'registry.example.com/sshd:1',
    nodeSelector: { disk: 'ssd' },
    serviceAccount: 'builder',
    imagePullSecrets: ['registry'],
    labels: { team: 'blue', 'app.kubernetes.io/name': 'not-kt' },
    annotations: { note: 'text' },
    resources: { cpu: '100m', memory: '64Mi' },
  }
  golden('sshd', jobManifest('kt-shadow-abcde', 'shop', everything))
})

test('the Secret belongs to the Job, so that it goes with it', () => {
  const job = jobManifest('kt-shadow-abcde', 'shop', options)
  job.metadata!.uid = '00000000-0000-4000-8000-000000000001'
  golden('secret', secretManifest(job, { 'agent.cjs': 'program', host_key: 'private', authorized: 'public' }))
})

test('tolerations of the user are those of the pod', () => {
  const tolerations = [{ key: 'spot', operator: 'Exists' as const }]
  assert.deepEqual(jobManifest('a', 'b', { ...options, tolerations }).spec!.template.spec!.tolerations, tolerations)
  assert.equal(jobManifest('a', 'b', options).spec!.template.spec!.tolerations, undefined)
})

test('what kt made is known by its labels, whatever labels the user gave', () => {
  const labels = { 'app.kubernetes.io/component': 'mine', 'app.kubernetes.io/managed-by': 'me' }
  const { metadata } = jobManifest('a', 'b', { ...options, labels })
  assert.equal(metadata!.labels!['app.kubernetes.io/component'], 'shadow')
  assert.equal(metadata!.labels!['app.kubernetes.io/managed-by'], 'kt')
})

test("how long the agent waits for a client that vanished is the person's choice, or as long as it waits for any", () => {
  const serving = (idleSeconds: number) => ({
    ...{ id: 'z7cxm', ports: [], named: [], sshPort: 2222, readyPort: 2223, probed: false, podLabels: {} },
    ...{ idleSeconds, annotations: {}, env: {} },
  })
  const waits = (lineWaitS?: number, idleSeconds?: number) => {
    const config = ShadowConfig.parse({ ...asked, lineWaitS })
    const job = jobManifest(
      'a',
      'b',
      shadowOptions(config),
      idleSeconds === undefined ? undefined : serving(idleSeconds),
    )
    const [{ env }] = job.spec!.template.spec!.containers
    return env!.find(({ name }) => name === 'KT_AGENT_LINE_S')?.value
  }
  // The agent's own default.
  assert.equal(waits(), undefined)
  assert.equal(waits(undefined, 0), undefined)
  assert.equal(waits(undefined, 60), '60')
  assert.equal(waits(28_800), '28800')
  assert.equal(waits(28_800, 0), '28800')
  assert.equal(waits(28_800, 60), '28800')
})

test('a shadow that serves has time to do so when it is told to end, and stands on another node than the other', () => {
  const serving = {
    ...{ id: 'z7cxm', ports: [], named: [], sshPort: 2222, readyPort: 2223, probed: false, podLabels: {} },
    ...{ idleSeconds: 0, annotations: {}, env: {} },
  }
  const spec = jobManifest('a', 'b', options, serving).spec!.template.spec!
  // The agent serves for 20 s, and then lets connections end for 8 s (src/shadow/agent.ts).
  assert.equal(spec.terminationGracePeriodSeconds, 30)
  const [apart] = spec.affinity!.podAntiAffinity!.preferredDuringSchedulingIgnoredDuringExecution!
  assert.deepEqual(apart.podAffinityTerm, {
    labelSelector: { matchLabels: { 'kt/exchange': 'z7cxm' } },
    topologyKey: 'kubernetes.io/hostname',
  })
  assert.equal(jobManifest('a', 'b', options).spec!.template.spec!.terminationGracePeriodSeconds, 1)
})
