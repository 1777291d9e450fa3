// The frame channel's frames, the windows and the gatherer: pure parts, by property where there is one.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { failureOfOpen } from '../../src/tunnel/agent-protocol/failure.ts'
import {
  decodeAddress,
  encodeAddress,
  encodeFrame,
  FrameReader,
  MAX_FRAME,
} from '../../src/tunnel/agent-protocol/frames.ts'
import { INITIAL_WINDOW, MAX_WINDOW, ReceiveWindow, WindowBudget } from '../../src/tunnel/ssh/window.ts'
import { type Departure, Gatherer, type Sink } from '../../src/tunnel/transport/gatherer.ts'
import { IpAddress } from '../../src/wire/address.ts'

describe('control frames', () => {
  it('come out the same however the stream is cut', () => {
    const frame = fc.record({
      type: fc.integer({ min: 0, max: 255 }),
      id: fc.integer({ min: 0, max: 0xffffffff }),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.integer({ min: 0, max: 65_507 }).map((n) => new Uint8Array(n)),
      ),
    })
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 5000 })), (frames, cuts) => {
        const stream = Buffer.concat(frames.map(({ type, id, body }) => encodeFrame(type, id, body)))
        const got: { type: number; id: number; body: Uint8Array }[] = []
        const reader = new FrameReader((type, id, body) => got.push({ type, id, body: Uint8Array.from(body) }))
        let p = 0
        for (const cut of [...cuts, stream.length]) {
          reader.push(stream.subarray(p, p + cut))
          p += cut
        }
        // fast-check's records have no prototype.
        assert.deepEqual(
          got,
          frames.map((frame) => ({ ...frame })),
        )
      }),
      { numRuns: 100 },
    )
  })

  it('of impossible length are refused', () => {
    const reader = new FrameReader(() => assert.fail())
    assert.throws(() => reader.push(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])), RangeError)
    const long = Buffer.alloc(4)
    long.writeUInt32BE(MAX_FRAME + 1)
    assert.throws(() => new FrameReader(() => assert.fail()).push(long), RangeError)
    assert.throws(() => new FrameReader(() => assert.fail()).push(Buffer.from([0, 0, 0, 1, 1])), RangeError)
  })

  it('carry addresses of both families, and say when there is none', () => {
    for (const text of ['10.244.1.7', 'fd00:10:244::7']) {
      const bytes = encodeAddress(IpAddress.parse(text))
      assert.equal(decodeAddress(bytes, 0)?.address.toString(), text)
      assert.equal(decodeAddress(bytes.subarray(0, -1), 0), undefined)
    }
    assert.equal(decodeAddress(Uint8Array.of(5, 1, 2, 3, 4), 0), undefined)
  })
})

describe('dial failures', () => {
  it('are known by errno and by OpenSSH’s words', () => {
    assert.equal(failureOfOpen(2, 'ECONNREFUSED: connect ECONNREFUSED 10.0.0.1:1'), 'refused')
    assert.equal(failureOfOpen(2, 'Connection refused'), 'refused')
    assert.equal(failureOfOpen(2, 'EHOSTUNREACH: connect'), 'host-unreachable')
    assert.equal(failureOfOpen(2, 'No route to host'), 'host-unreachable')
    assert.equal(failureOfOpen(2, 'Network is unreachable'), 'net-unreachable')
    assert.equal(failureOfOpen(2, 'ETIMEDOUT: connect'), 'timeout')
    assert.equal(failureOfOpen(2, 'Connection timed out'), 'timeout')
    assert.equal(failureOfOpen(1, 'open failed'), 'prohibited')
  })
})

describe('receive window', () => {
  /** Consumes at `rate` bytes a ms for `ms`; returns what was given back. */
  function consume(window: ReceiveWindow, clock: { now: number }, rate: number, ms: number): number {
    let given = 0
    for (let i = 0; i < ms; i++) {
      clock.now++
      given += window.consumed(rate)
    }
    return given
  }

  it('grows until the line is no longer limited by it: 83 MB/s at 40 ms', () => {
    const clock = { now: 0 }
    const budget = new WindowBudget({ now: () => clock.now, after: () => () => {} })
    budget.roundTripMs = 40
    const window = new ReceiveWindow(budget)
    // A window-limited sender: one window each round trip, at most the line's 83 kB a ms.
    for (let round = 0; round < 30; round++) consume(window, clock, Math.min(83_000, window.size / 40), 40)
    assert.ok(window.size / 40 >= 83_000, `${window.size} bytes`)
    assert.ok(window.size <= MAX_WINDOW)
  })

  it('never grows beyond 16 MiB, and gives back what it took', () => {
    const clock = { now: 0 }
    const budget = new WindowBudget({ now: () => clock.now, after: () => () => {} })
    const window = new ReceiveWindow(budget)
    for (let round = 0; round < 40; round++) consume(window, clock, window.size, 1)
    assert.equal(MAX_WINDOW, 16 * 2 ** 20)
    assert.ok(window.size <= MAX_WINDOW && 2 * window.size > MAX_WINDOW, `${window.size} bytes`)
    assert.equal(budget.left, 64 * 2 ** 20 - (window.size - INITIAL_WINDOW))
    consume(window, clock, 1000, 600_000)
    assert.equal(window.size, INITIAL_WINDOW)
    assert.equal(budget.left, 64 * 2 ** 20)
  })

  it('stays small for a slow flow, and shrinks again when one has become slow', () => {
    const clock = { now: 0 }
    const budget = new WindowBudget({ now: () => clock.now, after: () => () => {} })
    budget.roundTripMs = 1
    const window = new ReceiveWindow(budget)
    consume(window, clock, 1000, 3000)
    assert.equal(window.size, INITIAL_WINDOW)
    consume(window, clock, 1_000_000, 50)
    const grown = window.size
    assert.ok(grown > INITIAL_WINDOW)
    consume(window, clock, 1000, 60_000)
    assert.equal(window.size, INITIAL_WINDOW)
    assert.equal(budget.left, 64 * 2 ** 20)
  })

  it('never gives more credit than its size, and all growth stays in the budget', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ ms: fc.integer({ min: 0, max: 50 }), share: fc.double({ min: 0, max: 1, noNaN: true }) })),
        (steps) => {
          const clock = { now: 0 }
          const budget = new WindowBudget({ now: () => clock.now, after: () => () => {} }, 1024 * 1024)
          const window = new ReceiveWindow(budget)
          let credit = INITIAL_WINDOW
          for (const { ms, share } of steps) {
            clock.now += ms
            const bytes = Math.floor(credit * share)
            credit -= bytes
            credit += window.consumed(bytes)
            assert.ok(credit <= Math.max(window.size, INITIAL_WINDOW) && credit >= 0)
            assert.ok(window.size - INITIAL_WINDOW <= 1024 * 1024 - budget.left)
          }
          window.release()
          assert.equal(budget.left, 1024 * 1024)
        },
      ),
    )
  })
})

