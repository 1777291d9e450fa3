import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ApiPort } from '../../src/cluster/follow.ts'
import type { InboundContext } from '../../src/cluster/inbound/context.ts'
import { leaseName, secondName } from '../../src/cluster/inbound/derived.ts'
import {
  addShadow,
  beginExchange,
  beginRun,
  removeExchange,
  replaceShadow,
  restoreExchange,
  switchExchange,
} from '../../src/cluster/inbound/kinds.ts'
import { findLeftovers, recover, removeLeftovers } from '../../src/cluster/inbound/recover.ts'
import { renewLease } from '../../src/cluster/inbound/while-held.ts'
import type { ExchangeRequest, InboundHandle } from '../../src/cluster/inbound-calls.ts'
import { removeJob, retireShadow } from '../../src/cluster/shadow-removal.ts'
import { Dead, MemoryCluster } from './memory-cluster.ts'
import { clientOf as context, leases as LEASES, NOBODY, options as patient, silent } from './namespace.ts'

const options = { ...patient, readyTimeoutMs: 5_000 }
const SERVICE = '/api/v1/namespaces/shop/services/web'
const DEPLOYMENT = '/apis/apps/v1/namespaces/shop/deployments/web'
const LEASE_NAME = leaseName('exchange', 'web')
const LEASE = `${LEASES}/${LEASE_NAME}`
const secondPath = (id: string) => `/api/v1/namespaces/shop/services/${secondName('web', id)}`

function clusterWithWeb(): MemoryCluster {
  const cluster = new MemoryCluster()
  const labels = { app: 'web', tier: 'front' }
  cluster.put(DEPLOYMENT, { spec: { replicas: 2, template: { metadata: { labels } } } })
  const ports = [
    { name: 'http', port: 80, protocol: 'TCP', targetPort: 'http' },
    { name: 'plain', port: 81, protocol: 'TCP', targetPort: 8080 },
  ]
  cluster.put(SERVICE, { spec: { type: 'ClusterIP', clusterIP: '10.96.0.9', selector: labels, ports } })
  return cluster
}

const request = (mode: 'selector' | 'scale', more: Partial<ExchangeRequest> = {}): ExchangeRequest => ({
  kind: 'exchange',
  target: 'web',
  mode,
  ports: mode === 'scale' ? [{ port: 80 }, { port: 81 }] : [{ port: 80 }],
  holder: 'ann@laptop/1',
  force: false,
  ...more,
})

/** All that a person would do, up to the end or the death of the client. */
async function exchange(api: ApiPort, mode: 'selector' | 'scale', onSwitched: () => void = silent): Promise<void> {
  const here = context(api)
  try {
    const handle = await beginExchange(here, request(mode), options, silent)
    await switchExchange(here, handle, silent)
    onSwitched()
    await renewLease(here, handle)
    await restoreExchange(here, handle, silent)
    await removeExchange(here, handle)
  } catch (error) {
    if (!(error instanceof Dead)) throw error
  }
}

