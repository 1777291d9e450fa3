// When a path is to be suspected.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Probes } from '../../src/tunnel/line/probes.ts'

/** Probes of a path whose round trip takes `ms`. */
function after(ms: number): Probes {
  const probes = new Probes()
  probes.send({ send() {} } as unknown as LinePath, 0)
  assert.ok(probes.answered(Buffer.from([0, 0, 0, 1]), ms, true))
  return probes
}

test('a path is suspected after a second, or after four round trips where these take longer', () => {
  for (const [roundTripMs, limit] of [
    [20, 1_000],
    [250, 1_000],
    [600, 2_400],
  ]) {
    const probes = after(roundTripMs)
    assert.equal(probes.doubt(10_000 + limit, 10_000), undefined)
    assert.match(probes.doubt(10_001 + limit, 10_000)!, /acknowledged nothing for/)
    probes.send({ send() {} } as unknown as LinePath, 20_000)
    assert.equal(probes.doubt(20_000 + limit, undefined), undefined)
    assert.match(probes.doubt(20_001 + limit, undefined)!, /has not answered for/)
  }
})
