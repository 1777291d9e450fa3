// The queue of a session stays short while somebody waits for an answer, and only then; in virtual time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Flight, TELL_BYTES, TELL_REST_MS, TELL_SHORT_BYTES } from '../../src/tunnel/ssh/flight.ts'
import { Pulse } from '../../src/tunnel/ssh/pulse.ts'

const CHUNK = 32 * 1024

/**
 * A line of `rate` bytes a ms and `delayMs` each way that stands still for `stallMs` twice a second; bulk sends whenever it may and
 * windows of 8 MiB allow, an echo of one byte each `echoEveryMs`. Returns the most that was in flight once it had settled, and
 * how much arrived.
 */
function line(options: {
  rate: number
  delayMs: number
  ms: number
  echoEveryMs?: number
  stallMs?: number
  tells?: boolean
  /** As the tunnel measures it, when nothing is in flight. */
  roundTripMs?: number
  /** When the echoes begin. */
  echoFromMs?: number
  /** The receiver acknowledges after so long at the latest. */
  tellsAfterMs?: number
}) {
  const { rate, delayMs, ms, echoEveryMs, stallMs = 0, tells = true } = options
  const { roundTripMs = 2 * delayMs, tellsAfterMs = TELL_REST_MS, echoFromMs = 0 } = options
  let now = 1000
  const make = () =>
    new Flight(
      () => now,
      () => roundTripMs,
    )
  const sender = make()
  sender.peerTellsAfter = tellsAfterMs
  const receiver = make()
  const sending = { bulk: new Pulse(), echo: new Pulse() }
  const getting = { bulk: new Pulse(), echo: new Pulse() }
  const told: [at: number, total: number][] = []
  if (tells) sender.arrived(0)
  const way: { of: 'bulk' | 'echo'; left: number; size: number; since: number }[] = []
  let inFlight = 0
  let arrived = 0
  let room = 0
  let most = 0
  let restAt = Number.POSITIVE_INFINITY
  const send = (of: 'bulk' | 'echo', size: number) => {
    sender.sent(size, sending[of])
    way.push({ of, left: size, size, since: now })
    inFlight += size
  }
  const tell = (total: number) => {
    if (tells) told.push([now + delayMs, total])
    restAt = Number.POSITIVE_INFINITY
  }
  for (let t = 0; t < ms; t++, now++) {
    while (told[0]?.[0] <= now) sender.arrived(told.shift()![1])
    if (echoEveryMs && t >= echoFromMs && t % echoEveryMs === 0) send('echo', 1)
    while (!sender.full && inFlight + CHUNK <= 8 << 20) send('bulk', CHUNK)
    room = t % 500 < stallMs ? 0 : rate
    while (way[0]?.since + delayMs <= now && room > 0) {
      const [first] = way
      const bytes = Math.min(room, first.left)
      room -= bytes
      first.left -= bytes
      inFlight -= bytes
      arrived += bytes
      if (first.left > 0) break
      way.shift()
      const total = receiver.received(first.size, getting[first.of])
      if (total >= 0) tell(total)
      else if (receiver.untold >= TELL_SHORT_BYTES) restAt = Math.min(restAt, now + tellsAfterMs)
    }
    if (now >= restAt) tell(receiver.tell())
    if (t > ms / 2) most = Math.max(most, inFlight)
  }
  return { most, arrived, rate: arrived / ms }
}

test('bulk alone lets the first message after silence wait two round trips and 20 ms at most, and the line is full', () => {
  for (const [rate, delayMs] of [
    [80_000, 1],
    [12_500, 1],
    [12_500, 20],
    [80_000, 20],
  ]) {
    const { most, rate: got } = line({ rate, delayMs, ms: 5000 })
    // A message that is sent now arrives when all that is in flight has: one delay of it is the line's own.
    const wait = most / rate
    assert.ok(wait <= 4 * delayMs + 21 + CHUNK / rate, `${rate} ${delayMs}: ${wait} ms`)
    assert.ok(got > 0.92 * rate, `${rate} ${delayMs}: ${got}`)
  }
})

test('a receiver that acknowledges late leaves the line full', () => {
  for (const delayMs of [1, 20]) {
    const { rate } = line({ rate: 12_500, delayMs, ms: 5000, tellsAfterMs: 25 })
    assert.ok(rate > 0.94 * 12_500, `${delayMs}: ${rate}`)
  }
})

test('where it is no queue that takes long, bulk alone is hardly limited', () => {
  // Processes on a busy machine: quick when there is little to do, and then slow.
  const { rate } = line({ rate: 80_000, delayMs: 30, roundTripMs: 2, ms: 20_000 })
  assert.ok(rate > 0.75 * 80_000, `${rate}`)
})

test('while somebody waits for an echo the queue is short, and the line is still full', () => {
  for (const [rate, delayMs] of [
    [80_000, 1],
    [80_000, 20],
    [12_500, 20],
  ]) {
    const { most, rate: got } = line({ rate, delayMs, ms: 5000, echoEveryMs: 10 })
    // Its own delay, a quarter more, and a ms; what is not told yet, and that steps go beyond the limit and back.
    const need = 1.15 * rate * (2.5 * delayMs + 1)
    const told = Math.max(TELL_SHORT_BYTES, rate / 2)
    assert.ok(most <= need + told + 2 * CHUNK, `${rate} ${delayMs}: ${most}`)
    assert.ok(got > 0.9 * rate, `${rate} ${delayMs}: ${got}`)
  }
})

