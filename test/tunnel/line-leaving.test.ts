// What becomes of the paths that a client does not need any more.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isStriped, LONG, type Shape, two, whole, world } from './line-pair.ts'

describe('a path that another one took the place of', () => {
  it('is closed by the client, one of two as well', async () => {
    for (const paths of [1, 2]) {
      const w = paths === 1 ? await world(1, true, 1e9, { shape: LONG }) : await two(1, LONG)
      const before = [...w.connections]
      for (const { up } of before) up.stalled = true
      w.client.suspect('the network changed')
      assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 1_000))
      for (const { up } of before) {
        up.stalled = false
        up.flush()
      }
      await w.time.run(100)
      assert.ok(before.every(({ over }) => over))
    }
  })

  it('is kept for a while when it was left because it will be ended', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    w.dialling.lifetimeMs = 20_000
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.client.report.moves === 1, 20_000))
    await w.time.run(1_000)
    assert.ok(!w.connections[1].over)
    w.near.transport.end()
    await w.time.run(100)
    assert.ok(w.connections.every(({ over }) => over))
  })
})

describe('an attempt that is under way', () => {
  const slow: Shape = { ...LONG, delayMs: 150 }

  it('closes the connection that it gets when nobody wants it any more', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    w.dialling.dialMs = 1_000
    w.client.suspect('the network changed')
    await w.time.run(200)
    assert.equal(w.client.report.state, 'open')
    await w.time.run(2_000)
    assert.equal(w.connections.length, 2)
    assert.ok(w.connections[1].over)
    assert.ok(!w.connections[0].over)
  })

  it('is given up when the line ends: a search, a second path and a move', async () => {
    const search = await world(1, true, 1e9, { shape: slow })
    search.dialling.hangs = true
    search.client.suspect('the network changed')

    const second = await world(1, true, 1e9, { paths: 2, shape: LONG })
    second.dialling.hangs = true
    await second.time.run(500)

    const move = await world(1, true, 1e9, { shape: LONG })
    move.dialling.lifetimeMs = 20_000
    move.connections[0].cut()
    assert.ok(await move.time.runUntil(() => move.client.report.resumptions === 1, 1_000))
    move.dialling.hangs = true
    assert.ok(await move.time.runUntil(() => move.log.some((line) => /will be ended/.test(line)), 20_000))

    for (const w of [search, second, move]) {
      assert.equal(w.dials.at(-1)!.givenUpAt, undefined)
      w.near.transport.destroy()
      assert.equal(w.dials.at(-1)!.givenUpAt, w.time.now())
      await w.time.run(1_000)
      assert.ok(w.near.closed && w.connections.every(({ over }) => over))
    }
  })
})

describe('a line that has ended', () => {
  it('has ended well when END was said, whatever happens to the path that carries it', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    Object.assign(w.connections[0].up, { rate: 0.01, buffer: 0 })
    w.near.transport.end()
    await w.time.run(10)
    Object.assign(w.dialling, { fails: true, alive: false })
    w.connections[0].cut()
    await w.time.run(1_000)
    assert.deepEqual(w.near.closed, { error: undefined })
  })
})

describe('a path over which bytes are sent again', () => {
  it('is not suspected for the time that they had waited before', async () => {
    const w = await world(1, true, 1e9, { shape: { ...LONG, delayMs: 250 } })
    await w.time.run(2_000)
    w.dialling.hangs = true
    w.connections[0].cut()
    w.near.send(1_000)
    await w.time.run(8_000)
    w.dialling.hangs = false
    assert.ok(await w.time.runUntil(() => whole(w), 3_000))
    await w.time.run(5_000)
    assert.equal(w.client.report.resumptions, 1)
    assert.equal(w.log.filter((line) => /suspected|interrupted/.test(line)).length, 1)
    assert.ok(!isStriped(w))
  })
})
