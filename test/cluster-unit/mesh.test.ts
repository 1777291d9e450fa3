// The mesh's router over its life, against a namespace in memory: made, joined, made again, and put away by the last.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addShadow,
  beginMesh,
  removeExchange,
  replaceShadow,
  restoreExchange,
  switchExchange,
} from '../../src/cluster/inbound/kinds.ts'
import type { MeshRequest } from '../../src/cluster/inbound-calls.ts'
import { retireShadow } from '../../src/cluster/shadow-removal.ts'
import { MemoryCluster } from './memory-cluster.ts'
import { clientOf as context, options as patient, silent } from './namespace.ts'

const options = { ...patient, readyTimeoutMs: 5_000 }
const SERVICE = '/api/v1/namespaces/shop/services/web'
const PODS = '/api/v1/namespaces/shop/pods'

function clusterWithWeb(): MemoryCluster {
  const cluster = new MemoryCluster()
  const ports = [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }]
  cluster.put(SERVICE, { spec: { type: 'ClusterIP', clusterIP: '10.96.0.9', selector: { app: 'web' }, ports } })
  cluster.put(`${PODS}/web-1`, { metadata: { labels: { app: 'web' } }, status: { phase: 'Running' } })
  return cluster
}

const request = (value: string): MeshRequest => ({
  target: 'web',
  mode: 'auto',
  ports: [{ port: 80 }],
  header: 'kt-version',
  value,
  prefix: false,
  holder: `${value}@laptop/1`,
  force: false,
})

async function mesh(cluster: MemoryCluster, value: string) {
  const here = context(cluster.client())
  const handle = await beginMesh(here, request(value), options, silent)
  await switchExchange(here, handle, silent)
  const leave = async () => {
    await restoreExchange(here, handle, silent)
    await removeExchange(here, handle)
  }
  return { here, handle, leave }
}

const kinds = (cluster: MemoryCluster) =>
  [...cluster.objects.keys()]
    .map((path) => path.split('/').slice(-2).join('/'))
    .filter((name) => !/^(secrets|endpointslices)/.test(name))

test('the second joins the first one’s router, and the last to leave puts everything back', async () => {
  const cluster = clusterWithWeb()
  const before = structuredClone(cluster.objects.get(SERVICE)!.spec)
  const ann = await mesh(cluster, 'ann')
  const ben = await mesh(cluster, 'ben')
  assert.equal(ben.handle.shadow.job, ann.handle.shadow.job)
  assert.deepEqual([ann.handle.joined, ben.handle.joined], [undefined, true])
  assert.equal(ben.handle.shadow.hostKey, ann.handle.shadow.hostKey)
  assert.notEqual(ben.handle.shadow.clientKey, ann.handle.shadow.clientKey)
  await ann.leave()
  assert.notDeepEqual(cluster.objects.get(SERVICE)!.spec, before)
  await ben.leave()
  assert.deepEqual(cluster.objects.get(SERVICE)!.spec, before)
  assert.deepEqual(kinds(cluster).sort(), ['pods/web-1', 'services/web'])
})

test('two who leave at the same moment leave nothing', async () => {
  const cluster = clusterWithWeb()
  const [ann, ben] = [await mesh(cluster, 'ann'), await mesh(cluster, 'ben')]
  await Promise.all([ann.leave(), ben.leave()])
  assert.deepEqual(kinds(cluster).sort(), ['pods/web-1', 'services/web'])
  assert.deepEqual(cluster.objects.get(SERVICE)!.spec.selector, { app: 'web' })
})

