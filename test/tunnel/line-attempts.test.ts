// When a client looks for another path, how often, and for how long: docs/understand/line.md, "Suspicion".
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GREETING, LineDecoder, LineFrame } from '../../src/tunnel/line/frames.ts'
import { LONG, type Shape, type World, whole, world } from './line-pair.ts'
import type { Connection } from './line-world.ts'

/** What takes `tripMs` there and back. */
const trips = (tripMs: number): Shape => ({ ...LONG, delayMs: tripMs / 2 })

/** Dials from now on until `ms` later: when each begins, ms from now. */
async function dialsWithin(w: World, ms: number): Promise<number[]> {
  const [from, before] = [w.time.now(), w.dials.length]
  await w.time.run(ms)
  return w.dials.slice(before).map(({ at }) => Math.round(at - from))
}

/** Cuts the path that there is; resolves when there is another one, to how long the first attempt waited, ms. */
async function pauseAfterCut(w: World): Promise<number> {
  const [{ resumptions }, { length }, lost] = [w.client.report, w.dials, w.time.now()]
  w.connections.at(-1)!.cut()
  assert.ok(await w.time.runUntil(() => w.client.report.resumptions > resumptions, 10_000))
  return w.dials[length].at - lost
}

/** How many PROBEs have gone over a connection since this was asked last. */
function probes({ up }: Connection): number {
  let count = 0
  const begins = (bytes: Buffer) => bytes.subarray(0, GREETING.length).equals(GREETING)
  const decoder = new LineDecoder({
    onData() {},
    onReceived() {},
    onFrame: (type) => void (type === LineFrame.probe && count++),
  })
  for (const bytes of up.seen.splice(0)) if (!begins(bytes)) decoder.push(bytes)
  return count
}

describe('attempts at another path', () => {
  it('begin at once, four more within a second, and one every half second from then on', async () => {
    const w = await world(1, true, 1e9, { shape: trips(20) })
    w.dialling.hangs = true
    w.connections[0].cut()
    assert.deepEqual(await dialsWithin(w, 3_100), [0, 250, 500, 750, 1_000, 1_500, 2_000, 2_500, 3_000])
  })

  it('are one and a half round trips apart, and two seconds at most', async () => {
    for (const [tripMs, pause] of [
      [600, 900],
      [1_800, 2_000],
    ]) {
      const w = await world(1, true, 1e9, { shape: trips(tripMs) })
      await w.time.run(2_000)
      w.dialling.hangs = true
      w.connections[0].cut()
      assert.deepEqual(await dialsWithin(w, 2 * pause + 10), [0, pause, 2 * pause])
    }
  })

  it('take five seconds each, or ten round trips where these take longer', async () => {
    for (const [tripMs, timeoutMs] of [
      [20, 5_000],
      [600, 6_000],
    ]) {
      const w = await world(1, true, 1e9, { shape: trips(tripMs) })
      await w.time.run(1_000)
      w.dialling.hangs = true
      w.connections[0].cut()
      await w.time.run(timeoutMs + 100)
      const [, { at, givenUpAt }] = w.dials
      assert.equal(Math.round(givenUpAt! - at), timeoutMs)
    }
  })

  it('are twice as far apart each time while there is no route, up to four seconds', async () => {
    const w = await world()
    Object.assign(w.dialling, { fails: true, code: 'ENETUNREACH' })
    w.connections[0].cut()
    assert.deepEqual(await dialsWithin(w, 12_000), [0, 250, 750, 1_750, 3_750, 7_750, 11_750])
  })

  it('are given up as soon as one of them carries the line', async () => {
    const w = await world(1, true, 1e9, { shape: trips(20) })
    w.dialling.hangs = true
    w.connections[0].cut()
    await w.time.run(900)
    w.dialling.hangs = false
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 200))
    const now = w.time.now()
    assert.deepEqual(
      w.dials.slice(1, -1).map(({ givenUpAt }) => givenUpAt),
      [now, now, now, now],
    )
  })

  it('wait ever longer after paths that are lost soon, and not after one that has lasted', async () => {
    const w = await world(1, true, 1e9, { shape: trips(2) })
    await w.time.run(10_000)
    const pauses: number[] = []
    for (let i = 0; i < 9; i++) {
      if (i === 8) await w.time.run(5_001)
      pauses.push(await pauseAfterCut(w))
    }
    assert.deepEqual(pauses, [0, 0, 250, 500, 1_000, 2_000, 4_000, 4_000, 0])
  })

  it('count a path once that was suspected soon, and then lost', async () => {
    const w = await world(1, true, 1e9, { shape: trips(2) })
    assert.equal(await pauseAfterCut(w), 0)
    const [, connection] = w.connections
    connection.up.stalled = true
    w.dialling.hangs = true
    w.near.send(10)
    assert.ok(await w.time.runUntil(() => w.client.report.state !== 'open', 2_000))
    connection.cut()
    await w.time.run(1)
    w.dialling.hangs = false
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 2, 1_000))
    assert.equal(await pauseAfterCut(w), 250)
  })

  it('begin at once after a change of the network, whatever they wait for', async () => {
    const w = await world(1, true, 1e9, { shape: trips(2) })
    for (let i = 0; i < 7; i++) await pauseAfterCut(w)
    w.connections.at(-1)!.cut()
    await w.time.run(100)
    w.client.suspect('the network changed')
    assert.ok(await w.time.runUntil(() => w.client.report.state === 'open', 10))
    // So do those that would have to wait.
    const { length } = w.dials
    w.client.suspect('the network changed')
    assert.equal(w.dials.length, length + 1)
  })

  it('are not made, nor is anything asked, before the line has a key', async () => {
    const w = await world(1, false)
    probes(w.connections[0])
    w.connections[0].down.stalled = true
    w.near.send(100)
    w.client.suspect('the network changed')
    await w.time.run(20_000)
    assert.deepEqual([w.client.report.state, w.dials.length, probes(w.connections[0])], ['open', 1, 0])
  })

  it('ask the cluster for the pod when one has failed, at the latest after 0.3 s, and then every two seconds', async () => {
    for (const [habit, first] of [
      ['fails', 0],
      ['hangs', 300],
    ] as const) {
      const w = await world()
      w.dialling[habit] = true
      w.connections[0].cut()
      const lost = w.time.now()
      await w.time.run(4_900)
      assert.deepEqual(
        w.asked.map((at) => at - lost),
        [first, first + 2_000, first + 4_000],
      )
    }
  })
})

