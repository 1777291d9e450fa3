import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServiceSeen, Services } from '../../src/cluster/port.ts'
import { ClusterViews, reachability } from '../../src/daemon/views.ts'

const seen = (changes: Partial<ServiceSeen>): ServiceSeen => ({
  namespace: 'shop',
  name: 'web',
  type: 'ClusterIP',
  addresses: ['10.96.0.7'],
  targets: ['10.96.0.7'],
  ports: [],
  ready: 1,
  total: 1,
  ...changes,
})

test('a service is reachable when its address is routed and an endpoint is ready', () => {
  const reach = reachability(['10.96.0.0/16', 'fd00:96::/112'])
  const told = (changes: Partial<ServiceSeen>) => {
    const { reachable, why } = reach(seen(changes))
    return `${reachable}: ${why}`
  }
  assert.equal(told({}), 'true: routed')
  assert.equal(told({ targets: ['fd00:96::7'] }), 'true: routed')
  assert.equal(told({ targets: ['10.96.0.7', 'fd00:97::7'] }), 'true: routed, but not all of its addresses')
  assert.equal(told({ targets: ['10.97.0.7'] }), 'false: its addresses are in no captured range; see --include')
  assert.equal(told({ ready: 0, total: 3 }), 'false: no endpoint is ready')
  assert.equal(told({ ready: 0, total: 0 }), 'false: it has no endpoints')
  assert.equal(told({ ready: null, total: null }), 'null: routed; whether endpoints are ready cannot be seen')
  assert.equal(told({ type: 'ExternalName', targets: [] }), 'null: an alias of a name outside of the cluster')
  assert.equal(told({ type: 'Headless', targets: [], ready: null, total: null }), 'null: its endpoints cannot be seen')
})

test('views that ask at the same time share one question to the cluster', async () => {
  let asked = 0
  const answer = Promise.withResolvers<Services>()
  const views = new ClusterViews({
    services: () => {
      asked++
      return answer.promise
    },
    connected: async () => [{ owner: 'a@b', namespace: 'shop', pod: 'p', node: 'n', since: '' }],
  })
  const both = [views.services(['10.96.0.0/16']), views.services([])]
  answer.resolve({ scope: 'cluster', services: [seen({})], notes: [] })
  const [first, second] = await Promise.all(both)
  assert.deepEqual([asked, first.services[0].reachable, second.services[0].reachable], [1, true, false])
  assert.equal('targets' in first.services[0], false)
  assert.deepEqual([(await views.team('p')).connected[0].own, (await views.team('q')).connected[0].own], [true, false])
})
