// The queue of a session stays short while somebody waits for an answer, and only then; in virtual time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Flight, Pulse, TELL_BYTES } from '../../src/tunnel/ssh/flight.ts'

const CHUNK = 32 * 1024

/**
 * A line of `rate` bytes a ms and `delayMs` each way; bulk sends whenever it may and windows of 8 MiB allow, an echo of one byte
 * each `echoEveryMs`. Returns the most that was in flight once it had settled, and how much arrived.
 */
function line(options: { rate: number; delayMs: number; ms: number; echoEveryMs?: number; tells?: boolean }) {
  const { rate, delayMs, ms, echoEveryMs, tells = true } = options
  let now = 1000
  const sender = new Flight(
    () => now,
    () => 2 * delayMs,
  )
  const receiver = new Flight(
    () => now,
    () => 2 * delayMs,
  )
  const bulk = new Pulse()
  const echo = new Pulse()
  const told: [at: number, total: number][] = []
  if (tells) sender.arrived(0)
  let inFlight = 0
  let arrived = 0
  let room = 0
  let most = 0
  for (let t = 0; t < ms; t++, now++) {
    while (told[0]?.[0] <= now) sender.arrived(told.shift()![1])
    if (echoEveryMs && t % echoEveryMs === 0) {
      sender.sent(1, echo)
      inFlight++
    }
    while (!sender.full && inFlight + CHUNK <= 8 << 20) {
      sender.sent(CHUNK, bulk)
      inFlight += CHUNK
    }
    room = Math.min(room + rate, inFlight)
    if (t >= delayMs) {
      const total = receiver.received(room)
      if (total >= 0 && tells) told.push([now + delayMs, total])
      inFlight -= room
      arrived += room
      room = 0
    }
    if (t > ms / 2) most = Math.max(most, inFlight)
  }
  return { most, arrived, rate: arrived / ms }
}

test('bulk alone fills what its windows allow', () => {
  const { most, rate } = line({ rate: 80_000, delayMs: 1, ms: 3000 })
  assert.ok(most > 4 << 20, `${most}`)
  assert.ok(rate > 0.95 * 80_000, `${rate}`)
})

test('while somebody waits for an echo the queue is short, and the line is still full', () => {
  for (const [rate, delayMs] of [
    [80_000, 1],
    [80_000, 20],
    [12_500, 20],
  ]) {
    const { most, rate: got } = line({ rate, delayMs, ms: 5000, echoEveryMs: 10 })
    // Its own delay, and that much again at most, or the least there may be.
    const need = rate * (4 * delayMs + 2)
    assert.ok(most <= Math.max(need, 384 * 1024) + 2 * CHUNK, `${rate} ${delayMs}: ${most}`)
    assert.ok(got > 0.9 * rate, `${rate} ${delayMs}: ${got}`)
  }
})

test('a far side that does not tell limits nothing', () => {
  const { most } = line({ rate: 80_000, delayMs: 1, ms: 1000, echoEveryMs: 10, tells: false })
  assert.ok(most > 4 << 20)
})

test('it is told each 64 KiB, whatever the pieces, and never stops for good', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 200 }), (pieces) => {
      let now = 0
      const clock = () => now
      const a = new Flight(clock, () => 1)
      const b = new Flight(clock, () => 1)
      const pulse = new Pulse()
      a.arrived(0)
      let untold = 0
      for (const size of pieces) {
        now++
        a.hurry()
        a.sent(size, pulse)
        const total = b.received(size)
        untold += size
        if (total >= 0) {
          a.arrived(total)
          untold = 0
        }
        assert.ok(untold < TELL_BYTES)
        // Everything has arrived: what is not told is too little to hold anybody up.
        assert.equal(a.full, false)
      }
    }),
  )
})

test('counts go round at 2^32', () => {
  const a = new Flight(
    () => 0,
    () => 1,
  )
  const b = new Flight(
    () => 0,
    () => 1,
  )
  a.arrived(0)
  const pulse = new Pulse()
  for (let i = 0; i < 10_000; i++) {
    a.sent(1 << 20, pulse)
    const total = b.received(1 << 20)
    assert.ok(total >= 0 && total < 2 ** 32)
    a.arrived(total)
    a.hurry()
    assert.equal(a.full, false)
  }
})