describe('a path that brings nothing', () => {
  it('gets a PROBE every 2.5 s, and one that brings something gets none', async () => {
    const w = await world()
    await w.time.run(1_000)
    probes(w.connections[0])
    await w.time.run(30_000)
    const idle = probes(w.connections[0])
    assert.ok(idle >= 10 && idle <= 12, `${idle} in 30 s`)
    for (let i = 0; i < 30; i++) {
      w.far.send(10)
      await w.time.run(1_000)
    }
    assert.equal(probes(w.connections[0]), 0)
  })
})

describe('a machine that has slept', () => {
  it('looks for another path at once, though the path that it has may answer', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.connections[0].down.stalled = true
    w.wall.ahead += 3_600_000
    await w.time.run(300)
    assert.equal(w.client.report.state, 'suspected')
    assert.equal(w.client.report.cause, 'the machine slept for 3600 s')
    assert.equal(w.dials.length, 2)
    w.connections[0].down.stalled = false
    w.connections[0].down.flush()
    await w.time.run(50)
    assert.deepEqual([w.client.report.state, w.client.report.resumptions], ['open', 0])
  })

  it('is one whose time of day is three seconds ahead of its clock', async () => {
    const w = await world()
    w.wall.ahead += 3_100
    await w.time.run(260)
    assert.equal(w.dials.length, 2)
  })

  it('hurries a search that goes on already', async () => {
    const w = await world()
    Object.assign(w.dialling, { fails: true, code: 'ENETUNREACH' })
    w.connections[0].cut()
    await w.time.run(20_000)
    w.dialling.fails = false
    w.wall.ahead += 60_000
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 400))
  })

  it('is not one whose time of day was set by a little, or back', async () => {
    const w = await world()
    for (const ms of [2_900, -3_600_000, 2_900]) {
      w.wall.ahead += ms
      await w.time.run(1_000)
      assert.equal(w.client.report.state, 'open')
    }
    w.near.send(10)
    await w.time.run(500)
    assert.ok(whole(w))
    assert.equal(w.dials.length, 1)
  })
})
