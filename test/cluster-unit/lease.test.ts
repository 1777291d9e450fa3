// Leases between clients that change the same ones: nobody writes over what it has not seen, and nobody tries for ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiPort } from '../../src/cluster/follow.ts'
import { change, deleteOwn, type InboundContext } from '../../src/cluster/inbound/context.ts'
import { leaseName } from '../../src/cluster/inbound/derived.ts'
import { beginExchange, restoreExchange, switchExchange } from '../../src/cluster/inbound/kinds.ts'
import { deleteLease, renew, takeLease } from '../../src/cluster/inbound/lease.ts'
import { findLeftovers, removeLeftovers } from '../../src/cluster/inbound/recover.ts'
import { renewLease } from '../../src/cluster/inbound/while-held.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { clientOf, contents, core, exchangeOf, leases, NOBODY, namespaceWith, options, silent } from './namespace.ts'

const NAME = leaseName('exchange', 'web')
const LEASE = `${leases}/${NAME}`
const record = (holder: string) => ({
  version: 1 as const,
  kind: 'exchange' as const,
  mode: 'selector' as const,
  id: holder.slice(0, 3),
  target: 'web',
  holder,
  lease: NAME,
})

/** Before each change that this client makes of `path`, somebody else's `act` comes. */
function disturbed(cluster: MemoryCluster, path: string, act: () => unknown): ApiPort {
  const api = cluster.client()
  return {
    ...api,
    ask: async (method, at, extras) => {
      if (method !== 'GET' && at === path) await act()
      return api.ask(method, at, extras)
    },
  }
}

/** As a renewal by its holder. */
const touch = (cluster: MemoryCluster, path: string) => () => {
  const there = cluster.objects.get(path)
  if (there) cluster.put(path, there)
}

test('a lease that was renewed between reading and taking is read anew, and is then not free', async () => {
  const cluster = namespaceWith('web')
  const ann = clientOf(cluster.client())
  await takeLease(ann, record('ann@laptop/1'), false)
  const { resourceVersion } = cluster.objects.get(LEASE)!.metadata
  const ben = clientOf(disturbed(cluster, LEASE, touch(cluster, LEASE)))
  await assert.rejects(takeLease(ben, record('ben@laptop/1'), true, resourceVersion), { code: 'held' })
  assert.equal(cluster.objects.get(LEASE)!['spec'].holderIdentity, 'ann@laptop/1')
})

test('whoever is disturbed at each attempt pauses longer and longer, and gives up', async () => {
  const waits = async (act: (here: InboundContext, cluster: MemoryCluster) => Promise<unknown>, path = LEASE) => {
    const cluster = namespaceWith('web')
    await takeLease(clientOf(cluster.client()), record('ann@laptop/1'), false)
    cluster.put(`${core}/services/own`, {
      spec: {},
      metadata: {
        labels: { 'app.kubernetes.io/managed-by': 'kt', 'app.kubernetes.io/name': 'kt', 'kt/exchange': 'abc' },
      },
    })
    const pauses: number[] = []
    const here = clientOf(disturbed(cluster, path, touch(cluster, path)), (ms) => pauses.push(ms))
    await assert.rejects(act(here, cluster), { code: 'timeout', message: /8 times in a row$/ })
    return pauses
  }
  const own = `${core}/services/own`
  const all = [
    await waits((here) => takeLease(here, record('ben@laptop/1'), true)),
    await waits((here) => renew(here, NAME, 'ann@laptop/1')),
    await waits((here) => deleteLease(here, NAME, 'ann@laptop/1')),
    await waits((here) => deleteOwn(here, own, 'abc', 'Service own'), own),
    await waits((here) => {
      const plan = ({ metadata }: { metadata: { resourceVersion: string } }) => ({
        patch: { metadata: { resourceVersion: metadata.resourceVersion, annotations: { a: 'b' } } },
      })
      return change(here, own, 'changing own', plan)
    }, own),
  ]
  for (const pauses of all) assert.deepEqual(pauses, [50, 100, 200, 400, 800, 1600, 2000])
})

test('a holder whose lease and Service were put back learns so, and makes no lease again', async () => {
  const cluster = namespaceWith('web')
  const here = clientOf(cluster.client())
  const handle = await beginExchange(here, exchangeOf('web', 'ann@laptop/1'), options, silent)
  await switchExchange(here, handle, silent)
  cluster.objects.delete(LEASE)
  await renewLease(here, handle)
  assert.ok(cluster.objects.has(LEASE), 'while the Service leads here, a lease that was deleted is made again')
  await restoreExchange(here, handle, silent)
  cluster.objects.delete(LEASE)
  await assert.rejects(renewLease(here, handle), { code: 'taken-over' })
  assert.ok(!cluster.objects.has(LEASE))
})

test('a holder that renews between the look of clean and its first change is left alone', async () => {
  const cluster = namespaceWith('web')
  const here = clientOf(cluster.client())
  const handle = await beginExchange(here, exchangeOf('web', 'ann@laptop/1'), options, silent)
  await switchExchange(here, handle, silent)
  const eve = clientOf(cluster.client())
  const leftovers = await findLeftovers(eve, NOBODY, silent)
  assert.equal(leftovers.length, 1)
  // After all has been looked at, and before the lease is read to be taken.
  const api = cluster.client()
  const late: ApiPort = {
    ...api,
    send: async (method, path, extras) => {
      if (path === LEASE) await renewLease(here, handle)
      return api.send(method, path, extras)
    },
  }
  const before = contents(cluster).filter(([path]) => path !== LEASE)
  assert.deepEqual(await removeLeftovers(clientOf(late), leftovers, 'eve@desk/3', silent), [])
  assert.deepEqual(
    contents(cluster).filter(([path]) => path !== LEASE),
    before,
  )
  assert.equal(cluster.objects.get(LEASE)!['spec'].holderIdentity, 'ann@laptop/1')
})