test('who leaves, and leads the Service to routers that are being removed at that moment, puts it back', async () => {
  const cluster = clusterWithWeb()
  const before = structuredClone(cluster.objects.get(SERVICE)!.spec)
  const [ann, ben] = [await mesh(cluster, 'ann'), await mesh(cluster, 'ben')]
  const api = cluster.client()
  let left = false
  const slow = context({
    ...api,
    get: async (path, query) => {
      const answer = await api.get(path, query)
      if (path.endsWith('/leases') && !left) {
        left = true
        // Ann has seen that Ben is there. Now he leaves, as the last one, and removes the routers.
        await ben.leave()
      }
      return answer as never
    },
  })
  await removeExchange(slow, ann.handle)
  assert.ok(left)
  assert.deepEqual(cluster.objects.get(SERVICE)!.spec, before)
  assert.deepEqual(kinds(cluster).sort(), ['pods/web-1', 'services/web'])
})

test('a router whose pod has gone is made again, by one of two, and no other pod is touched', async () => {
  const cluster = clusterWithWeb()
  const [ann, ben] = [await mesh(cluster, 'ann'), await mesh(cluster, 'ben')]
  cluster.objects.get(`${PODS}/${ann.handle.shadow.pod}`)!['status'] = { phase: 'Failed' }
  const one = await replaceShadow(ann.here, ann.handle, silent)
  const other = await replaceShadow(ben.here, ben.handle, silent)
  assert.notEqual(one.shadow.jobUid, ann.handle.shadow.jobUid)
  assert.equal(other.shadow.jobUid, one.shadow.jobUid)
  assert.ok(cluster.objects.has(`${PODS}/web-1`))
  // Without a pod it is put away as well.
  cluster.objects.get(`${PODS}/${one.shadow.pod}`)!['status'] = { phase: 'Failed' }
  await ben.leave()
  await ann.leave()
  assert.deepEqual(kinds(cluster).sort(), ['pods/web-1', 'services/web'])
})

test('there are two routers, which all who mesh share, and with the last one both go', async () => {
  const cluster = clusterWithWeb()
  const [ann, ben] = [await mesh(cluster, 'ann'), await mesh(cluster, 'ben')]
  const anns = await addShadow(ann.here, ann.handle, silent)
  const bens = await addShadow(ben.here, ben.handle, silent)
  assert.notEqual(anns.jobUid, ann.handle.shadow.jobUid)
  assert.equal(bens.jobUid, anns.jobUid)
  // One is told to end: its Job goes at once, and whoever comes first makes it again by the same name.
  await retireShadow(ann.here.api, anns)
  await retireShadow(ben.here.api, bens)
  const next = (await replaceShadow(ann.here, { ...ann.handle, shadow: anns }, silent)).shadow
  assert.equal(next.job, anns.job)
  assert.notEqual(next.jobUid, anns.jobUid)
  const same = (await replaceShadow(ben.here, { ...ben.handle, shadow: bens }, silent)).shadow
  assert.equal(same.jobUid, next.jobUid)
  await ann.leave()
  assert.ok(cluster.objects.has(`/apis/batch/v1/namespaces/shop/jobs/${next.job}`))
  await ben.leave()
  assert.deepEqual(kinds(cluster).sort(), ['pods/web-1', 'services/web'])
})

test('a router is made anew beside the pod of the one before, which serves until it may end', async () => {
  const cluster = clusterWithWeb()
  const ann = await mesh(cluster, 'ann')
  const { job, jobUid } = ann.handle.shadow
  await retireShadow(ann.here.api, ann.handle.shadow)
  const api = cluster.client()
  const leaving = {
    metadata: {
      labels: { 'job-name': job },
      deletionTimestamp: '2026-11-28T16:00:00Z',
      ownerReferences: [{ uid: jobUid }],
    },
    status: { phase: 'Running' },
  }
  // It is there from the moment on at which the new Job is.
  const here = context({
    ...api,
    send: async (method, path, extras) => {
      const answer = await api.send(method, path, extras)
      if (method === 'POST' && path.endsWith('/jobs')) cluster.put(`${PODS}/${job}-old`, structuredClone(leaving))
      return answer as never
    },
  })
  const next = await replaceShadow(here, ann.handle, silent)
  assert.notEqual(next.shadow.pod, `${job}-old`)
  assert.ok(cluster.objects.has(`${PODS}/${job}-old`))
})
