// The data structures of the stack against plain models of them.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Core } from '../../src/stack/core.ts'
import { FlowTable } from '../../src/stack/flows.ts'
import { FlowKey } from '../../src/stack/key.ts'
import { SendQueue } from '../../src/stack/tcp/queue.ts'
import { ReceiveQueue } from '../../src/stack/tcp/receive-queue.ts'
import { Scoreboard } from '../../src/stack/tcp/scoreboard.ts'
import { type Timed, Timers } from '../../src/stack/timers.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { pattern } from './peer.ts'

const BASE = 0x7fffff00 // numbers wrap within the test

test('SendQueue: any order of queuing, reading and releasing yields the bytes of the stream', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('push' as const), a: fc.integer({ min: 1, max: 300 }), b: fc.constant(0) }),
    fc.record({ kind: fc.constant('copy' as const), a: fc.nat(1000), b: fc.nat(1000) }),
    fc.record({ kind: fc.constant('release' as const), a: fc.nat(1000), b: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new SendQueue()
      queue.restart(BASE)
      let first = 0
      let last = 0
      for (const { kind, a, b } of steps) {
        const size = last - first
        if (kind === 'push') {
          queue.push(pattern(a, last))
          last += a
        } else if (size > 0 && kind === 'copy') {
          const from = first + (a % size)
          const length = 1 + (b % (last - from))
          const target = new Uint8Array(length + 2).fill(0xaa)
          queue.copy((BASE + from) | 0, length, target, 1)
          assert.deepEqual(target.subarray(1, length + 1), pattern(length, from))
          assert.deepEqual([target[0], target[length + 1]], [0xaa, 0xaa])
        } else if (size > 0) {
          const count = 1 + (a % size)
          queue.release(count)
          first += count
        }
        assert.equal(queue.start, (BASE + first) | 0)
        assert.equal(queue.end, (BASE + last) | 0)
      }
    }),
    { numRuns: 300 },
  )
})

test('Scoreboard: says of every byte what a set of bytes says', () => {
  const range = fc.record({ advance: fc.boolean(), at: fc.nat(200), size: fc.integer({ min: 1, max: 40 }) })
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), fc.nat(240), fc.nat(240), (steps, x, y) => {
      const board = new Scoreboard()
      const model = new Set<number>()
      let una = 0
      for (const { advance, at, size } of steps) {
        if (advance) {
          una = Math.max(una, at >> 1)
          board.advance((BASE + una) | 0)
          for (const byte of model) if (byte < una) model.delete(byte)
        } else if (at >= una) {
          let news = false
          for (let byte = at; byte < at + size; byte++) {
            if (!model.has(byte)) news = true
            model.add(byte)
          }
          assert.equal(board.add((BASE + at) | 0, (BASE + at + size) | 0), news)
        }
        assert.equal(board.bytes, model.size)
      }
      const [from, to] = [Math.max(una, Math.min(x, y)), Math.max(una, x, y)]
      const inside = [...model].filter((byte) => byte >= from && byte < to)
      assert.equal(board.covered((BASE + from) | 0, (BASE + to) | 0), inside.length)
      let hole = from
      while (model.has(hole)) hole++
      let length = 0
      while (hole + length < to && !model.has(hole + length)) length++
      const found = board.holeAt((BASE + from) | 0, (BASE + to) | 0)
      assert.equal(board.holeLength, length)
      if (length > 0) assert.equal(found, (BASE + hole) | 0)
    }),
    { numRuns: 500 },
  )
})

test('ReceiveQueue: segments in any order come out once and in order, and cost nothing when gone', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 60 })), { maxLength: 60 }), (segments) => {
      const core = new Core({ mtu: 1500, gso: true, random: () => 0, output() {} })
      const hold = new ReceiveQueue(core)
      const has = new Set<number>()
      for (const [at, size] of segments) {
        hold.insert((BASE + at + 1) | 0, pattern(size, at + 1), 0, size)
        for (let byte = at + 1; byte <= at + size; byte++) has.add(byte)
      }
      const edges = new Int32Array(8)
      const count = hold.sackBlocks(edges, 4, BASE)
      for (let i = 0; i < count; i++) {
        const [left, right] = [(edges[2 * i] - BASE) | 0, (edges[2 * i + 1] - BASE) | 0]
        for (let byte = left; byte < right; byte++) assert.ok(has.has(byte))
        assert.ok(!has.has(left - 1) && !has.has(right), 'blocks are whole')
      }
      let next = 1
      while (hold.pieceCount > 0) {
        const piece = hold.pull((BASE + next) | 0)
        if (piece === undefined) {
          assert.ok(!has.has(next))
          next++
          continue
        }
        assert.deepEqual(piece, pattern(piece.length, next))
        next += piece.length
      }
      assert.equal(next > 1 || has.size === 0, true)
      assert.equal(core.receiveHeld, 0)
    }),
    { numRuns: 300 },
  )
})

