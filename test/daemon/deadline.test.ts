import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { Deadline } from '../../src/daemon/deadline.ts'

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
afterEach(() => mock.timers.reset())

test('one deadline holds for all that is waited for; what is done before is as if there were none', async () => {
  const deadline = new Deadline(6_000)
  assert.equal(await deadline.wait(Promise.resolve(1), 'late'), 1)
  await assert.rejects(deadline.wait(Promise.reject(new Error('refused')), 'late'), /refused/)
  const slow = deadline.wait(new Promise(() => {}), 'no answer in time')
  mock.timers.tick(6_000)
  await assert.rejects(slow, /no answer in time/)
  await assert.rejects(deadline.wait(new Promise(() => {}), 'nor this'), /nor this/)
  assert.equal(await deadline.wait(Promise.resolve(2), 'late'), 2, 'what is done is done')
})
