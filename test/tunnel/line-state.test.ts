// What a line says of itself while it looks for another path and afterwards, in virtual time.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { two, type World, whole, world } from './line-pair.ts'

const said = ({ client }: World) => [client.report.state, client.report.paths.length]

describe('what a line says of itself', () => {
  it('is suspected while its path brings something, and interrupted without a path when it does not', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.connections[0].up.stalled = true
    w.near.send(100)
    w.client.suspect('the network changed')
    for (let i = 0; i < 15; i++) {
      w.far.send(10)
      await w.time.run(200)
      assert.deepEqual(said(w), ['suspected', 1])
    }
    await w.time.run(1_300)
    assert.deepEqual(said(w), ['interrupted', 0])
    w.far.send(10)
    await w.time.run(300)
    assert.deepEqual(said(w), ['suspected', 1])
    w.connections[0].up.stalled = false
    w.connections[0].up.flush()
    await w.time.run(300)
    assert.deepEqual(said(w), ['open', 1])
  })

  it('is interrupted as soon as the path that was suspected is lost', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.client.suspect('the network changed')
    w.connections[0].down.stalled = true
    await w.time.run(20)
    assert.deepEqual(said(w), ['suspected', 1])
    w.connections[0].cut()
    await w.time.run(1)
    assert.deepEqual(said(w), ['interrupted', 0])
    assert.equal(w.client.report.cause, 'the network changed')
  })

  it('counts a gap from when bytes began to wait, or a probe', async () => {
    for (const bytes of [1_000, 0]) {
      const w = await world()
      await w.time.run(2_000)
      Object.assign(w.connections[0].up, { stalled: true })
      const probed = () => w.connections[0].up.seen.length
      const before = probed()
      if (bytes > 0) w.near.send(bytes)
      else assert.ok(await w.time.runUntil(() => probed() > before, 5_000))
      const begun = w.time.now()
      assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 3_000))
      const { ms } = w.client.report.lastGap!
      assert.ok(ms > 1_000 && Math.abs(ms - (w.time.now() - begun)) < 30, `${ms} ms`)
    }
  })

  it('tells of no gap when a path answers at once that was suspected for a change of the network', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.client.suspect('the network changed')
    await w.time.run(500)
    assert.deepEqual([w.client.report.state, w.client.report.lastGap], ['open', undefined])
    // Nor does it take the place of a true one, although bytes are on their way.
    w.dialling.hangs = false
    w.connections[0].cut()
    w.near.send(10)
    assert.ok(await w.time.runUntil(() => whole(w) && w.client.report.state === 'open', 1_000))
    const gap = w.client.report.lastGap
    assert.match(gap!.cause, /cut/)
    w.dialling.hangs = true
    w.near.send(10)
    w.client.suspect('the network changed')
    await w.time.run(500)
    assert.deepEqual([w.client.report.state, w.client.report.lastGap], ['open', gap])
  })

  it('is suspected while one of two paths brings something', async () => {
    const w = await two()
    w.dialling.hangs = true
    for (const { up } of w.connections) up.stalled = true
    w.connections[0].down.stalled = true
    w.client.suspect('the network changed')
    for (let i = 0; i < 10; i++) {
      w.far.send(10)
      await w.time.run(300)
      assert.deepEqual(said(w), ['suspected', 2])
    }
  })

  it('counts a gap from when the path was lost, or from the first bytes that waited after it was suspected', async () => {
    for (const cut of [true, false]) {
      const w = await world()
      const [connection] = w.connections
      w.dialling.hangs = true
      connection.up.stalled = true
      if (cut) connection.cut()
      else w.client.suspect('the network changed')
      const lost = w.time.now()
      await w.time.run(400)
      if (!cut) w.near.send(10)
      const begun = cut ? lost : w.time.now()
      w.dialling.hangs = false
      assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 2_000))
      const { ms } = w.client.report.lastGap!
      assert.ok(Math.abs(ms - (w.time.now() - begun)) < 5, `${ms} ms`)
    }
  })

  it('tells of no gap when nothing had waited for the path that took the place of a suspected one', async () => {
    const w = await world()
    w.connections[0].down.stalled = true
    w.client.suspect('the network changed')
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 1_000))
    assert.equal(w.client.report.lastGap, undefined)
  })

  it('tells of a gap when the path that was suspected answers after more than a second', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.connections[0].down.stalled = true
    w.client.suspect('the network changed')
    await w.time.run(2_000)
    w.connections[0].down.stalled = false
    w.connections[0].down.flush()
    await w.time.run(100)
    assert.equal(w.client.report.state, 'open')
    assert.ok(Math.abs(w.client.report.lastGap!.ms - 2_000) < 20)
  })
})
