import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ResolvConfGuard } from '../../src/host/watch.ts'

test('a rewritten resolv.conf is put back three times in a minute, then left', async () => {
  let now = 0
  let foreign = true
  let reclaimed = 0
  const host = {
    foreignResolvConf: async () => (foreign ? { upstreams: ['8.8.8.8'] } : undefined),
    reclaimResolvConf: async () => void reclaimed++,
  }
  const guard = new ResolvConfGuard(host, () => now)
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await guard.check(), { upstreams: ['8.8.8.8'], reclaimed: true }, `lease ${i}`)
    now += 3_600_000
  }
  foreign = false
  assert.equal(await guard.check(), undefined)
  foreign = true
  for (let i = 0; i < 3; i++) assert.equal((await guard.check())?.reclaimed, true)
  assert.deepEqual(await guard.check(), { upstreams: ['8.8.8.8'], reclaimed: false })
  assert.equal(await guard.check(), undefined)
  assert.equal(reclaimed, 8)
})
