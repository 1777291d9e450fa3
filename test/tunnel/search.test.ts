// A search for another path by itself: how many attempts there are at a time, and what remains when it is over.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RefusedByAgent, Search } from '../../src/tunnel/line/search.ts'
import { VirtualTime } from '../support/virtual-time.ts'

interface Attempt {
  signal: AbortSignal
  at: number
  succeed(): void
  fail(error: Error): void
}

function searching({ roundTripMs = 20, pauseMs = 0 } = {}) {
  const time = new VirtualTime()
  const attempts: Attempt[] = []
  const log: string[] = []
  const gone: string[] = []
  const asked: number[] = []
  const pod = { alive: async () => true }
  const search = new Search({
    clock: time,
    attempt: (signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      attempts.push({ signal, at: time.now(), succeed: resolve, fail: reject })
      signal.addEventListener('abort', () => reject(new Error('given up')))
      return promise
    },
    ...{ pauseMs, roundTripMs },
    isAlive: () => {
      asked.push(time.now())
      return pod.alive()
    },
    gone: (why) => gone.push(why),
    log: (message) => log.push(message),
  })
  const open = () => attempts.filter(({ signal }) => !signal.aborted)
  return { time, attempts, open, log, gone, asked, pod, search }
}

const withCode = (code: string) => Object.assign(new Error('no'), { code })

describe('a search', () => {
  it('makes ten attempts at a time, and one for the oldest of them when the network has changed', async () => {
    const { time, attempts, open, search } = searching({ roundTripMs: 3_000 })
    await time.run(29_000)
    assert.equal(attempts.length, 10)
    assert.equal(open().length, 10)
    search.hurry()
    assert.equal(attempts.length, 11)
    assert.deepEqual([attempts[0].signal.aborted, open().length, attempts[10].at], [true, 10, 29_000])
    // Those that have failed are none of them.
    for (const { fail } of open()) fail(new Error('no'))
    await time.run(2_100)
    assert.equal(attempts.length, 12)
  })

  it('waits before its first attempt as it is told, and not when the network has changed', async () => {
    const { time, attempts, search } = searching({ pauseMs: 4_000 })
    await time.run(3_000)
    assert.equal(attempts.length, 0)
    search.hurry()
    assert.equal(attempts.length, 1)
    await time.run(250)
    assert.equal(attempts.length, 2)
  })

  it('tells of attempts that fail, and not of those that took too long or were given up', async () => {
    const { time, attempts, log, search } = searching()
    attempts[0].fail(new Error('no way there'))
    await time.run(10)
    assert.deepEqual(log, ['a new path: no way there'])
    await time.run(5_300)
    assert.equal(attempts[1].signal.aborted, true)
    search.stop()
    await time.run(10)
    assert.ok(attempts.every(({ signal }, i) => i === 0 || signal.aborted))
    assert.equal(log.length, 1)
  })

  it('is slower after each attempt that finds no route on this machine, and only then', async () => {
    for (const [code, count] of [
      ['ENETUNREACH', 6],
      ['ENETDOWN', 6],
      ['EADDRNOTAVAIL', 6],
      ['EHOSTUNREACH', 23],
      ['ECONNREFUSED', 23],
    ] as const) {
      const { time, attempts } = searching()
      for (let now = 0; now < 10_000; now += 50) {
        for (const { fail } of attempts) fail(withCode(code))
        await time.run(50)
      }
      assert.equal(attempts.length, count, code)
    }
  })

  it('begins with short pauses again when the network has changed', async () => {
    const { time, attempts, search } = searching()
    for (let i = 0; i < 8; i++) {
      attempts.at(-1)!.fail(withCode('ENETUNREACH'))
      await time.run(4_000)
    }
    const { length } = attempts
    search.hurry()
    assert.equal(attempts.length, length + 1)
    await time.run(1_000)
    assert.equal(attempts.length, length + 3)
  })

  it('ends when the agent does not have the line, or the pod is gone', async () => {
    const refused = searching()
    refused.attempts[0].fail(new Error('the line is of another client'))
    await refused.time.run(10)
    assert.deepEqual(refused.gone, [])
    refused.attempts[0].fail(new Error('once more'))
    await refused.time.run(250)
    refused.attempts[1].fail(new RefusedByAgent('there is no such line'))
    await refused.time.run(10)
    assert.deepEqual(refused.gone, ['the agent: there is no such line'])

    const deleted = searching()
    deleted.pod.alive = () => Promise.reject(new Error('the cluster cannot be asked'))
    await deleted.time.run(2_200)
    assert.deepEqual(deleted.asked, [300])
    deleted.pod.alive = async () => false
    await deleted.time.run(200)
    assert.deepEqual([deleted.asked, deleted.gone], [[300, 2_300], ['the pod is gone']])
  })

  it('leaves nothing behind when it is stopped, whatever comes to an end later', async () => {
    for (const alive of [true, false, 'fails'] as const) {
      const answer = Promise.withResolvers<boolean>()
      const { time, attempts, log, gone, pod, search } = searching()
      pod.alive = () => answer.promise
      await time.run(400)
      search.stop()
      search.hurry()
      for (const { fail } of attempts) fail(new RefusedByAgent('no'))
      if (alive === 'fails') answer.reject(new Error('no'))
      else answer.resolve(alive)
      await time.run(0)
      assert.equal(time.pending, 0)
      assert.deepEqual([log, gone, attempts.length], [[], [], 2])
    }
  })

  it('waits for no attempt that has succeeded', async () => {
    const { time, attempts, search } = searching()
    attempts[0].succeed()
    await time.run(10)
    search.stop()
    assert.equal(time.pending, 0)
    await time.run(10_000)
    assert.equal(attempts.length, 1)
  })
})
