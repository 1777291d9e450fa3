// The end of a shadow's name: nobody can guess it, so no letter may come more often than another.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemRandom } from '../../src/base/random.ts'
import { suffix } from '../../src/cluster/suffix.ts'

test('the end of a name has five letters or digits that Kubernetes takes', () => {
  for (let i = 0; i < 100; i++) assert.match(suffix(systemRandom), /^[bcdfghjklmnpqrstvwxz2456789]{5}$/)
})

test('over all bytes each letter comes equally often', () => {
  let byte = 0
  const next = () => Buffer.of(byte++ % 256)
  const counts = new Map<string, number>()
  // 256 bytes five times: 243 of them are letters each time, and the rest are drawn again.
  for (let i = 0; i < 243; i++) for (const letter of suffix(next)) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  assert.equal(counts.size, 27)
  assert.deepEqual([...new Set(counts.values())], [45])
})
