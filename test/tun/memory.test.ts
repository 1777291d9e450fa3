import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TunDevice } from '../../src/tun/device.ts'
import { withFaults } from '../../src/tun/faults.ts'
import { memoryTunPair } from '../../src/tun/memory.ts'

function send(tun: TunDevice, ...values: number[]): number {
  const offsets = Uint32Array.from(values, (_, i) => i)
  return tun.write(Uint8Array.from(values), offsets, new Uint32Array(values.length).fill(1), values.length)
}

function collect(tun: TunDevice): number[] {
  const got: number[] = []
  tun.start(
    (buffer, offsets, _lengths, count) => {
      for (let i = 0; i < count; i++) got.push(buffer[offsets[i]])
    },
    (error) => {
      throw error
    },
  )
  return got
}

// Numerical Recipes' LCG: any source that can be repeated will do.
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0)
}

test('frames written to one end come out of the other, in order, once', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(255), { minLength: 1, maxLength: 20 })), (batches) => {
      const line = memoryTunPair()
      const got = collect(line.b)
      for (const batch of batches) assert.equal(send(line.a, ...batch), batch.length)
      line.deliver()
      assert.deepEqual(got, batches.flat())
    }),
  )
})

test('a full queue takes no more, and none is taken after close', () => {
  const line = memoryTunPair({ queue: 3 })
  const got = collect(line.b)
  assert.equal(send(line.a, 1, 2), 2)
  assert.equal(send(line.a, 3, 4, 5), 1)
  line.deliver()
  assert.deepEqual(got, [1, 2, 3])
  line.b.close()
  assert.equal(send(line.a, 6), 0)
})

test('a bad line loses, doubles and swaps as its seed says; without faults it changes nothing', () => {
  const run = (seed: number, faults: { drop?: number; duplicate?: number; reorder?: number }) => {
    const line = memoryTunPair()
    const bad = withFaults(line.a, faults, seeded(seed))
    const got = collect(line.b)
    for (let i = 0; i < 100; i++) send(bad, i)
    bad.flush()
    line.deliver()
    return got
  }
  const all = Array.from({ length: 100 }, (_, i) => i)
  assert.deepEqual(run(1, {}), all)
  assert.deepEqual(run(7, { drop: 0.2, duplicate: 0.1 }), run(7, { drop: 0.2, duplicate: 0.1 }))
  const lossy = run(1, { drop: 0.3 })
  assert.ok(lossy.length > 50 && lossy.length < 90, `${lossy.length} left`)
  const doubled = run(1, { duplicate: 0.3 })
  assert.ok(doubled.length > 110)
  assert.deepEqual([...new Set(doubled)], all)
  const swapped = run(1, { reorder: 0.3 })
  assert.notDeepEqual(swapped, all)
  assert.deepEqual(
    [...swapped].sort((a, b) => a - b),
    all,
  )
})
