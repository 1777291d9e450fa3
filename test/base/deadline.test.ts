import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deadline } from '../../src/base/deadline.ts'
import { VirtualTime } from '../support/virtual-time.ts'

test('one deadline holds for all that is waited for; what is done before is as if there were none', async () => {
  const time = new VirtualTime()
  const deadline = new Deadline(6_000, time)
  assert.equal(await deadline.wait(Promise.resolve(1), 'late'), 1)
  await assert.rejects(deadline.wait(Promise.reject(new Error('refused')), 'late'), /refused/)
  const slow = deadline.wait(new Promise(() => {}), 'no answer in time')
  await time.run(4_000)
  assert.equal(deadline.left, 2_000)
  await time.run(2_000)
  await assert.rejects(slow, /no answer in time/)
  await assert.rejects(deadline.wait(new Promise(() => {}), 'nor this'), /nor this/)
  assert.equal(await deadline.wait(Promise.resolve(2), 'late'), 2, 'what is done is done')
})

test('one that has ended leaves no timer', () => {
  const time = new VirtualTime()
  new Deadline(6_000, time).end()
  assert.equal(time.pending, 0)
})
