// A line that gets or loses its second path while it is busy, in virtual time.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SecondPath } from '../../src/tunnel/line/second-path.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { fine, isStriped, LONG, two, whole, world } from './line-pair.ts'

const MB = 1_000_000

describe('a small message', () => {
  it('does not hold both paths when the socket that it waits in takes nothing', async () => {
    const w = await two(1, LONG)
    w.connections[0].down.buffer = 0
    w.connections[0].down.rate = 10
    w.far.send(4_000)
    await w.time.run(1)
    w.far.send(MB)
    assert.ok(await w.time.runUntil(() => whole(w), 300), `${w.near.got} bytes`)
    // Nor is its memory used for others before the socket has taken it.
    w.far.send(MB)
    await w.time.run(500)
    assert.ok(whole(w))
    assert.ok(!w.connections[0].over)
    assert.ok(fine(w))
  })
})

describe('the end of a line', () => {
  it('is told over both paths, one of which may swallow it', async () => {
    for (const index of [0, 1]) {
      const w = await two()
      w.connections[index].up.stalled = true
      w.near.transport.end()
      assert.ok(await w.time.runUntil(() => w.server.size === 0, 1_000), `path ${index}`)
      assert.deepEqual(w.far.closed, { error: undefined })
    }
  })

  it('does not leave bytes behind that only a path has which is lost then', async () => {
    const w = await two(1, LONG)
    for (const { down } of w.connections) Object.assign(down, { rate: 50, buffer: 0 })
    w.far.send(20_000)
    await w.time.run(1)
    const slow = w.agent.paths.findIndex(({ pending }) => pending > 0)
    w.connections[1 - slow].down.rate = LONG.rate
    w.far.transport.end()
    await w.time.run(80)
    assert.equal(w.far.transport.buffered, 0)
    w.connections[slow].cut()
    assert.ok(await w.time.runUntil(() => w.near.closed !== undefined && w.far.closed !== undefined, 1_000))
    assert.ok(whole(w), `${w.near.got} of ${w.far.sent} bytes`)
    assert.deepEqual([w.near.closed, w.far.closed], [{ error: undefined }, { error: undefined }])
  })

  it('is told over a second path, too, that comes while the socket of the first one is full', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    w.dialling.fails = true
    Object.assign(w.connections[0].up, { rate: 0.001, buffer: 0 })
    w.near.transport.end()
    await w.time.run(100)
    assert.equal(w.near.closed, undefined)
    w.dialling.fails = false
    assert.ok(await w.time.runUntil(() => w.near.closed !== undefined && w.server.size === 0, 3_000))
  })

  it('is told over the path that is found when there was none', async () => {
    const w = await world(1, true, 1e9)
    Object.assign(w.connections[0].up, { rate: 0.01, buffer: 0 })
    w.near.transport.end()
    await w.time.run(100)
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.near.closed !== undefined && w.server.size === 0, 1_000))
    assert.deepEqual([w.near.closed, w.far.closed], [{ error: undefined }, { error: undefined }])
  })
})

describe('the second path of a busy line', () => {
  it('does not make the first one look dead, whose queue is longer than a second', async () => {
    for (const from of ['far', 'near'] as const) {
      const w = await world(1, true, 1e9, { paths: 2, shape: { rate: 1_000, buffer: 2e6, delayMs: 20 } })
      w.dialling.fails = true
      w[from].send(6 * MB)
      await w.time.run(500)
      w.dialling.fails = false
      assert.ok(await w.time.runUntil(() => isStriped(w), 3_000))
      await w.time.run(3_000)
      assert.ok(!w.connections[0].over && isStriped(w), w.log.join('\n'))
      assert.equal(w.connections.length, 2)
      assert.ok(await w.time.runUntil(() => whole(w), 10_000))
      assert.ok(fine(w))
    }
  })
})

