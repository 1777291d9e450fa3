// Two paths of a line, by themselves: which gets a frame, and when one has fallen behind, is dead or is tried again. Times and
// sizes are those of docs/understand/line.md, "Two paths at once".
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Stripe } from '../../src/tunnel/line/stripe.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { fine, LONG, two, whole } from './line-pair.ts'

const KIB = 1024

interface Fake {
  sent: number
  pending: number
  heardAt: number
}

class Pair {
  readonly time = new VirtualTime()
  readonly first: Fake = { sent: 0, pending: 0, heardAt: 0 }
  readonly second: Fake = { sent: 0, pending: 0, heardAt: 0 }
  /** What was sent again: from which, and when. */
  readonly again: [from: Fake, at: number][] = []
  readonly givenUp: [path: Fake, why: string][] = []
  readonly stripe: Stripe
  /** How often it was said that the next message may be sent. */
  readied = 0
  /** Bytes that are sent again, when something is. */
  lost = 0

  constructor() {
    this.stripe = new Stripe(asPath(this.first), asPath(this.second), {
      clock: this.time,
      retransmit: (from, to) => {
        this.again.push([asFake(from), this.time.now()])
        to.sent += this.lost
      },
      giveUp: (path, why) => {
        this.givenUp.push([asFake(path), why])
        this.stripe.close()
      },
      onReady: () => void this.readied++,
    })
  }

  send(path: Fake, size: number): void {
    path.sent += size
    this.stripe.sent(asPath(path), size)
  }

  acked(path: Fake, arrived = path.sent): void {
    path.heardAt = this.time.now()
    this.stripe.acked(asPath(path), arrived)
  }

  /** A frame that is alone on its way takes `ms`. */
  async alone(path: Fake, size: number, ms: number): Promise<void> {
    this.send(path, size)
    await this.time.run(ms)
    this.acked(path)
  }
}

const asPath = (fake: Fake) => fake as LinePath
const asFake = (path: LinePath) => path as Fake

describe('the choice between two paths', () => {
  it('is for the one on which a frame should arrive first, and waits for that one when its socket is busy', async () => {
    const pair = new Pair()
    const { first, second, stripe } = pair
    await pair.alone(first, 100 * KIB, 100)
    await pair.alone(second, 100 * KIB, 20)
    assert.equal(stripe.choose(KIB), second)
    second.pending = 1
    assert.equal(stripe.ready, false)
    first.pending = 1
    second.pending = 0
    assert.equal(stripe.ready, true)
    // What is in flight there makes the other one better.
    pair.send(second, 2_000 * KIB)
    assert.equal(stripe.choose(KIB), first)
  })
})

describe('a stripe', () => {
  it('looks at its paths while something is in flight, and says each time that the choice may be another', async () => {
    const pair = new Pair()
    pair.send(pair.first, KIB)
    await pair.time.run(60)
    assert.equal(pair.readied, 1)
    pair.acked(pair.first)
    assert.equal(pair.readied, 2)
    await pair.time.run(50)
    assert.equal(pair.time.pending, 0)
    pair.send(pair.second, KIB)
    pair.stripe.close()
    assert.equal(pair.time.pending, 0)
  })
})

describe('bytes that are late on one path', () => {
  it('are sent again over the other one after three times what frames take there, and 100 ms at least', async () => {
    for (const [tripMs, limit] of [
      [10, 100],
      [60, 180],
    ]) {
      const pair = new Pair()
      await pair.alone(pair.second, KIB, tripMs)
      pair.send(pair.first, KIB)
      const begun = pair.time.now()
      await pair.time.run(500)
      const [[from, at]] = pair.again
      assert.equal(from, pair.first)
      assert.ok(at - begun > limit && at - begun <= limit + 50, `${at - begun} ms`)
      assert.equal(pair.again.length, 1, 'the same bytes once')
    }
  })

  it('are not while the other one has something in flight', async () => {
    const pair = new Pair()
    await pair.alone(pair.second, KIB, 10)
    pair.send(pair.first, KIB)
    pair.send(pair.second, KIB)
    await pair.time.run(400)
    assert.deepEqual(pair.again, [])
    pair.acked(pair.second)
    await pair.time.run(100)
    assert.equal(pair.again.length, 1)
  })

  it('are in flight on the other one from then on, and not since that one brought something last', async () => {
    const pair = new Pair()
    pair.lost = 300 * KIB
    await pair.alone(pair.second, KIB, 10)
    await pair.time.run(10_000)
    pair.send(pair.first, 300 * KIB)
    await pair.time.run(200)
    assert.equal(pair.again.length, 1)
    pair.first.heardAt = pair.time.now()
    await pair.time.run(100)
    assert.deepEqual(pair.givenUp, [])
    pair.acked(pair.second)
    await pair.time.run(1_000)
    assert.deepEqual(
      pair.givenUp.map((each) => each[0]),
      [pair.first],
    )
  })
})

