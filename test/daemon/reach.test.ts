// Putting back waits as long as the cluster takes, and not for one that does not answer; in a time of the test's own.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reach } from '../../src/daemon/inbound/reach.ts'

const PATIENCE_MS = 8_000

/** A cluster whose answers are what `answer` says at that time. */
function watched(answer: (now: number) => Promise<unknown>) {
  let now = 0
  let timers: { at: number; call: () => void }[] = []
  const effects = {
    ask: () => answer(now),
    now: () => now,
    after(ms: number, call: () => void) {
      const timer = { at: now + ms, call }
      timers.push(timer)
      return () => {
        timers = timers.filter((one) => one !== timer)
      }
    },
  }
  const reach = new Reach(effects, PATIENCE_MS)
  const to = async (time: number) => {
    while (now < time) {
      now = Math.min(time, ...timers.map(({ at }) => Math.max(at, now)))
      const due = timers.filter(({ at }) => at <= now)
      timers = timers.filter(({ at }) => at > now)
      for (const { call } of due) call()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { reach, to, timers: () => timers.length }
}

const never = () => new Promise(() => {})
const unreachable = () => Promise.reject(Object.assign(new Error('no route'), { code: 'unreachable' }))

for (const [name, answer] of Object.entries({ 'says nothing': never, 'cannot be reached': unreachable }))
  test(`a cluster that ${name} is given up after the time of patience`, async () => {
    const { reach, to, timers } = watched(answer)
    const waiting = assert.rejects(reach.wait(never()), { code: 'unreachable' })
    await to(PATIENCE_MS - 1)
    assert.equal(reach.lost, false)
    await to(PATIENCE_MS + 2_000)
    await waiting
    assert.equal(reach.lost, true)
    await assert.rejects(reach.wait(never()), { code: 'unreachable' }, 'and so is all that follows')
    assert.equal(timers(), 0)
  })

test('a cluster that answers is waited for, also if it only refuses', async () => {
  const refused = () => Promise.reject(Object.assign(new Error('no right'), { code: 'forbidden' }))
  const { reach, to } = watched((now) => (now < 60_000 ? refused() : Promise.resolve()))
  const { promise, resolve } = Promise.withResolvers<string>()
  const waiting = reach.wait(promise)
  await to(120_000)
  assert.equal(reach.lost, false)
  resolve('put back')
  assert.equal(await waiting, 'put back')
})

test('a short gap is no reason to give up; after `stop` nothing is asked any more', async () => {
  let asked = 0
  const { reach, to, timers } = watched((now) => {
    asked++
    return now > 4_000 && now < 10_000 ? unreachable() : Promise.resolve()
  })
  reach.wait(never()).catch(() => {})
  await to(40_000)
  assert.equal(reach.lost, false)
  reach.stop()
  const before = asked
  await to(60_000)
  assert.deepEqual([asked, timers()], [before, 0])
})