describe('a second path that cannot be kept', () => {
  it('is tried again after a second, then after twice as long each time, and a minute at most', async () => {
    const w = await world(1, true, 1e9, { paths: 2 })
    const begun = w.dials.length
    w.dialling.fails = true
    await w.time.run(200_000)
    const pauses = w.dials.slice(begun + 1).map(({ at }, i) => Math.round((at - w.dials[begun + i].at) / 1_000))
    assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60])
  })

  it('is tried again sooner when it had lived for ten seconds', async () => {
    for (const [livedMs, most] of [
      [9_000, 17],
      [10_500, 1.5],
    ]) {
      const w = await world(1, true, 1e9, { paths: 2 })
      w.dialling.fails = true
      await w.time.run(10_000)
      w.dialling.fails = false
      assert.ok(await w.time.runUntil(() => isStriped(w), 10_000))
      await w.time.run(livedMs)
      const lost = w.time.now()
      w.connections.at(-1)!.cut()
      await w.time.run(1)
      assert.ok(await w.time.runUntil(() => isStriped(w), 60_000))
      const waited = (w.dials.at(-1)!.at - lost) / 1_000
      assert.ok(waited <= most && waited > most / 2, `${waited} s after ${livedMs} ms`)
    }
  })
})

describe('a second path that is being opened', () => {
  it('may take five seconds, and each change of what is wrong is told', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    const told: (string | undefined)[] = []
    w.client.onChange = ({ missingPath }) => void (missingPath !== told.at(-1) && told.push(missingPath))
    w.dialling.hangs = true
    await w.time.run(5_400)
    const [, { at, givenUpAt }] = w.dials
    assert.equal(Math.round(givenUpAt! - at), 5_000)
    assert.deepEqual(told, ['no answer in time'])
    w.dialling.hangs = false
    w.dialling.fails = true
    await w.time.run(1_000)
    w.dialling.fails = false
    assert.ok(await w.time.runUntil(() => isStriped(w), 5_000))
    await w.time.run(1)
    assert.deepEqual(told, ['no answer in time', 'no way there', undefined])
  })

  it('may take as long when it is connected, and the agent does not answer', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    assert.ok(await w.time.runUntil(() => w.connections.length === 2, 1_000))
    w.connections[1].down.stalled = true
    await w.time.run(4_900)
    assert.equal(w.client.report.missingPath, undefined)
    await w.time.run(200)
    assert.equal(w.client.report.missingPath, 'no answer in time')
  })

  it('is one at a time, also when an earlier attempt comes to its end late', async () => {
    const time = new VirtualTime()
    const attempts: { reject: (error: Error) => void; signal: AbortSignal }[] = []
    const second = new SecondPath({
      clock: time,
      attempt: (signal) => new Promise((_, reject) => attempts.push({ reject, signal })),
      timeoutMs: () => 5_000,
      changed: () => {},
      log: () => {},
    })
    second.look()
    assert.equal(attempts.length, 0, 'nobody wants it yet')
    second.want()
    second.look()
    second.stop()
    assert.ok(attempts[0].signal.aborted)
    second.look()
    assert.equal(attempts.length, 2)
    attempts[0].reject(new Error('given up'))
    await time.run(100)
    second.look()
    assert.equal(attempts.length, 2)
    assert.equal(second.trouble, undefined)
  })

  it('is given up when the first one is suspected', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    w.dialling.hangs = true
    await w.time.run(1_000)
    assert.equal(w.dials.length, 2)
    w.client.suspect('the network changed')
    assert.equal(w.dials[1].givenUpAt, w.time.now())
    w.dialling.hangs = false
    assert.ok(await w.time.runUntil(() => isStriped(w), 1_000))
  })

  it('is not waited for when the line has moved to another path: it is tried at once', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    Object.assign(w.dialling, { fails: true, lifetimeMs: 20_000 })
    // The next attempt is far away.
    await w.time.run(70_000)
    w.dialling.fails = false
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 1_000))
    w.dialling.fails = true
    // A path that will be ended is left for another one.
    assert.ok(await w.time.runUntil(() => w.log.some((line) => /will be ended/.test(line)), 20_000))
    w.dialling.fails = false
    assert.ok(await w.time.runUntil(() => w.client.report.moves === 1, 1_000))
    assert.ok(await w.time.runUntil(() => isStriped(w), 1_000))
  })

  it('may be overtaken: what the first one brings has holes before the answer comes', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    assert.ok(await w.time.runUntil(() => w.connections.length === 2, 1_000))
    w.connections[1].down.stalled = true
    assert.ok(await w.time.runUntil(() => w.agent.isStriped, 100))
    w.far.send(2 * MB)
    await w.time.run(80)
    assert.ok(w.client.early > 0)
    w.connections[1].down.stalled = false
    w.connections[1].down.flush()
    assert.ok(await w.time.runUntil(() => whole(w) && isStriped(w), 500))
    assert.equal(w.client.report.resumptions, 0)
  })
})
