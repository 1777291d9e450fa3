import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listServices, listTeam } from '../../src/cluster/services.ts'
import { ApiDouble, type Asked, forbidden } from './api-double.ts'

const service = (namespace: string, name: string, spec: object) => ({ metadata: { namespace, name }, spec })
const slice = (namespace: string, name: string, addressType: string, ready: (boolean | undefined)[]) => ({
  metadata: { namespace, labels: { 'kubernetes.io/service-name': name } },
  addressType,
  endpoints: ready.map((one, i) => ({ addresses: [`10.0.0.${i + 1}`], conditions: { ready: one } })),
})

const services = [
  service('shop', 'web', {
    type: 'ClusterIP',
    clusterIP: '10.96.0.7',
    clusterIPs: ['10.96.0.7'],
    ports: [{ port: 80 }],
  }),
  service('shop', 'db', { type: 'ClusterIP', clusterIP: 'None', clusterIPs: ['None'], ports: [] }),
  service('other', 'idle', { clusterIP: '10.96.0.8', clusterIPs: ['10.96.0.8'] }),
]
const slices = [
  slice('shop', 'web', 'IPv4', [true, undefined, false]),
  slice('shop', 'web', 'IPv6', [true, undefined, false]),
  slice('shop', 'db', 'IPv4', [true]),
]

function answer(may: 'everywhere' | 'namespace' | 'services only') {
  return ({ path, query }: Asked): [number, unknown] => {
    const inShop = path.includes('/namespaces/shop/')
    if (may === 'namespace' && !inShop) return forbidden('services')
    const all = path.endsWith('/services') ? services : path.endsWith('/endpointslices') ? slices : undefined
    if (!all) return [404, {}]
    if (may === 'services only' && all === slices) return forbidden('endpointslices')
    const items = inShop ? all.filter(({ metadata }) => metadata.namespace === 'shop') : all
    // Pages of two.
    const from = Number(query.get('continue') ?? 0)
    const next = from + 2 < items.length ? String(from + 2) : undefined
    return [200, { items: items.slice(from, from + 2), metadata: { continue: next } }]
  }
}

test('services are read page by page, their endpoints counted once for both families', async () => {
  await using double = await ApiDouble.start(answer('everywhere'))
  const found = await listServices(double.api(), 'shop')
  assert.deepEqual([found.scope, found.notes], ['cluster', []])
  assert.deepEqual(
    found.services.map(({ namespace, name, type, targets, ready, total }) => [
      namespace,
      name,
      type,
      targets,
      ready,
      total,
    ]),
    [
      ['shop', 'web', 'ClusterIP', ['10.96.0.7'], 2, 3],
      ['shop', 'db', 'Headless', ['10.0.0.1'], 1, 1],
      ['other', 'idle', 'ClusterIP', ['10.96.0.8'], 0, 0],
    ],
  )
  assert.deepEqual(found.services[0].ports, [{ port: 80, protocol: 'TCP', name: '' }])
})

test('with rights in one namespace its services are shown, and that the rest is not', async () => {
  await using double = await ApiDouble.start(answer('namespace'))
  const found = await listServices(double.api(), 'shop')
  assert.deepEqual([found.scope, found.services.map(({ name }) => name)], ['namespace', ['web', 'db']])
  assert.match(found.notes.join(), /only the namespace shop is shown/)
})

test('without the right to see endpoints their number is unknown, not zero', async () => {
  await using double = await ApiDouble.start(answer('services only'))
  const found = await listServices(double.api(), 'shop')
  assert.deepEqual(
    found.services.map(({ ready }) => ready),
    [null, null, null],
  )
  assert.match(found.notes.join(), /endpointslices/)
})

test('the team: shadows that run, with their owner, oldest first; and what is held, by the leases', async () => {
  const pod = (name: string, phase: string, startTime: string, metadata = {}) => ({
    metadata: { name, namespace: 'shop', annotations: { 'kt/owner': `${name}@laptop` }, ...metadata },
    spec: { nodeName: 'node1' },
    status: { phase, startTime },
  })
  const pods = [
    pod('late', 'Running', '2026-01-01T10:00:00Z'),
    pod('early', 'Running', '2026-01-01T09:00:00Z'),
    pod('ended', 'Succeeded', '2026-01-01T08:00:00Z'),
    pod('exchange', 'Running', '2026-01-01T08:00:00Z', { labels: { 'kt/exchange': 'x1' } }),
    pod('leaving', 'Running', '2026-01-01T08:00:00Z', { deletionTimestamp: '2026-01-01T11:00:00Z' }),
  ]
  const record = { version: 1, kind: 'exchange', mode: 'selector', id: 'x1', target: 'web', holder: 'ada@one/x1' }
  const leases = [
    {
      metadata: {
        name: 'kt-exchange-web',
        namespace: 'shop',
        uid: 'u',
        resourceVersion: '1',
        annotations: { 'kt/exchange': JSON.stringify({ ...record, since: '2026-01-01T10:00:00Z' }) },
      },
      spec: { holderIdentity: 'ada@one/x1' },
    },
    { metadata: { name: 'of-somebody-else', namespace: 'shop' }, spec: {} },
  ]
  await using double = await ApiDouble.start(({ path, query }) => [
    200,
    { items: path.endsWith('/pods') && query.get('labelSelector')?.includes('component=shadow') ? pods : leases },
  ])
  const found = await listTeam(double.api(), 'shop')
  assert.deepEqual(
    found.held.map(({ kind, target, namespace, holder }) => [kind, target, namespace, holder]),
    [['exchange', 'web', 'shop', 'ada@one/x1']],
  )
  assert.deepEqual(
    found.connected.map(({ owner, since }) => [owner, since]),
    [
      ['early@laptop', '2026-01-01T09:00:00Z'],
      ['late@laptop', '2026-01-01T10:00:00Z'],
    ],
  )
})

test('without the rights nobody is shown', async () => {
  await using double = await ApiDouble.start(() => forbidden('pods'))
  assert.deepEqual(await listTeam(double.api(), 'shop'), { connected: [], held: [] })
})
