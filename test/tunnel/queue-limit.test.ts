// How much bulk data may be in flight while nobody waits: each rule of the limit by itself. flight.test.ts has it at work.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QueueLimit } from '../../src/tunnel/ssh/queue-limit.ts'

/** Bytes per millisecond. */
const RATE = 100_000
/** A time when the limit does not try more. */
const USUAL = 1_000

/** A limit that bulk has waited for all the time, and that has cost nothing. */
function settled(): { limit: QueueLimit; now: number } {
  const limit = new QueueLimit()
  let now = 0
  for (; now < 6_000; now += 100) {
    limit.bind(now)
    limit.passed(RATE, now, false)
  }
  return { limit, now }
}

test('what passes in two round trips and 20 ms may be in flight, most of the time a fifth less', () => {
  const { limit } = settled()
  assert.equal(limit.bytes(RATE, 5, USUAL), 0.8 * RATE * (2 * 5 + 20))
  assert.equal(limit.bytes(RATE, 5, 4_000), RATE * (2 * 5 + 20))
})

test('where only processors limit the rate the slack is 32 ms, and the limit is not lower most of the time', () => {
  const { limit } = settled()
  const slackMs = (rate: number, now: number) => limit.bytes(rate, 0, now) / rate
  assert.equal(slackMs(125_000, USUAL), 0.8 * 20)
  assert.ok(Math.abs(slackMs(162_500, USUAL) - 0.9 * 26) < 1e-9)
  assert.equal(slackMs(200_000, USUAL), 32)
  assert.equal(slackMs(400_000, USUAL), 32)
  assert.equal(slackMs(400_000, 4_000), 32)
})

/** The limit in milliseconds of the rate, 6 s after the path has become slower: `share` of what passed before. */
function afterSlowing(share: number, typing = false): number {
  const { limit, now } = settled()
  for (let i = 0; i < 60; i++) {
    limit.bind(now + 100 * i)
    limit.passed(share * RATE, now + 100 * i, typing)
  }
  return limit.bytes(RATE, 0, USUAL) / (0.8 * RATE)
}

test('a path that becomes much slower is noticed within seconds, and its queue is short again', () => {
  assert.equal(afterSlowing(0.03), 20)
  assert.equal(afterSlowing(0.45), 20)
})

test('a path that becomes somewhat slower is known by the fading of the best rate; while somebody types little passes', () => {
  assert.ok(afterSlowing(0.6) > 500)
  assert.ok(afterSlowing(0.03, true) > 500)
})

test('however little passes, 256 KiB may be in flight; nothing is limited before a rate is known', () => {
  const { limit } = settled()
  assert.equal(limit.bytes(1, 5, USUAL), 256 * 1024)
  assert.equal(limit.bytes(0, 5, USUAL), Number.POSITIVE_INFINITY)
})

test('bulk that begins is hardly limited, and begins anew when nothing was held back for 5 s', () => {
  const { limit, now } = settled()
  limit.bind(now + 4_800)
  limit.bind(now + 9_700)
  assert.equal(limit.bytes(RATE, 0, USUAL), 0.8 * RATE * 20)
  limit.bind(now + 14_800)
  assert.equal(limit.bytes(RATE, 0, USUAL), 0.8 * RATE * 1_000)
})

test('a slow time raises the limit only if bulk waited for the limit then', () => {
  const slow = (waits: boolean) => {
    const { limit, now } = settled()
    limit.bind(now)
    limit.passed(RATE, now + 100, false)
    for (let i = 2; i < 7; i++) {
      if (waits) limit.bind(now + 100 * i)
      limit.passed(RATE / 10, now + 100 * i, false)
    }
    return limit.bytes(RATE, 0, USUAL)
  }
  assert.equal(slow(false), 0.8 * RATE * 20)
  assert.ok(slow(true) > 2 * slow(false))
})

test('a tenth less at the limit is no cost on a slow line, and one on a fast line', () => {
  const atLess = (rate: number) => {
    const limit = new QueueLimit()
    for (let now = 0; now < 9_000; now += 100) {
      limit.bind(now)
      limit.passed(now < 6_000 ? rate : 0.9 * rate, now, false)
    }
    return limit.bytes(rate, 0, USUAL) / (0.8 * rate)
  }
  assert.equal(atLess(25_000), 20)
  assert.equal(atLess(40_000), 20)
  assert.equal(atLess(50_000), 20)
  assert.ok(atLess(75_000) > 40)
  assert.ok(atLess(100_000) > 40)
})

test('a single fast slice does not make the best rate', () => {
  const { limit, now } = settled()
  limit.passed(3 * RATE, now + 100, false)
  assert.equal(limit.costs(0.5, RATE), false, 'the best rate is 1.8 times the usual one')
  assert.equal(limit.costs(0.6, RATE), true)
})

test('the best rate fades to 1/e in 30 s', () => {
  const { limit, now } = settled()
  for (let i = 0; i < 100; i++) limit.passed(0.55 * RATE, now + 100 * i, false)
  assert.equal(limit.costs(1, 0.73 * RATE), false, 'it is 0.717 times the usual one after 10 s')
  assert.equal(limit.costs(1, 0.7 * RATE), true)
})