test('ReceiveQueue: bytes in order come out as they went in, however much is taken at a time, and cost nothing when gone', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 30_000, max: 66_000 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(size, fc.nat(80_000)), { maxLength: 25 }), (steps) => {
      const core = new Core({ mtu: 1500, gso: true, random: () => 0, output() {} })
      const hold = new ReceiveQueue(core)
      let [into, out] = [0, 0]
      const drain = (most: number) =>
        hold.drain((buffer, start, end) => {
          const taken = Math.min(most, end - start)
          most -= taken
          assert.deepEqual(buffer.slice(start, start + taken), pattern(taken, out))
          out += taken
          return taken
        })
      for (const [length, most] of steps) {
        hold.append(pattern(length, into), 0, length)
        into += length
        drain(most)
        assert.equal(hold.readyBytes, into - out)
      }
      drain(Number.POSITIVE_INFINITY)
      assert.equal(out, into)
      assert.equal(core.receiveHeld, 0)
    }),
    { numRuns: 60 },
  )
})

test('ReceiveQueue: an upload that waits for its owner does so in the same memory', () => {
  const hold = new ReceiveQueue(new Core({ mtu: 1500, gso: true, random: () => 0, output() {} }))
  const frame = pattern(44 * 1460, 0)
  const memory = new Set<ArrayBufferLike>()
  for (let i = 0; i < 1000; i++) {
    hold.append(frame, 0, frame.length)
    if (i % 10 !== 9) continue
    hold.drain((buffer, start, end) => {
      memory.add(buffer.buffer)
      return end - start
    })
  }
  assert.ok(memory.size <= 20, `${memory.size} buffers for 100 rounds of 10 frames`)
})

class Item implements Timed {
  deadline = Infinity
  timerTime = 0
  timerIndex = -1
  fired: number[] = []
  onDeadline(now: number): void {
    this.fired.push(now)
    this.deadline = Infinity
  }
}

test('Timers: everybody is called when due, never before, whatever was moved or removed', () => {
  const step = fc.tuple(fc.nat(9), fc.constantFrom('set', 'set', 'remove', 'pass'), fc.nat(50))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const timers = new Timers()
      const items = Array.from({ length: 10 }, () => new Item())
      const due = new Map<Item, number>()
      let now = 0
      for (const [which, kind, value] of steps) {
        const item = items[which]
        if (kind === 'set') {
          item.deadline = now + 1 + value
          due.set(item, item.deadline)
          timers.schedule(item)
        } else if (kind === 'remove') {
          timers.remove(item)
          item.deadline = Infinity
          due.delete(item)
        } else {
          now += value
          timers.expire(now)
          for (const one of items) {
            const at = due.get(one)
            const expected = at !== undefined && at <= now ? [now] : []
            assert.deepEqual(one.fired, expected)
            one.fired = []
            if (expected.length > 0) due.delete(one)
          }
        }
        assert.ok(timers.next() <= Math.min(Infinity, ...due.values()))
        assert.ok(timers.size <= 10)
      }
    }),
    { numRuns: 500 },
  )
})

describe('FlowTable', () => {
  test('finds what is there and nothing else, over growth', () => {
    const table = new FlowTable<FlowKey>()
    const key = (i: number) => {
      const made = new FlowKey()
      const v6 = i % 2 === 1
      const local = IpAddress.parse(v6 ? 'fd00::1' : '10.0.0.1')
      const remote = IpAddress.parse(v6 ? `fd00::${(i >> 8) + 1}` : `10.1.${i >> 8}.1`)
      made.fromEndpoints({ address: local, port: 80 }, { address: remote, port: 1024 + i })
      return made
    }
    const all = Array.from({ length: 5000 }, (_, i) => key(i))
    for (const one of all) table.add(one)
    assert.equal(table.size, 5000)
    for (let i = 0; i < 5000; i++) assert.equal(table.find(key(i)), all[i])
    for (let i = 0; i < 5000; i += 2) assert.equal(table.remove(all[i]), true)
    assert.equal(table.remove(all[0]), false)
    for (let i = 0; i < 5000; i++) assert.equal(table.find(key(i)), i % 2 === 0 ? null : all[i])
    assert.equal(table.list().length, 2500)
  })
})
