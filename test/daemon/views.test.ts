import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServiceSeen, Services, TeamSeen } from '../../src/cluster/calls.ts'
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

function views(answers: { services?: () => Promise<Services>; team?: () => Promise<TeamSeen> }, now = () => 0) {
  const nothing = async () => assert.fail('not asked')
  return new ClusterViews({ services: nothing, team: nothing, ...answers }, now)
}

test('views that ask at the same time share one question to the cluster', async () => {
  let asked = 0
  const answer = Promise.withResolvers<Services>()
  const all = views({
    services: () => {
      asked++
      return answer.promise
    },
  })
  const both = [all.services(['10.96.0.0/16']), all.services([])]
  answer.resolve({ scope: 'cluster', services: [seen({})], notes: [] })
  const [first, second] = await Promise.all(both)
  assert.deepEqual([asked, first.services[0].reachable, second.services[0].reachable], [1, true, false])
  assert.equal('targets' in first.services[0], false)
})

test('who is connected: one of them may be this machine', async () => {
  const person = { owner: 'a@b', namespace: 'shop', pod: 'p', node: 'n', since: '' }
  const all = views({ team: async () => ({ connected: [person], held: [] }) })
  assert.deepEqual([(await all.team('p')).connected[0].own, (await all.team('q')).connected[0].own], [true, false])
})

test('a holder lives while its lease changes under our eyes, whatever its clock says', async () => {
  let now = 0
  const lease = {
    kind: 'exchange' as const,
    mode: 'selector',
    target: 'web',
    namespace: 'shop',
    holder: 'ada@one/x1',
    since: '1999-01-01T00:00:00Z',
    id: 'x1',
    lease: 'kt-exchange-web',
    leaseUid: 'u',
    resourceVersion: '1',
  }
  const all = views({ team: async () => ({ connected: [], held: [lease] }) }, () => now)
  const at = async (time: number, resourceVersion: string) => {
    now = time
    lease.resourceVersion = resourceVersion
    const [{ alive, holder }] = (await all.team(undefined)).held
    assert.equal(holder, 'ada@one')
    return alive
  }
  assert.equal(await at(0, '1'), null)
  assert.equal(await at(8_000, '2'), true)
  assert.equal(await at(16_000, '2'), true)
  assert.equal(await at(24_000, '2'), false)
  assert.equal(await at(32_000, '3'), true)
})
