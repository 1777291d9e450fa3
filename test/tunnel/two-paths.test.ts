// A line over two paths at once, in virtual time: which path carries what, and thousands of schedules of cuts and stalls.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MAX_PAYLOAD } from '../../src/tunnel/line/frames.ts'
import { isProven, readResume, readResumed, resumeBody, resumedBody } from '../../src/tunnel/line/proof.ts'
import { MOST_UNACKED } from '../../src/tunnel/line/sender.ts'
import { fine, isStriped, LONG, two, type World, whole, world } from './line-pair.ts'
import { runSchedule, seeds } from './line-schedule.ts'
import type { Connection } from './line-world.ts'

/** How long it takes until `bytes` have come to `who`, ms. They are written as there is room. */
async function transfer(w: World, from: 'near' | 'far', bytes: number): Promise<number> {
  const [sender, receiver] = from === 'near' ? [w.near, w.far] : [w.far, w.near]
  const { sent } = sender
  const fill = () => {
    while (sender.sent < sent + bytes && sender.transport.buffered < 512 * 1024) sender.send(32 * 1024)
  }
  sender.transport.onDrain = fill
  const begun = w.time.now()
  fill()
  assert.ok(await w.time.runUntil(() => receiver.got >= sent + bytes, 600_000), 'it does not come to an end')
  assert.ok(fine(w), w.near.wrong ?? w.far.wrong)
  return w.time.now() - begun
}

/** What was sent over a direction of a connection since it was asked last. */
function carried(pipe: Connection['up']): number {
  const bytes = pipe.seen.reduce((sum, { length }) => sum + length, 0)
  pipe.seen.length = 0
  return bytes
}

const MB = 1_000_000