/** Takes every message at once, and keeps its length. */
function line() {
  const out: number[] = []
  const sink: Sink = (message, done) => {
    out.push(message.length)
    done()
    return undefined
  }
  return { out, sink }
}

describe('gatherer', () => {
  it('sends everything once and in order, whether reserved or written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            size: fc.oneof(fc.integer({ min: 1, max: 200_000 }), fc.integer({ min: 1, max: 100 })),
            reserved: fc.boolean(),
            unhurried: fc.boolean(),
            pause: fc.boolean(),
          }),
          { maxLength: 20 },
        ),
        fc.constantFrom<Departure>('callback', 'turn'),
        async (writes, departure) => {
          const out: Buffer[] = []
          const sink: Sink = (message, done) => {
            out.push(Buffer.from(message))
            setImmediate(done)
            return undefined
          }
          const gatherer = new Gatherer(sink, { departure })
          const wanted: Buffer[] = []
          let value = 0
          for (const { size, reserved, unhurried, pause } of writes) {
            const length = reserved ? Math.min(size, 35_000) : size
            value = (value + 1) & 255
            const chunk = reserved ? gatherer.reserve(length) : Buffer.alloc(length)
            chunk.fill(value)
            wanted.push(Buffer.from(chunk))
            if (unhurried) gatherer.unhurried(() => gatherer.write(chunk))
            else gatherer.write(chunk)
            if (pause) await new Promise((resolve) => setImmediate(resolve))
          }
          await new Promise<void>((resolve) => gatherer.whenEmpty(resolve))
          assert.equal(gatherer.buffered, 0)
          assert.ok(Buffer.concat(out).equals(Buffer.concat(wanted)))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('gathers what is written in one turn', async () => {
    const out: number[] = []
    const gatherer = new Gatherer((message, done) => {
      out.push(message.length)
      setImmediate(done)
      return undefined
    })
    for (let i = 0; i < 10; i++) gatherer.write(Buffer.alloc(50))
    await new Promise<void>((resolve) => gatherer.whenEmpty(resolve))
    assert.deepEqual(out, [500])
  })

  it('sends small writes of several callbacks together, where it may wait for the end of the turn', async () => {
    const byDeparture = { callback: [100, 100, 100], turn: [300] }
    for (const [departure, expected] of Object.entries(byDeparture)) {
      const { out, sink } = line()
      const gatherer = new Gatherer(sink, { departure: departure as Departure })
      // Timers that are due together: callbacks of one turn.
      for (let i = 0; i < 3; i++) setTimeout(() => gatherer.write(Buffer.alloc(100)), 1)
      const until = performance.now() + 3
      while (performance.now() < until);
      await new Promise((resolve) => setTimeout(resolve, 20))
      assert.deepEqual(out, expected)
    }
  })

  it('sends bulk at once', async () => {
    const { out, sink } = line()
    const gatherer = new Gatherer(sink, { departure: 'turn' })
    gatherer.write(Buffer.alloc(40_000))
    await new Promise<void>((resolve) => process.nextTick(resolve))
    assert.deepEqual(out, [40_000])
  })

  it('sends an unhurried write together with the next write, or alone after a while', async () => {
    const { out, sink } = line()
    const gatherer = new Gatherer(sink)
    gatherer.unhurried(() => gatherer.write(Buffer.alloc(30)))
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(out, [])
    gatherer.write(Buffer.alloc(100))
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(out, [130])
    gatherer.unhurried(() => gatherer.write(Buffer.alloc(30)))
    await new Promise<void>((resolve) => gatherer.whenEmpty(resolve))
    assert.deepEqual(out, [130, 30])
  })
})
