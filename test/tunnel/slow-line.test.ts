// A line over slow connections, in virtual time: what waits in a queue is not taken for what is lost.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fine, whole, world } from './line-pair.ts'

describe('a line over a slow connection', () => {
  it('resumes once when the round trip is longer than the pause between attempts', async () => {
    const w = await world(1, true, 1e9, { shape: { rate: 1_000, buffer: 100_000, delayMs: 200 } })
    await w.time.run(1_000)
    w.far.send(4e6)
    await w.time.run(1_500)
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => whole(w), 60_000))
    await w.time.run(2_000)
    assert.ok(fine(w))
    assert.equal(w.client.report.resumptions, 1)
    assert.equal(w.connections.length, 2)
  })

  it('knows the round trip of each path from the beginning, since attempts and limits depend on it', async () => {
    const w = await world(1, true, 1e9, { shape: { rate: 1_000, buffer: 100_000, delayMs: 5 } })
    await w.time.run(20)
    assert.equal(Math.round(w.client.report.roundTripMs!), 10)
    w.dialling.shape = { rate: 1_000, buffer: 100_000, delayMs: 300 }
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 2_000))
    assert.equal(Math.round(w.client.report.roundTripMs!), 600)
  })

  it('is not suspected while its acknowledgements stand in the queue of a download', async () => {
    const w = await world(1, true, 1e9, { shape: { rate: 100, buffer: 2e6, delayMs: 25 } })
    w.far.send(1e6)
    for (let i = 0; i < 30; i++) {
      w.near.send(100)
      await w.time.run(300)
      assert.equal(w.client.report.state, 'open')
    }
    assert.ok(await w.time.runUntil(() => whole(w), 5_000))
    assert.ok(fine(w))
    assert.equal(w.client.report.resumptions, 0)
  })

  it('is suspected although something comes now and then, when nothing is acknowledged for long', async () => {
    const w = await world()
    w.connections[0].up.stalled = true
    w.near.send(100)
    const trickle = async (ms: number) => {
      for (let waited = 0; waited < ms; waited += 200) {
        w.far.send(10)
        await w.time.run(200)
      }
    }
    await trickle(9_000)
    assert.equal(w.client.report.resumptions, 0)
    await trickle(3_000)
    assert.equal(w.client.report.resumptions, 1)
  })
})