test('bulk keeps two thirds of its rate while somebody types, also where no limit makes the way as short as it should be', () => {
  for (const rate of [12_500, 80_000]) {
    const bulk = { rate, delayMs: 20, roundTripMs: 22 }
    const alone = line({ ...bulk, ms: 2_000 }).arrived
    const got = (line({ ...bulk, ms: 10_000, echoEveryMs: 100, echoFromMs: 2_000 }).arrived - alone) / 8_000
    assert.ok(got > 0.67 * rate, `${rate}: ${got}`)
  }
})

test('a line that stands still now and then is not given up', () => {
  for (const delayMs of [1, 20]) {
    const { rate } = line({ rate: 40_000, delayMs, ms: 5000, echoEveryMs: 10, stallMs: 50 })
    assert.ok(rate > 0.7 * 0.9 * 40_000, `${delayMs}: ${rate}`)
  }
})

test('a far side that does not tell limits nothing', () => {
  const { most } = line({ rate: 80_000, delayMs: 1, ms: 1000, echoEveryMs: 10, tells: false })
  assert.ok(most > 4 << 20)
})

test('it is told each MiB whatever the pieces, the rest a little later, and then nobody has to wait', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1_200_000 }), { minLength: 1, maxLength: 200 }), (pieces) => {
      let now = 0
      const clock = () => now
      const a = new Flight(clock, () => 1)
      const b = new Flight(clock, () => 1)
      const pulse = new Pulse()
      a.arrived(0)
      for (const size of pieces) {
        now++
        a.hurry()
        a.sent(size, pulse)
        const total = b.received(size)
        if (total >= 0) a.arrived(total)
        assert.ok(b.untold < TELL_BYTES)
        // The mux does it when TELL_REST_MS have passed.
        if (b.untold >= TELL_SHORT_BYTES) a.arrived(b.tell())
        // Everything has arrived: what is not told is too little to hold anybody up.
        assert.equal(a.full, false)
      }
    }),
  )
})

test('who gets little on a channel tells often, and not for long after', () => {
  let now = 0
  const receiver = new Flight(
    () => now,
    () => 1,
  )
  const bulk = new Pulse()
  bulk.add(TELL_BYTES, now)
  const echo = new Pulse()
  assert.equal(receiver.received(TELL_SHORT_BYTES, bulk), -1)
  assert.equal(receiver.received(1), -1, 'a frame of the frame channel says nothing about others')
  assert.ok(receiver.received(1, echo) > TELL_SHORT_BYTES)
  assert.ok(receiver.received(TELL_SHORT_BYTES, bulk) > 0)
  now = 300
  assert.equal(receiver.received(TELL_SHORT_BYTES, bulk), -1)
})

test('who sends little goes ahead of those who wait, until it has sent much', () => {
  let now = 1000
  const sender = new Flight(
    () => now,
    () => 1,
  )
  const pulse = new Pulse()
  assert.ok(sender.ahead(pulse) >= 16 * 1024)
  sender.sent(20_000, pulse)
  assert.ok(sender.ahead(pulse) > 0)
  sender.sent(20_000, pulse)
  assert.equal(sender.ahead(pulse), 0)
  now += 300 // in the next stretch it still counts as bulk, later no more
  assert.equal(sender.ahead(pulse), 0)
  now += 1000
  assert.ok(sender.ahead(pulse) > 0)
})

test('the queue is empty while the line is measured, also behind bulk alone, and only then', () => {
  const rate = 80_000
  let now = 0
  const sender = new Flight(
    () => now,
    () => 2,
  )
  const pulse = new Pulse()
  let total = 0
  for (; now < 1000; now += 1) {
    sender.sent(rate, pulse)
    sender.arrived((total += rate))
  }
  now += 300 // nobody waits any more
  sender.sent(1_200_000, pulse)
  assert.equal(sender.full, false)
  sender.quiet()
  assert.equal(sender.full, true)
  sender.arrived((total += 1_200_000 - 2 * rate))
  assert.equal(sender.full, true, 'as much as the line itself holds is still too much')
  sender.arrived((total += rate))
  assert.equal(sender.full, false)
  sender.sent(1_200_000, pulse)
  now += 200
  assert.equal(sender.full, false)
  sender.quiet()
  assert.equal(sender.full, false, 'measuring again at once does not hold bulk up again')
})

test('a limit that nothing came near to does not grow, however quickly all arrives', () => {
  let now = 1000
  const sender = new Flight(
    () => now,
    () => 10,
  )
  const pulse = new Pulse()
  let total = 0
  const pass = (bytes: number) => {
    sender.hurry()
    sender.sent(bytes, pulse)
    sender.arrived((total += bytes))
    now += 10
  }
  sender.arrived(0)
  for (let i = 0; i < 1000; i++) pass(40_000)
  sender.hurry()
  sender.sent(500_000, pulse)
  assert.equal(sender.full, true)
  // What did come near to it makes it grow.
  sender.arrived((total += 500_000))
  for (let i = 0; i < 20; i++) pass(380_000)
  sender.hurry()
  sender.sent(500_000, pulse)
  assert.equal(sender.full, false)
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
