// When a path is to be suspected.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Probes } from '../../src/tunnel/line/probes.ts'

/** Probes of a path whose round trip takes `ms`. */
function after(ms: number): Probes {
  const probes = new Probes()
  probes.send({ send() {} } as unknown as LinePath, 0)
  assert.ok(probes.takeAnswer(Buffer.from([0, 0, 0, 1]), ms, true))
  return probes
}

test('a path is suspected after a second, or after four round trips where these take longer', () => {
  for (const [roundTripMs, limit] of [
    [20, 1_000],
    [250, 1_000],
    [600, 2_400],
  ]) {
    const probes = after(roundTripMs)
    assert.equal(probes.doubt(10_000 + limit, 10_000, 10_000), undefined)
    assert.match(probes.doubt(10_001 + limit, 10_000, 10_000)!, /acknowledged nothing for/)
    probes.send({ send() {} } as unknown as LinePath, 20_000)
    assert.equal(probes.doubt(20_000 + limit, undefined, 20_000), undefined)
    assert.match(probes.doubt(20_001 + limit, undefined, 20_000)!, /has not answered for/)
  }
})

test('a path that brings something is suspected after ten seconds, or after four round trips where these take longer', () => {
  for (const [roundTripMs, limit] of [
    [20, 10_000],
    [3_000, 12_000],
  ]) {
    const probes = after(roundTripMs)
    assert.equal(probes.doubt(10_000 + limit, 10_000, 9_500 + limit), undefined)
    assert.match(probes.doubt(10_001 + limit, 10_000, 9_500 + limit)!, /acknowledged nothing for/)
    probes.send({ send() {} } as unknown as LinePath, 30_000)
    assert.equal(probes.doubt(30_000 + limit, undefined, 29_500 + limit), undefined)
    assert.match(probes.doubt(30_001 + limit, undefined, 29_500 + limit)!, /has not answered for/)
  }
})

test('the round trip is the least of the last four answers that say something of it', () => {
  const probes = new Probes()
  let count = 0
  const answered = (ms: number, measures = true) => {
    probes.send({ send() {} } as unknown as LinePath, 0)
    assert.ok(probes.takeAnswer(Buffer.from([0, 0, 0, ++count]), ms, measures))
    return probes.roundTripMs
  }
  assert.equal(answered(3, false), undefined)
  assert.deepEqual(
    [20, 50, 30, 40].map((ms) => answered(ms)),
    [20, 20, 20, 20],
  )
  assert.equal(answered(60), 30)
  // What has waited for a stalled path takes no other's place.
  assert.equal(answered(5_000, false), 30)
  assert.deepEqual(
    [70, 80, 90].map((ms) => answered(ms)),
    [30, 40, 60],
  )
})