/** What kt made, and marks on what it did not make. */
function traces(cluster: MemoryCluster): string[] {
  return [...cluster.objects]
    .filter(([path]) => !/\/(pods|secrets|endpointslices)\//.test(path)) // these go with their Job and Service
    .filter(
      ([, { metadata }]) =>
        metadata.labels?.['app.kubernetes.io/name'] === 'kt' || metadata.annotations?.['kt/exchange'],
    )
    .map(([path]) => path)
}

/** After how many seconds without a client the agents of all Jobs end; 0: never. */
const idleSeconds = (cluster: MemoryCluster): string[] =>
  [...cluster.objects]
    .filter(([path]) => path.includes('/jobs/'))
    .map(([, job]) => /"KT_AGENT_IDLE_S","value":"(\d+)"/.exec(JSON.stringify(job))![1])

const changesOf = async (mode: 'selector' | 'scale') => {
  const api = clusterWithWeb().client()
  await exchange(api, mode)
  return api.changes()
}

for (const mode of ['selector', 'scale'] as const) {
  test(`${mode}: after begin, switch, restore, remove all is as before, and in between it is not`, async () => {
    const cluster = clusterWithWeb()
    const [service, deployment] = [SERVICE, DEPLOYMENT].map((path) =>
      structuredClone(cluster.objects.get(path)!['spec']),
    )
    let changed = false
    await exchange(cluster.client(), mode, () => {
      // The Service leads to it, whether its client is there or not.
      assert.deepEqual(idleSeconds(cluster), ['0'])
      const now = [SERVICE, DEPLOYMENT].map((path) => cluster.objects.get(path)!['spec'])
      changed = JSON.stringify(now) !== JSON.stringify([service, deployment])
    })
    assert.ok(changed)
    assert.deepEqual(cluster.objects.get(SERVICE)!['spec'], service)
    assert.deepEqual(cluster.objects.get(DEPLOYMENT)!['spec'], deployment)
    assert.deepEqual(traces(cluster), [])
  })

  for (const how of ['recover', 'clean'] as const)
    test(`${mode}: a client that dies after any change leaves what ${how} puts back, field by field`, async () => {
      const all = await changesOf(mode)
      assert.ok(all >= 8, `${all} changes`)
      for (let diesAfter = 0; diesAfter <= all; diesAfter++) {
        const cluster = clusterWithWeb()
        const was = [SERVICE, DEPLOYMENT].map((path) => structuredClone(cluster.objects.get(path)!['spec']))
        await exchange(cluster.client(diesAfter), mode)
        const here = context(cluster.client())
        if (how === 'recover') await recover(here, 'web', { force: false, holder: 'bob@desk/2' }, silent)
        else await removeLeftovers(here, await findLeftovers(here, NOBODY, silent), 'bob@desk/2', silent)
        const now = [SERVICE, DEPLOYMENT].map((path) => cluster.objects.get(path)!['spec'])
        assert.deepEqual(now, was, `died after ${diesAfter} changes`)
        assert.deepEqual(traces(cluster), [], `died after ${diesAfter} changes`)
      }
    })
}

test('what somebody else changed meanwhile is kept: other fields, and keys of the selector', async () => {
  const all = await changesOf('selector')
  const keys = fc.constantFrom('app', 'tier', 'release')
  const edits = fc.record({
    diesAfter: fc.integer({ min: 0, max: all }),
    selector: fc.dictionary(keys, fc.constantFrom('theirs', 'other'), { maxKeys: 2 }),
    port: fc.integer({ min: 1000, max: 2000 }),
  })
  const property = fc.asyncProperty(edits, async ({ diesAfter, selector, port }) => {
    const cluster = clusterWithWeb()
    const old = structuredClone(cluster.objects.get(SERVICE)!['spec'].selector)
    await exchange(cluster.client(diesAfter), 'selector')
    const theirs = cluster.objects.get(SERVICE)!
    Object.assign(theirs['spec'].selector, selector)
    theirs['spec'].ports.push({ name: 'more', port, protocol: 'TCP' })
    await recover(context(cluster.client()), 'web', { force: false, holder: 'bob@desk/2' }, silent)
    const now = cluster.objects.get(SERVICE)!['spec']
    assert.deepEqual(now.selector, { ...old, ...selector })
    assert.equal(now.ports.at(-1).port, port)
    assert.deepEqual(traces(cluster), [])
  })
  await fc.assert(property, { numRuns: 60 })
})

test('a selector by a label that only controllers may set: the shadow is found all the same', async () => {
  const cluster = clusterWithWeb()
  const service = cluster.objects.get(SERVICE)!
  service['spec'].selector = { 'batch.kubernetes.io/job-name': 'web' }
  const [here, handle] = await heldExchange(cluster)
  assert.deepEqual(cluster.objects.get(SERVICE)!['spec'].selector, { 'kt/exchange': handle.id })
  await restoreExchange(here, handle, silent)
  await removeExchange(here, handle)
  assert.deepEqual(cluster.objects.get(SERVICE)!['spec'].selector, { 'batch.kubernetes.io/job-name': 'web' })
})

test('a Service whose annotation was removed is put back by what the second Service knows', async () => {
  const cluster = clusterWithWeb()
  const was = structuredClone(cluster.objects.get(SERVICE)!['spec'])
  await heldExchange(cluster)
  delete cluster.objects.get(SERVICE)!.metadata.annotations
  await recover(context(cluster.client()), 'web', { force: false, holder: 'bob@desk/2' }, silent)
  assert.deepEqual(cluster.objects.get(SERVICE)!['spec'], was)
  assert.deepEqual(traces(cluster), [])
})

test('a replica number that somebody set meanwhile is kept', async () => {
  const cluster = clusterWithWeb()
  const here = context(cluster.client())
  const handle = await beginExchange(here, request('scale'), options, silent)
  await switchExchange(here, handle, silent)
  assert.equal(cluster.objects.get(DEPLOYMENT)!['spec'].replicas, 0)
  cluster.objects.get(DEPLOYMENT)!['spec'].replicas = 5
  const { kept } = await restoreExchange(here, handle, silent)
  assert.deepEqual(kept, ['Deployment web was scaled to 5 meanwhile, which is kept'])
  assert.equal(cluster.objects.get(DEPLOYMENT)!['spec'].replicas, 5)
  await removeExchange(here, handle)
  assert.deepEqual(traces(cluster), [])
})

test('scale names an autoscaler of the workload, and a keeper of it', async () => {
  const cluster = clusterWithWeb()
  const scaler = { spec: { scaleTargetRef: { kind: 'Deployment', name: 'web' } } }
  cluster.put('/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web-hpa', scaler)
  const deployment = cluster.objects.get(DEPLOYMENT)!
  deployment.metadata.annotations = { 'argocd.argoproj.io/tracking-id': 'x' }
  const { warnings } = await beginExchange(context(cluster.client()), request('scale'), options, silent)
  assert.match(warnings[0], /^Argo CD keeps Deployment web as it is written elsewhere/)
  assert.match(warnings[1], /^the HorizontalPodAutoscaler web-hpa rests while Deployment web is at 0/)
})

async function heldExchange(cluster: MemoryCluster): Promise<[InboundContext, InboundHandle]> {
  const here = context(cluster.client())
  const handle = await beginExchange(here, request('selector'), options, silent)
  await switchExchange(here, handle, silent)
  return [here, handle]
}

test('a living client whose clock is an hour off is left alone by recover and clean', async () => {
  for (const hours of [-1, 1]) {
    const cluster = clusterWithWeb()
    const [here, handle] = await heldExchange(cluster)
    let seconds = 0
    // Its clock says what it likes; every fifth second it renews.
    const elapse = async () => {
      if (++seconds % 5 !== 0) return
      await renewLease(here, handle)
      const lease = cluster.objects.get(LEASE)!
      lease['spec'].renewTime = new Date(Date.now() + hours * 3_600_000).toISOString()
    }
    const other = context(cluster.client(), elapse)
    const before = structuredClone(cluster.objects.get(SERVICE))
    await assert.rejects(recover(other, 'web', { force: false, holder: 'bob@desk/2' }, silent), { code: 'held' })
    assert.deepEqual(await findLeftovers(other, NOBODY, silent), [])
    assert.deepEqual(cluster.objects.get(SERVICE), before)
  }
})

test('of two who recover the same, one puts it back, and the other finds that nothing is left', async () => {
  const cluster = clusterWithWeb()
  const was = structuredClone(cluster.objects.get(SERVICE)!['spec'])
  await heldExchange(cluster)
  const bob = { force: false, holder: 'bob@desk/2' }
  let seconds = 0
  const elapse = async () => {
    if (++seconds === 6) await recover(context(cluster.client()), 'web', bob, silent)
  }
  const late = await recover(context(cluster.client(), elapse), 'web', { force: false, holder: 'ann@lap/1' }, silent)
  assert.deepEqual(late, { restored: [], kept: [], removed: [], holder: undefined })
  assert.deepEqual(cluster.objects.get(SERVICE)!['spec'], was)
  assert.deepEqual(traces(cluster), [])
})

test('recover gives up where a lease passes from one to another without end', async () => {
  const cluster = clusterWithWeb()
  await heldExchange(cluster)
  let seconds = 0
  const elapse = async () => {
    if (++seconds % 6 === 0) {
      const lease = cluster.objects.get(LEASE)!
      lease['spec'].holderIdentity = `bob@desk/${seconds}`
      lease.metadata.resourceVersion = `${1_000_000 + seconds}`
    }
  }
  const other = context(cluster.client(), elapse)
  await assert.rejects(recover(other, 'web', { force: false, holder: 'ann@lap/1' }, silent), {
    code: 'held',
    message: 'others take and leave web while we watch',
  })
})

test('recover and clean say before they wait what they wait for', async () => {
  const cluster = clusterWithWeb()
  await heldExchange(cluster)
  const said: string[] = []
  // The first pause is the watching itself.
  const waiting = context(cluster.client(), () => assert.ok(said.length > 0, 'said before'))
  const progress = (step: string, detail: string) => void (step === 'watch' && said.push(detail))
  await findLeftovers(waiting, NOBODY, progress)
  assert.deepEqual(said.splice(0), ['watching for 12 s whether anybody renews one lease'])
  await recover(waiting, 'web', { force: false, holder: 'bob@desk/2' }, progress)
  assert.deepEqual(said, ['watching for 12 s whether ann@laptop renews the lease: only then somebody holds it'])
})

test('clean leaves alone what came alive between looking and doing', async () => {
  const cluster = clusterWithWeb()
  const [here, handle] = await heldExchange(cluster)
  const other = context(cluster.client())
  const leftovers = await findLeftovers(other, NOBODY, silent)
  assert.equal(leftovers.length, 1)
  assert.match(leftovers[0].reason, /kt-exchange-web-\w+ was not renewed in the 12 s/)
  assert.deepEqual(leftovers[0].actions, [
    'put back the selector of Service web',
    `delete Job ${handle.shadow.job}`,
    `delete Service ${secondName('web', handle.id)}`,
    `delete Lease ${LEASE_NAME}`,
  ])
  await renewLease(here, handle)
  assert.deepEqual(await removeLeftovers(other, leftovers, 'bob@desk/2', silent), [])
  assert.ok(cluster.objects.get(SERVICE)!.metadata.annotations?.['kt/exchange'])
})

test('somebody else is refused, and takes over with --force; the first hears of it and harms nothing', async () => {
  const cluster = clusterWithWeb()
  const was = structuredClone(cluster.objects.get(SERVICE)!['spec'])
  const [ann, annsHandle] = await heldExchange(cluster)
  const bob = context(cluster.client())
  const wanted = request('selector', { holder: 'bob@desk/2' })
  await assert.rejects(beginExchange(bob, wanted, options, silent), { code: 'held', message: /by ann@laptop since / })
  const handle = await beginExchange(bob, { ...wanted, force: true }, options, silent)
  assert.deepEqual(cluster.objects.get(SERVICE)!['spec'], was, 'put back before anything new')
  await switchExchange(bob, handle, silent)
  await assert.rejects(renewLease(ann, annsHandle), { code: 'taken-over', message: /by bob@desk at / })
  assert.ok(!cluster.objects.has(secondPath(annsHandle.id)), 'nobody else would delete it')
  const held = structuredClone(cluster.objects.get(SERVICE))
  await restoreExchange(ann, annsHandle, silent)
  await removeExchange(ann, annsHandle)
  assert.deepEqual(cluster.objects.get(SERVICE), held)
  assert.ok(cluster.objects.has(secondPath(handle.id)))
  await restoreExchange(bob, handle, silent)
  await removeExchange(bob, handle)
  assert.deepEqual(cluster.objects.get(SERVICE)!['spec'], was)
  assert.deepEqual(traces(cluster), [])
})

test('a second Service of that name which is not kt’s is not touched, and nothing is left', async () => {
  const cluster = clusterWithWeb()
  const path = secondPath('abcde')
  const theirs = structuredClone(cluster.put(path, { spec: { selector: { own: 'one' } } }))
  const here = { ...context(cluster.client()), suffix: () => 'abcde' }
  const begun = beginExchange(here, request('selector'), options, silent)
  await assert.rejects(begun, { code: 'name-taken' })
  assert.deepEqual(cluster.objects.get(path), theirs)
  assert.deepEqual(traces(cluster), [])
})

/** Runs until it is done or its client dies; returns how many changes it made. */
async function untilDead(api: ReturnType<MemoryCluster['client']>, act: (here: InboundContext) => Promise<unknown>) {
  await act(context(api)).catch((error) => assert.ok(error instanceof Dead, String(error)))
  return api.changes()
}

const deaths: [string, (here: InboundContext) => Promise<unknown>][] = [
  ['recover', (here) => recover(here, 'web', { force: false, holder: 'bob@desk/2' }, silent)],
  [
    'a take-over',
    async (here) => {
      const wanted = request('selector', { holder: 'bob@desk/2', force: true })
      await switchExchange(here, await beginExchange(here, wanted, options, silent), silent)
    },
  ],
]
for (const [what, act] of deaths)
  test(`${what} that dies after any change is mended by the next recover`, async () => {
    const whole = clusterWithWeb()
    await heldExchange(whole)
    const all = await untilDead(whole.client(), act)
    assert.ok(all >= 5)
    for (let diesAfter = 0; diesAfter <= all; diesAfter++) {
      const cluster = clusterWithWeb()
      const was = structuredClone(cluster.objects.get(SERVICE)!['spec'])
      await heldExchange(cluster)
      await untilDead(cluster.client(diesAfter), act)
      await recover(context(cluster.client()), 'web', { force: false, holder: 'eve@lap/3' }, silent)
      assert.deepEqual(cluster.objects.get(SERVICE)!['spec'], was, `died after ${diesAfter} changes`)
      assert.deepEqual(traces(cluster), [], `died after ${diesAfter} changes`)
    }
  })

const JOBS = '/apis/batch/v1/namespaces/shop/jobs'

test('a second shadow has the labels of the first, gets no request before it serves, and goes with it', async () => {
  const cluster = clusterWithWeb()
  const [here, handle] = await heldExchange(cluster)
  const second = await addShadow(here, handle, silent)
  const [one, other] = [handle.shadow, second].map(({ job }) => cluster.objects.get(`${JOBS}/${job}`)!['spec'].template)
  assert.equal(one.metadata.labels.app, `kt-${handle.id}`)
  assert.equal(other.metadata.labels.app, one.metadata.labels.app)
  assert.equal(one.spec.containers[0].readinessProbe, undefined)
  const { readinessProbe, env } = other.spec.containers[0]
  const ready = env.find(({ name }: { name: string }) => name === 'KT_AGENT_READY_PORT')
  assert.equal(readinessProbe.tcpSocket.port, Number(ready.value))
  // Its endpoints are known as ours, so leading here again does not wait for them to go.
  await switchExchange(here, { ...handle, second }, silent)
  const held = { ...handle, second }
  await restoreExchange(here, held, silent)
  await removeExchange(here, held)
  assert.deepEqual(traces(cluster), [])
})

test('what clean and recover find of an exchange with two shadows, they remove', async () => {
  const cluster = clusterWithWeb()
  const [here, handle] = await heldExchange(cluster)
  await addShadow(here, handle, silent)
  const { removed } = await recover(context(cluster.client()), 'web', { force: false, holder: 'bob@desk/2' }, silent)
  assert.equal(removed.filter((one) => one.startsWith('Job ')).length, 2)
  assert.deepEqual(traces(cluster), [])
})

test('the Service of a run goes with the last of its Jobs, not with the one that was evicted', async () => {
  const cluster = clusterWithWeb()
  const here = context(cluster.client())
  const wanted = { name: 'mine', ports: [{ port: 80, protocol: 'TCP' as const }], holder: 'ann@laptop/1' }
  const handle = await beginRun(here, wanted, options, silent)
  assert.deepEqual(idleSeconds(cluster), ['60'])
  assert.match(JSON.stringify([...cluster.objects]), /"KT_AGENT_LINE_S","value":"60"/, 'nor for one that vanished')
  const second = await addShadow(here, handle, silent)
  await retireShadow(here.api, handle.shadow)
  const next = await replaceShadow(here, handle, silent)
  const owners = (path: string) =>
    (cluster.objects.get(path)!.metadata['ownerReferences'] as { uid: string }[]).map(({ uid }) => uid)
  const all = [handle.shadow, second, next.shadow].map(({ jobUid }) => jobUid)
  assert.deepEqual(owners('/api/v1/namespaces/shop/services/mine'), all)
  assert.deepEqual(owners(`/apis/coordination.k8s.io/v1/namespaces/shop/leases/${handle.lease.name}`), all)
  await restoreExchange(here, { ...next, second }, silent)
  await removeExchange(here, { ...next, second })
  assert.deepEqual(traces(cluster), [])
})

test('a Job of the same name that is another one is not removed', async () => {
  const cluster = clusterWithWeb()
  const api = cluster.client()
  const path = '/apis/batch/v1/namespaces/shop/jobs/kt-shadow-abcde'
  cluster.put(path, { spec: {} })
  const own = `${cluster.objects.get(path)!.metadata['uid']}`
  await removeJob(api, 'shop', 'kt-shadow-abcde', 'another')
  assert.ok(cluster.objects.has(path))
  await removeJob(api, 'shop', 'kt-shadow-abcde', own)
  assert.ok(!cluster.objects.has(path))
})
