// What is known of one of two paths from what PATH_ACK tells: docs/understand/line.md, "Which path".
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LinePath } from '../../src/tunnel/line/line-path.ts'
import { PathFlight } from '../../src/tunnel/line/path-flight.ts'

const KB = 1_000

/** A path that had carried `before` bytes when there were two, at 0 ms. */
function flightOf(before = 0) {
  const path = { sent: before } as LinePath
  const flight = new PathFlight(path, 0)
  return {
    flight,
    send(size: number, now: number) {
      path.sent += size
      flight.sent(size, now)
    },
    /** One frame that is alone on the way takes `ms`. */
    alone(size: number, from: number, ms: number) {
      this.send(size, from)
      flight.acked(path.sent, from + ms)
    },
  }
}

describe('what is in flight on a path', () => {
  it('begins with the JOIN, since PATH_ACK may never tell of what was sent before', () => {
    const { flight, send } = flightOf(500 * KB)
    assert.equal(flight.bytes, 0)
    send(10 * KB, 5)
    assert.equal(flight.bytes, 10 * KB)
    // News about bytes from before the JOIN are news.
    flight.acked(400 * KB, 50)
    assert.deepEqual([flight.bytes, flight.progressAt, flight.tripMs], [10 * KB, 50, 0])
    flight.acked(510 * KB, 60)
    assert.deepEqual([flight.bytes, flight.progressAt, flight.tripMs], [0, 60, 55])
    // The same again is no news.
    flight.acked(510 * KB, 70)
    assert.equal(flight.progressAt, 60)
    assert.throws(() => flight.acked(510 * KB + 1, 80), RangeError)
  })

  it('waits since something was sent while nothing was in flight', () => {
    const { flight, send } = flightOf()
    send(KB, 1_000)
    send(KB, 1_200)
    assert.deepEqual([flight.progressAt, flight.waited(1_300), flight.waited(1_300, KB)], [1_000, 300, 100])
    flight.acked(2 * KB, 1_400)
    assert.equal(flight.waited(1_500), 0)
    send(KB, 9_000)
    assert.equal(flight.progressAt, 9_000)
  })
})

describe('when a frame should arrive', () => {
  it('is at once on a path of which nothing is known, until a quarter of a megabyte is in flight', () => {
    const { flight, send } = flightOf()
    assert.equal(flight.arrivesIn(100 * KB, 0), 0)
    send(262_143, 0)
    assert.equal(flight.arrivesIn(100 * KB, 30), 30)
    send(1, 0)
    assert.equal(flight.arrivesIn(100 * KB, 30), Number.POSITIVE_INFINITY)
  })

  it('is what is in flight divided by the rate, once a queue was seen', () => {
    const { flight, send } = flightOf()
    for (let i = 0; i < 10; i++) send(100 * KB, 0)
    // The first frame takes 50 ms, and one comes each 10 ms from then on: 10 KB per ms.
    for (let i = 0; i < 10; i++) flight.acked((i + 1) * 100 * KB, 50 + 10 * i)
    assert.equal(flight.tripMs, 50)
    const rate = (1_000 * KB) / 140
    send(1_000 * KB, 200)
    assert.equal(Math.round(flight.arrivesIn(0, 200)), Math.round((1_000 * KB) / rate))
  })

  it('allows twice as much in flight on a path on which no frame has waited', () => {
    const one = flightOf()
    one.alone(100 * KB, 0, 50)
    assert.equal(one.flight.arrivesIn(200 * KB, 100), 50)
    assert.ok(one.flight.arrivesIn(201 * KB, 100) > 50)
    // A frame that has waited in a queue says that the rate is what it is.
    one.send(200 * KB, 100)
    one.flight.acked(300 * KB, 163)
    assert.ok(one.flight.arrivesIn(300 * KB, 200) > 50)
  })

  it('believes a higher rate at once and a lower one by a quarter', () => {
    const rateOf = ({ flight }: ReturnType<typeof flightOf>) => {
      // Far more than may be in flight: the rate is what each byte more costs.
      const [more, most] = [flight.arrivesIn(1_000_000 * KB, 1e6), flight.arrivesIn(2_000_000 * KB, 1e6)]
      return (1_000_000 * KB) / (most - more)
    }
    const one = flightOf()
    one.alone(100 * KB, 0, 100)
    assert.equal(Math.round(rateOf(one)), KB)
    one.alone(500 * KB, 200, 100)
    assert.equal(Math.round(rateOf(one)), 5 * KB)
    one.alone(100 * KB, 400, 100)
    assert.equal(Math.round(rateOf(one)), 4 * KB)
  })

  it('is no sooner than what has waited on it', () => {
    const one = flightOf()
    one.alone(KB, 0, 20)
    one.send(KB, 100)
    assert.equal(one.flight.arrivesIn(KB, 110), 20)
    assert.equal(one.flight.arrivesIn(KB, 400), 300)
  })

  it('is finite also when the news came in no time', () => {
    const one = flightOf()
    one.alone(KB, 0, 0)
    assert.ok(one.flight.arrivesIn(100 * KB, 10) < 10)
    one.send(100_000 * KB, 10)
    assert.ok(one.flight.arrivesIn(100 * KB, 10) > 1_000)
  })

  it('forgets the least time after ten seconds, because the way may be another one', () => {
    const one = flightOf()
    one.alone(KB, 0, 20)
    one.alone(KB, 5_000, 80)
    assert.equal(one.flight.tripMs, 20)
    one.alone(KB, 9_900, 80)
    assert.equal(one.flight.tripMs, 20)
    one.alone(KB, 9_950, 80)
    assert.equal(one.flight.tripMs, 80)
  })
})

describe('when a path was tried', () => {
  it('counts frames from 64 KiB on', () => {
    const { flight, send } = flightOf()
    send(65_535, 500)
    assert.equal(flight.triedAt, 0)
    send(65_536, 600)
    assert.equal(flight.triedAt, 600)
  })
})
