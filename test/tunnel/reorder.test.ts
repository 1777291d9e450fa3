// Early bytes of a line against a plain model: an array of bytes with holes.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { MAX_PAYLOAD } from '../../src/tunnel/line/frames.ts'
import { Reorder } from '../../src/tunnel/line/reorder.ts'

const MIB = 2 ** 20
const byteAt = (offset: number) => (offset * 7 + 3) & 255
const bytes = (offset: number, length: number) => Buffer.from(Array.from({ length }, (_, i) => byteAt(offset + i)))

it('gives every byte once and in order, however pieces overlap, and keeps none twice', () => {
  const piece = fc.record({ offset: fc.integer({ min: 1, max: 200 }), length: fc.integer({ min: 1, max: 40 }) })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.integer({ min: 1, max: 30 }), (pieces, firstLength) => {
      const reorder = new Reorder(1_000)
      const model = new Set<number>()
      for (const { offset, length } of pieces) {
        reorder.hold(offset, bytes(offset, length), 0)
        for (let i = 0; i < length; i++) model.add(offset + i)
        assert.equal(reorder.size, model.size)
      }
      let expected = firstLength
      for (let next = reorder.take(expected); next; next = reorder.take(expected)) {
        assert.deepEqual(next, bytes(expected, next.length))
        expected += next.length
      }
      let end = firstLength
      while (model.has(end)) end++
      assert.equal(expected, end)
      assert.equal(reorder.size, [...model].filter((offset) => offset > end).length)
    }),
  )
})

it('uses its memory again, and not before it was passed on', (t) => {
  const { mock } = t.mock.method(Buffer, 'allocUnsafeSlow')
  const reorder = new Reorder(10_000_000)
  for (let round = 0; round < 50; round++) {
    const base = round * 1_000_000
    for (let at = 100_000; at < 1_000_000; at += 100_000) reorder.hold(base + at, Buffer.alloc(100_000, round), base)
    let expected = base + 100_000
    for (let next = reorder.take(expected); next; next = reorder.take(expected)) {
      // Whoever gets bytes may bring others meanwhile.
      reorder.hold(base + 2_050_000, Buffer.alloc(1, 255), expected)
      assert.ok(next.every((byte) => byte === round))
      expected += next.length
    }
    assert.equal(expected, base + 1_000_000)
  }
  assert.ok(mock.callCount() < 20, `${mock.callCount()} allocations`)
})

it('keeps 4 MiB for the next time, and frees what is more', (t) => {
  const { mock } = t.mock.method(Buffer, 'allocUnsafeSlow')
  const reorder = new Reorder(16 * MIB)
  const piece = Buffer.alloc(256 * 1024)
  const burst = (base: number) => {
    const before = mock.callCount()
    for (let at = piece.length; at < 10 * MIB; at += piece.length) reorder.hold(base + at, piece, base)
    const allocated = mock.callCount() - before
    let expected = base + piece.length
    for (let next = reorder.take(expected); next; next = reorder.take(expected)) expected += next.length
    assert.equal(expected, base + 10 * MIB)
    return allocated
  }
  assert.equal(burst(0), 39)
  // The piece of memory that is being filled is none of them.
  assert.equal(burst(10 * MIB), 39 - 16 - 1)
})

it('fills a piece of memory from its beginning again once nothing in it waits', () => {
  const reorder = new Reorder(10_000)
  const places = new Set<number>()
  for (let at = 100; at < 1_000; at += 100) {
    reorder.hold(at, bytes(at, 50), 0)
    places.add(reorder.take(at)!.byteOffset)
    assert.equal(reorder.take(at + 50), undefined)
  }
  assert.equal(places.size, 1)
})

it('uses memory again also when its bytes came over the other path meanwhile', (t) => {
  const { mock } = t.mock.method(Buffer, 'allocUnsafeSlow')
  const reorder = new Reorder(10 * MIB)
  const piece = Buffer.alloc(100_000)
  for (let base = 0; base < 100 * MIB; base += MIB) {
    for (let at = 100_000; at < MIB - 100_000; at += 100_000) reorder.hold(base + at, piece, base)
    assert.equal(reorder.take(base + MIB), undefined)
    assert.equal(reorder.size, 0)
  }
  assert.ok(mock.callCount() < 10, `${mock.callCount()} allocations`)
})

it('refuses bytes that are further ahead than the sender may have sent', () => {
  const reorder = new Reorder(1_000)
  reorder.hold(50 + 1_000 + MAX_PAYLOAD - 10, Buffer.alloc(10), 50)
  assert.throws(() => reorder.hold(50 + 1_000 + MAX_PAYLOAD - 9, Buffer.alloc(10), 50), RangeError)
})
