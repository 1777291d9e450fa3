import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Presence } from '../../src/daemon/inbound/presence.ts'

test('a program that went away is waited for three seconds, all callers together, and again after it has answered', () => {
  const presence = new Presence()
  assert.equal(presence.refused(10_000), true)
  assert.equal(presence.refused(12_999), true)
  assert.equal(presence.refused(13_000), false)
  assert.equal(presence.refused(60_000), false, 'who comes later does not wait')
  presence.answered()
  assert.equal(presence.refused(61_000), true)
})
