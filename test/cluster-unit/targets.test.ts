import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listTargets } from '../../src/cluster/targets.ts'
import { ApiDouble, type Asked, forbidden } from './api-double.ts'

const managed = { 'app.kubernetes.io/managed-by': 'kt', 'app.kubernetes.io/name': 'kt', 'kt/exchange': 'x' }
const record = (kind: string) => ({ 'kt/exchange': JSON.stringify({ version: 1, id: 'x', kind }) })
const service = (name: string, spec: object, metadata: object = {}) => ({
  metadata: { namespace: 'shop', name, ...metadata },
  spec: { ports: [{ port: 80 }], ...spec },
})
const workload = (name: string, labels: object, ports: object[]) => ({
  metadata: { namespace: 'shop', name },
  spec: { replicas: 2, template: { metadata: { labels }, spec: { containers: [{ name: 'c', ports }] } } },
  status: { readyReplicas: 1 },
})

const lists: Record<string, unknown[]> = {
  services: [
    service('web', { selector: { app: 'kt-x' } }),
    // What kt made for its own use.
    service('web-kt-original-1', { selector: { app: 'web' } }, { labels: managed, annotations: record('exchange') }),
    service('preview', { selector: { app: 'kt-y' } }, { labels: managed, annotations: record('run') }),
    service('manual', { selector: undefined }),
    service('alias', { type: 'ExternalName', externalName: 'x.test', selector: undefined, ports: [] }),
  ],
  endpointslices: [
    {
      metadata: { namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'] }],
    },
  ],
  leases: [],
  deployments: [workload('web', { app: 'web' }, [{ containerPort: 80 }]), workload('worker', { app: 'worker' }, [])],
  statefulsets: [workload('queue', { app: 'queue' }, [{ containerPort: 5672, name: 'amqp' }])],
}

const answer =
  (...refused: string[]) =>
  ({ path }: Asked): [number, unknown] => {
    const what = path.split('/').at(-1)!
    return refused.includes(what) ? forbidden(what) : [200, { items: lists[what], metadata: {} }]
  }

test('Services of the namespace and workloads that no Service leads to, without what kt made for itself', async () => {
  await using double = await ApiDouble.start(answer())
  const { targets, namespace, notes } = await listTargets(double.api(), 'shop')
  assert.deepEqual(
    targets.map(({ kind, name, ready, total, unfit }) => [kind, name, ready, total, unfit]),
    [
      ['service', 'alias', 0, 0, 'a name of something outside of the cluster'],
      ['service', 'manual', 0, 0, 'it has no selector'],
      ['service', 'preview', 0, 0, ''],
      ['service', 'web', 1, 1, ''],
      ['statefulset', 'queue', 1, 2, ''],
      ['deployment', 'worker', 1, 2, 'its containers name no ports'],
    ],
  )
  assert.deepEqual(targets[4].ports, [{ port: 5672, protocol: 'TCP', name: 'amqp' }])
  assert.deepEqual([namespace, notes], ['shop', []])
  assert.ok(double.asked.every(({ path }) => path.includes('/namespaces/shop/')))
})

test('what may not be listed is left out and named', async () => {
  await using double = await ApiDouble.start(answer('endpointslices', 'leases', 'deployments', 'statefulsets'))
  const { targets, notes } = await listTargets(double.api(), 'shop')
  assert.deepEqual(
    targets.map(({ name, ready }) => [name, ready]),
    [
      ['alias', null],
      ['manual', null],
      ['preview', null],
      ['web', null],
    ],
  )
  assert.equal(notes.length, 4)
  assert.match(
    notes[0],
    /^no right to list endpointslices in the namespace shop: how many pods are ready is not known$/,
  )
})

test('a namespace that is not there is told, and one of which nothing may be listed', async () => {
  const empty = (namespace: [number, unknown], ...refused: string[]) =>
    ApiDouble.start(({ path }: Asked) => {
      if (path === '/api/v1/namespaces/shop') return namespace
      const what = path.split('/').at(-1)!
      return refused.includes(what) ? forbidden(what) : [200, { items: [], metadata: {} }]
    })
  const missing: [number, unknown] = [
    404,
    { kind: 'Status', details: { kind: 'namespaces', name: 'shop' }, message: 'not found' },
  ]
  await using gone = await empty(missing)
  await assert.rejects(listTargets(gone.api(), 'shop'), {
    code: 'namespace-missing',
    message: 'there is no namespace "shop"',
  })
  await using bare = await empty([200, {}])
  assert.deepEqual((await listTargets(bare.api(), 'shop')).targets, [])
  await using half = await empty(forbidden('namespaces'), 'services', 'endpointslices', 'leases')
  assert.equal((await listTargets(half.api(), 'shop')).notes.length, 3)
  await using closed = await empty(
    forbidden('namespaces'),
    'services',
    'endpointslices',
    'leases',
    'deployments',
    'statefulsets',
  )
  await assert.rejects(listTargets(closed.api(), 'shop'), {
    code: 'forbidden',
    message: /^no right to list services, deployments and statefulsets in the namespace shop$/,
  })
})