describe('two paths at once', () => {
  it('carry bulk nearly twice as fast as one, in both directions', async () => {
    for (const from of ['near', 'far'] as const) {
      const one = await transfer(await world(1, true, 1e9, { shape: LONG }), from, 40 * MB)
      const both = await transfer(await two(1, LONG), from, 40 * MB)
      assert.ok(both < one / 1.6, `${from}: ${both} ms over two paths, ${one} ms over one`)
    }
  })

  it('are as fast as the good one alone when the other one is slow', async () => {
    for (const rate of [20_000, 4_000, 400, 40]) {
      const one = await transfer(await world(1, true, 1e9, { shape: LONG }), 'far', 80 * MB)
      const w = await two(1, LONG)
      w.connections[1].down.rate = rate
      const both = await transfer(w, 'far', 80 * MB)
      assert.ok(both < one * 1.1, `${rate} bytes per ms: ${both} ms over both, ${one} ms over the good one`)
    }
  })

  it('recover when the slow one becomes fast again', async () => {
    const w = await two(1, LONG)
    w.connections[1].down.rate = 400
    await transfer(w, 'far', 80 * MB)
    w.connections[1].down.rate = LONG.rate
    await transfer(w, 'far', 300 * MB)
    carried(w.connections[1].down)
    const took = await transfer(w, 'far', 40 * MB)
    const over = carried(w.connections[1].down)
    assert.ok(over > 12 * MB, `${over} bytes in ${took} ms`)
    assert.ok(took < 800, `${took} ms`)
  })

  it('carry small messages over the faster one', async () => {
    const w = await two(1, LONG)
    for (const { up, down } of [w.connections[0]]) up.rate = down.rate = 20
    // What is known of the paths comes from what they have carried.
    for (let i = 0; i < 100; i++) {
      w.near.send(2_000)
      await w.time.run(100)
    }
    for (const { up } of w.connections) carried(up)
    for (let i = 0; i < 50; i++) {
      w.near.send(2_000)
      await w.time.run(100)
    }
    assert.ok(whole(w) && fine(w))
    assert.ok(carried(w.connections[1].up) > 3 * carried(w.connections[0].up))
  })

  it('send the bytes of a stalled one over the other, after a second of suspicion and without a resumption', async () => {
    for (const index of [0, 1]) {
      for (const way of ['up', 'down'] as const) {
        const w = await two(3)
        w.near.send(2 * MB)
        w.far.send(2 * MB)
        await w.time.run(20)
        const stalled = w.connections[index]
        stalled[way].stalled = true
        w.near.send(2 * MB)
        w.far.send(2 * MB)
        w.dialling.hangs = true
        assert.ok(await w.time.runUntil(() => whole(w), 2_500), `path ${index}, ${way}`)
        assert.ok(fine(w))
        assert.equal(w.client.report.resumptions, 0)
        // The other end may have heard nothing of that, so both go on.
        for (let i = 0; i < 20; i++) {
          w.near.send(1_000)
          w.far.send(1_000)
          await w.time.run(400)
        }
        assert.ok(whole(w) && fine(w))
        assert.equal(w.client.report.paths.length, 1)
        assert.match(w.client.report.missingPath ?? '', /acknowledged|answered|cut|ended|no answer/)
        assert.equal(w.client.report.state, 'open')
      }
    }
  })

  it('go on over the one that is left when the other one is cut, and have a second one again a moment later', async () => {
    for (const index of [0, 1]) {
      const w = await two()
      w.near.send(3 * MB)
      w.far.send(3 * MB)
      await w.time.run(15)
      w.connections[index].cut()
      assert.ok(await w.time.runUntil(() => whole(w), 1_000))
      assert.equal(w.client.report.resumptions, 0)
      assert.equal(w.client.report.lastGap, undefined)
      assert.ok(await w.time.runUntil(() => isStriped(w), 2_500))
      assert.equal(w.client.report.missingPath, undefined)
    }
  })

  it('notice that one of them is a black hole while the line is idle', async () => {
    for (const index of [0, 1]) {
      const w = await two()
      const { up, down } = w.connections[index]
      up.stalled = down.stalled = true
      assert.ok(await w.time.runUntil(() => w.client.report.paths.length === 1, 5_000))
      assert.equal(w.client.report.state, 'open')
      assert.ok(await w.time.runUntil(() => isStriped(w), 5_000))
    }
  })

  it('resume over a new path when both are silent, within 1.5 s while there is data', async () => {
    const w = await two()
    for (const { up, down } of w.connections) up.stalled = down.stalled = true
    w.near.send(MB)
    w.far.send(MB)
    assert.ok(await w.time.runUntil(() => whole(w), 1_500))
    assert.equal(w.client.report.resumptions, 1)
    assert.ok(await w.time.runUntil(() => isStriped(w), 2_000))
  })

  it('say why there is only one when the other cannot be opened, and try again ever more rarely', async () => {
    const w = await world(1, true, 1e9, { paths: 2 })
    w.dialling.fails = true
    await w.time.run(1_000)
    assert.deepEqual(
      [w.client.report.state, w.client.report.paths.length, w.client.report.wantedPaths, w.client.report.missingPath],
      ['open', 1, 2, 'no way there'],
    )
    await w.time.run(120_000)
    const tries = w.log.filter((line) => line.startsWith('a second path: no way there'))
    assert.ok(tries.length >= 6 && tries.length <= 9, `${tries.length} tries in two minutes`)
    w.dialling.fails = false
    assert.ok(await w.time.runUntil(() => isStriped(w), 61_000))
    assert.equal(w.client.report.missingPath, undefined)
  })

  it('are not asked of an agent that cannot do it', async () => {
    const w = await world(1, true, 1e9, { paths: 2, agentPaths: 1 })
    await w.time.run(10_000)
    assert.equal(w.connections.length, 1)
    assert.match(w.client.report.missingPath!, /older kt/)
  })

  it('are proven as such: the proof of a second path cannot be used to take the line over', () => {
    const key = Buffer.alloc(32, 7)
    const attempt = { id: Buffer.alloc(16, 1), counter: 3, received: 500 }
    const join = readResume(resumeBody(key, attempt, 'join'))!
    assert.deepEqual([isProven(join, key, 'join'), isProven(join, key, 'resume')], [true, false])
    const answer = resumedBody(key, attempt, 'join')
    assert.deepEqual(
      [readResumed(answer, key, attempt, 'join'), readResumed(answer, key, attempt, 'resume')],
      [500, undefined],
    )
  })

  it('end with every byte delivered when one side ends', async () => {
    const w = await two()
    w.far.send(MB)
    w.far.transport.end()
    assert.ok(await w.time.runUntil(() => w.near.closed !== undefined, 2_000))
    assert.equal(w.near.closed!.error, undefined)
    assert.equal(w.near.got, MB)
  })

  it('hold a bounded number of early bytes while one of them stands still', async () => {
    const w = await two(1, LONG)
    w.dialling.hangs = true
    let most = 0
    // What goes over the first one is late, and both ends wait: nothing is given up while neither has news.
    const fill = () => {
      while (w.far.transport.buffered < 512 * 1024) w.far.send(32 * 1024)
      most = Math.max(most, w.client.early)
    }
    w.far.transport.onDrain = fill
    fill()
    await w.time.run(300)
    w.connections[0].down.stalled = true
    for (let i = 0; i < 100; i++) {
      await w.time.run(10)
      most = Math.max(most, w.client.early)
    }
    assert.ok(most > MB && most <= MOST_UNACKED + MAX_PAYLOAD, `${most} bytes`)
  })

  it('use no memory again that a slow socket still has', async () => {
    for (const rate of [150, 300, 1_000]) {
      const w = await two(1, LONG)
      for (const pipe of [w.connections[0].down, w.connections[1].down]) pipe.buffer = 0
      w.connections[0].down.rate = rate
      for (let i = 0; i < 80; i++) {
        w.far.send(i % 3 === 0 ? 900_000 : 4_000)
        await w.time.run(37)
      }
      assert.ok(await w.time.runUntil(() => whole(w), 30_000))
      assert.ok(fine(w), `${rate} bytes per ms`)
    }
  })

  it('deliver every byte once and in order, whatever the network does to each of them, and end with nothing left', async () => {
    for (const seed of seeds(400)) await runSchedule(seed, 2)
  })
})