describe('a path that brings no news of what is in flight', () => {
  it('is given up after a second, or four round trips of the slower one', async () => {
    for (const [first, second, limit] of [
      [20, 20, 1_000],
      [20, 400, 1_600],
      [400, 20, 1_600],
    ]) {
      const pair = new Pair()
      await pair.alone(pair.first, KIB, first)
      await pair.alone(pair.second, KIB, second)
      pair.send(pair.first, KIB)
      const begun = pair.time.now()
      pair.second.heardAt = begun + 1
      await pair.time.runUntil(() => pair.givenUp.length > 0, 5_000)
      const after = pair.time.now() - begun
      assert.ok(after > limit && after <= limit + 50, `${after} ms`)
      assert.equal(pair.givenUp[0][0], pair.first)
      assert.match(pair.givenUp[0][1], /^nothing was acknowledged on it for 1\.\d s$/)
    }
  })

  it('is not given up while the other one is silent, too', async () => {
    const pair = new Pair()
    await pair.time.run(1_000)
    pair.second.heardAt = 1_000
    pair.send(pair.first, KIB)
    await pair.time.run(20_000)
    assert.deepEqual(pair.givenUp, [])
    pair.second.heardAt = 20_000
    await pair.time.run(60)
    assert.equal(pair.givenUp.length, 1)
  })

  it('is not given up when something has waited there for a moment only', async () => {
    const pair = new Pair()
    await pair.alone(pair.first, KIB, 20)
    await pair.time.run(10_000)
    pair.send(pair.first, KIB)
    pair.second.heardAt = pair.time.now() + 1
    await pair.time.run(500)
    assert.deepEqual(pair.givenUp, [])
  })
})

describe('a path that was left out', () => {
  it('gets a copy of a large frame after two seconds, when it has nothing to do', async () => {
    const pair = new Pair()
    const { first, second, stripe, time } = pair
    const untried = (size = 64 * KIB) => stripe.untried(asPath(first), size)
    await time.run(2_000)
    assert.equal(untried(), undefined)
    await time.run(1)
    assert.equal(untried(64 * KIB - 1), undefined)
    assert.equal(untried(), second)
    second.pending = 1
    assert.equal(untried(), undefined)
    second.pending = 0
    pair.send(second, KIB)
    assert.equal(untried(), undefined)
    pair.acked(second)
    assert.equal(untried(), second, 'a small frame tells nothing')
    pair.send(second, 64 * KIB)
    pair.acked(second)
    assert.equal(untried(), undefined)
    assert.equal(stripe.untried(asPath(second), 64 * KIB), first)
  })

  it('may bring the copy long before the frame: the memory of that one is not used for others', async () => {
    const w = await two(1, LONG)
    // The second one is left out, since it is slow.
    w.connections[1].down.rate = 400
    const busy = async (ms: number) => {
      for (let i = 0; i < ms / 10; i++) {
        if (w.far.transport.buffered < 600_000) w.far.send(200_000)
        await w.time.run(10)
      }
    }
    await busy(4_000)
    assert.ok(await w.time.runUntil(() => whole(w), 5_000))
    await w.time.run(2_500)
    // Then the first one becomes slow, which nobody knows yet, and the second one fast.
    Object.assign(w.connections[0].down, { rate: 200, buffer: 0 })
    Object.assign(w.connections[1].down, { rate: LONG.rate })
    for (const { down } of w.connections) down.seen.length = 0
    w.far.send(131_000)
    await w.time.run(60)
    const carried = w.connections.map(({ down }) => down.seen.reduce((sum, { length }) => sum + length, 0))
    assert.ok(carried[0] > 0 && carried[0] < 20_000 && carried[1] > 131_000, String(carried))
    assert.ok(whole(w), 'the copy has come')
    assert.ok(!w.connections[0].over)
    await busy(600)
    assert.ok(await w.time.runUntil(() => whole(w), 3_000))
    assert.ok(fine(w))
  })
})

describe('bytes that were sent again over the other path', () => {
  it('lie in memory that is not used for others while the socket of the first one still has it', async () => {
    const w = await two(1, LONG)
    for (let i = 0; i < 60; i++) {
      w.far.send(400_000)
      await w.time.run(10)
    }
    await w.time.run(500)
    assert.ok(whole(w))
    for (const { down } of w.connections) Object.assign(down, { rate: 100, buffer: 0 })
    w.far.send(131_000)
    await w.time.run(1)
    const [slow] = w.agent.paths.map(({ pending }, i) => (pending > 0 ? i : -1)).filter((i) => i >= 0)
    const [late, other] = slow === 0 ? w.connections : w.connections.toReversed()
    Object.assign(other.down, { rate: LONG.rate, buffer: LONG.buffer })
    assert.ok(await w.time.runUntil(() => whole(w), 400))
    // The next messages go over the other one, in the memory that is free.
    for (let i = 0; i < 40; i++) {
      w.far.send(131_000)
      await w.time.run(10)
    }
    assert.ok(!late.over && w.agent.isStriped)
    assert.ok(await w.time.runUntil(() => whole(w), 3_000))
    assert.ok(fine(w))
  })
})

describe('of two paths, the quieter one', () => {
  it('is the one that has brought something earlier', () => {
    const { first, second, stripe } = new Pair()
    first.heardAt = 1
    assert.equal(stripe.quieter, second)
    second.heardAt = 2
    assert.equal(stripe.quieter, first)
  })
})
