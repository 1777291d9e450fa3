// Which path of a line is doubted, and what is known of it, by itself and when one of two is lost.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LineFrame } from '../../src/tunnel/line/frames.ts'
import type { Line } from '../../src/tunnel/line/line.ts'
import { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Watch } from '../../src/tunnel/line/watch.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import { isStriped, LONG, two, world } from './line-pair.ts'

interface Asked {
  path: LinePath
  /** Bodies of the PROBEs that were sent on it, not answered yet. */
  probes: Buffer[]
}

function askedPath(): Asked {
  const probes: Buffer[] = []
  const path = {
    framing: plainFraming,
    send: (message: Buffer, done: () => void) => {
      assert.equal(message[0], LineFrame.probe)
      probes.push(Buffer.from(message.subarray(4)))
      done()
    },
  } as unknown as Path
  return { path: new LinePath(path, 0), probes }
}

/** A watch over a line with these paths. */
function watchOf(...all: Asked[]) {
  const paths = all.map(({ path }) => path)
  const line = {
    paths,
    waitingSince: undefined as number | undefined,
    get current() {
      return paths[0]
    },
    carriedBy: (path: LinePath) => paths.includes(path),
  }
  return { line, watch: new Watch(line as unknown as Line) }
}

describe('the watch over paths', () => {
  it('asks both of two when one of them has brought nothing, and each only once until it answers', () => {
    const [one, other] = [askedPath(), askedPath()]
    const { watch } = watchOf(one, other)
    other.path.heardAt = 2_400
    watch.ask(2_500)
    assert.deepEqual([one.probes.length, other.probes.length], [0, 0])
    watch.ask(2_501)
    assert.deepEqual([one.probes.length, other.probes.length], [1, 1])
    assert.ok(watch.takeAnswer(other.path, other.probes[0], 2_600, true))
    watch.ask(6_000)
    assert.deepEqual([one.probes.length, other.probes.length], [1, 2])
  })

  it('takes an answer only from the path that was asked, to the last question, and while it carries the line', () => {
    const [one, other, stranger] = [askedPath(), askedPath(), askedPath()]
    const { watch, line } = watchOf(one, other)
    watch.askAll(0)
    watch.askAll(10)
    assert.equal(watch.takeAnswer(one.path, one.probes[0], 20, true), false, 'to an earlier question')
    assert.equal(watch.takeAnswer(one.path, Buffer.alloc(3), 20, true), false)
    assert.equal(watch.takeAnswer(stranger.path, one.probes[1], 20, true), false)
    assert.equal(watch.takeAnswer(one.path, one.probes[1], 20, true), true)
    assert.equal(watch.takeAnswer(one.path, one.probes[1], 20, true), false, 'a second time')
    line.paths.pop()
    assert.equal(watch.takeAnswer(other.path, other.probes[1], 20, true), false)
  })

  it('doubts one of two only when the other has brought something since it was asked', () => {
    const [one, other] = [askedPath(), askedPath()]
    const { watch } = watchOf(one, other)
    watch.askAll(5_000)
    other.path.heardAt = 4_999
    assert.equal(watch.doubt(6_001)?.path, undefined)
    assert.ok(watch.doubt(6_001), 'both are silent')
    other.path.heardAt = 5_040
    const doubt = watch.doubt(6_001)
    assert.equal(doubt?.path, one.path)
    assert.match(doubt.why, /has not answered for 1\.0 s/)
  })

  it('does not doubt two for bytes that wait while one of them brings something, unless for very long', () => {
    const [one, other] = [askedPath(), askedPath()]
    const { watch, line } = watchOf(one, other)
    line.waitingSince = 10_000
    other.path.heardAt = 10_500
    assert.equal(watch.doubt(11_400), undefined)
    assert.match(watch.doubt(11_501)!.why, /has acknowledged nothing for/)
    line.paths.pop()
    assert.match(watch.doubt(11_400)!.why, /has acknowledged nothing for 1\.4 s/)
  })

  it('knows the round trip of the path that is left', () => {
    const [one, other] = [askedPath(), askedPath()]
    const { watch, line } = watchOf(one, other)
    watch.opened(20)
    watch.joined(300)
    assert.equal(watch.roundTripMs, 20)
    watch.askAll(1_000)
    line.paths.shift()
    watch.promoted()
    assert.equal(watch.roundTripMs, 300)
    // What the first one was asked is not waited for, and the second one is.
    assert.equal(watch.takeAnswer(other.path, other.probes[0], 1_200, true), true)
    assert.equal(watch.roundTripMs, 200)
    watch.moved(50)
    assert.equal(watch.roundTripMs, 50)
  })
})

describe('a line with another path', () => {
  it('does not wait for what was asked on the one before', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    Object.assign(w.connections[0].up, { stalled: true })
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 5_000))
    await w.time.run(30_000)
    assert.equal(w.client.report.resumptions, 1)
    assert.equal(w.log.filter((line) => line.includes('suspected')).length, 1)
  })

  it('does not take the time of a stalled answer for the round trip', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    w.dialling.hangs = true
    for (let i = 0; i < 5; i++) {
      w.connections[0].up.stalled = true
      w.client.suspect('the network changed')
      await w.time.run(900)
      w.connections[0].up.stalled = false
      w.connections[0].up.flush()
      await w.time.run(100)
      assert.equal(w.client.report.state, 'open')
    }
    assert.equal(Math.round(w.client.report.roundTripMs!), 40)
  })
})

describe('a line with two paths', () => {
  it('is not suspected when the first one becomes a black hole while it is idle, nor later', async () => {
    const w = await two(1, LONG)
    const { up, down } = w.connections[0]
    up.stalled = down.stalled = true
    assert.ok(await w.time.runUntil(() => w.client.report.paths.length === 1, 5_000))
    w.dialling.fails = true
    for (let i = 0; i < 100; i++) {
      await w.time.run(200)
      assert.equal(w.client.report.state, 'open')
    }
    assert.equal(w.client.report.resumptions, 0)
  })

  it('tells the round trip of the path that is left as soon as the first one is lost', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    w.dialling.shape = { ...LONG, delayMs: 150 }
    assert.ok(await w.time.runUntil(() => isStriped(w), 2_000))
    assert.equal(Math.round(w.client.report.roundTripMs!), 40)
    w.connections[0].cut()
    await w.time.run(1)
    assert.equal(Math.round(w.client.report.roundTripMs!), 300)
  })

  it('keeps the round trip of the first one when the second one is lost', async () => {
    const w = await world(1, true, 1e9, { paths: 2, shape: LONG })
    w.dialling.shape = { ...LONG, delayMs: 150 }
    assert.ok(await w.time.runUntil(() => isStriped(w), 2_000))
    w.connections[1].cut()
    await w.time.run(1)
    assert.equal(Math.round(w.client.report.roundTripMs!), 40)
  })
})
