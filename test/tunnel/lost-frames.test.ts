// What becomes of a line when a frame is lost, or comes from somebody else: docs/understand/line.md.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LineServer } from '../../src/tunnel/line/agent.ts'
import { LineClient } from '../../src/tunnel/line/client.ts'
import { GREETING, greeted, LineFrame, lineFrame, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import { resumeBody, resumedBody } from '../../src/tunnel/line/proof.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { fine, isStriped, LONG, Talker, two, type World, whole, world } from './line-pair.ts'
import { behindGreeting, Connection } from './line-world.ts'

/** A client whose paths lead to the agent one after the other; `serve` is given the agent's end of each. */
async function clientOf(time: VirtualTime, serve: (path: Path) => void): Promise<LineClient> {
  const options = {
    ...{ clock: time, turns: time.turns, wall: () => time.now(), log: () => {} },
    random: (bytes: number) => Buffer.alloc(bytes, 7),
    isAlive: async () => true,
    dial: async () => {
      const connection = new Connection(time, () => 10)
      serve(connection.agent)
      return connection.client
    },
  }
  return await LineClient.open(options, new AbortController().signal)
}

describe('the opening of a line', () => {
  it('costs no round trip: what is written at once arrives with it', async () => {
    const time = new VirtualTime()
    const server = new LineServer({ clock: time, turns: time.turns, waitMs: 0, log: () => {} })
    let far: Talker | undefined
    const client = await clientOf(time, (path) =>
      server.serve(behindGreeting(path), ({ line }) => (far = new Talker(line))),
    )
    const near = new Talker(client.transport)
    near.send(1_000)
    assert.ok(await time.runUntil(() => far?.got === 1_000, 11))
  })

  it('fails with the words of an agent that refuses it', async () => {
    const time = new VirtualTime()
    const server = new LineServer({ clock: time, turns: time.turns, waitMs: 0, log: () => {} })
    for (let i = 0; i < 64; i++) {
      const { client, agent } = new Connection(time, () => 10)
      server.serve(behindGreeting(agent), ({ line }) => void new Talker(line))
      client.send(greeted(lineFrame(LineFrame.open, Buffer.alloc(16, 100 + i))).subarray(PATH_HEADROOM), () => {})
    }
    await time.run(20)
    assert.equal(server.size, 64)
    const near = new Talker(
      (await clientOf(time, (path) => server.serve(behindGreeting(path), () => assert.fail('a line was opened'))))
        .transport,
    )
    await time.run(100)
    assert.match(near.closed!.error!.message, /^the agent: it has 64 clients already$/)
  })

  it('that is lost ends the line with its path', async () => {
    const time = new VirtualTime()
    const client = await clientOf(time, (path) =>
      path.start(
        () => path.destroy(),
        () => {},
      ),
    )
    const near = new Talker(client.transport)
    await time.run(100)
    assert.ok(near.closed)
    assert.equal(client.unknownHere, false)
  })
})

describe('an END that is lost', () => {
  it('leaves the agent waiting for the client, and then ends the line', async () => {
    const w = await world(1, true, 10_000)
    const [connection] = w.connections
    connection.up.stalled = true
    w.near.transport.end()
    await w.time.run(100)
    assert.deepEqual(w.near.closed, { error: undefined })
    connection.cut()
    await w.time.run(9_900)
    assert.deepEqual([w.server.size, w.server.absent], [1, 1])
    await w.time.run(200)
    assert.equal(w.server.size, 0)
    assert.match(w.far.closed!.error!.message, /absent for 10 s/)
  })

  it('of the agent is told to the client that looks for the line', async () => {
    const w = await world()
    w.connections[0].down.stalled = true
    w.far.transport.end()
    await w.time.run(100)
    assert.deepEqual(w.far.closed, { error: undefined })
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.near.closed !== undefined, 1_000))
    assert.match(w.near.closed!.error!.message, /^the agent: there is no such line/)
  })
})

describe('an END that arrives', () => {
  it('is answered, so that nobody waits for a socket that tells late that it has taken it', async () => {
    for (let seed = 1; seed <= 40; seed++)
      for (const who of ['near', 'far'] as const) {
        const w = await world(seed)
        w[who].send(1_000)
        w[who].transport.end()
        await w.time.run(300)
        assert.ok(whole(w))
        assert.deepEqual([w.near.closed, w.far.closed], [{ error: undefined }, { error: undefined }])
        assert.deepEqual([w.server.size, w.dials.length], [0, 1])
        // What is left to do ends by itself.
        assert.ok(await w.time.runUntil(() => w.time.pending === 0, 60_000))
      }
  })
})

/** Somebody brings a copy of the client's next attempt to the agent before it comes; resolves to their connection. */
async function overtaken(w: World): Promise<Connection> {
  const count = w.connections.length
  w.client.suspect('the network changed')
  assert.ok(await w.time.runUntil(() => w.connections.length > count, 1_000))
  const attempt = w.connections[count]
  attempt.up.stalled = true
  await w.time.run(1)
  const stranger = new Connection(w.time, () => 1)
  stranger.client.start(
    () => {},
    () => {},
  )
  w.server.serve(stranger.agent, () => assert.fail('a line was opened'))
  stranger.client.send(attempt.up.seen[0].subarray(GREETING.length), () => {})
  await w.time.run(200)
  assert.deepEqual([w.client.report.state, w.client.report.resumptions], ['open', 0])
  return stranger
}

describe('a path that another one took the place of', () => {
  it('carries the line again when that one ends first', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    const stranger = await overtaken(w)
    w.far.send(5_000)
    await w.time.run(100)
    assert.equal(w.near.got, 0)
    assert.ok(stranger.down.seen.reduce((sum, { length }) => sum + length, 0) > 5_000)
    stranger.cut()
    assert.ok(await w.time.runUntil(() => whole(w), 100))
    assert.equal(w.client.report.resumptions, 0)
    assert.ok(fine(w))
  })

  it('is closed when its socket has messages that it cannot send, whose memory is needed', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    Object.assign(w.connections[0].down, { rate: 1, buffer: 0 })
    w.far.send(50_000)
    await w.time.run(10)
    w.client.suspect('the network changed')
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 100))
    assert.ok(w.connections[0].over)
    for (let i = 0; i < 50; i++) {
      w.far.send(100_000)
      await w.time.run(20)
    }
    assert.ok(await w.time.runUntil(() => whole(w), 1_000))
    assert.ok(fine(w))
  })
})

describe('an agent that is another one', () => {
  it('cannot answer an attempt, nor answer it as if it were of another kind', async () => {
    // The first attempt of a client that has received nothing.
    const attempt = { counter: 1, received: 0 }
    type Answer = (key: Buffer, id: Buffer) => [type: number, body: Buffer]
    const right: Answer = (key, id) => [LineFrame.resumed, resumedBody(key, { ...attempt, id }, 'resume')]
    const wrong: Answer[] = [
      (_, id) => right(Buffer.alloc(32), id),
      (key) => right(key, Buffer.alloc(16)),
      (key, id) => [LineFrame.joined, right(key, id)[1]],
      (key, id) => [LineFrame.resumed, right(key, id)[1].subarray(1)],
      (key, id) => [LineFrame.resumed, resumedBody(key, { ...attempt, id }, 'join')],
      (key, id) => [LineFrame.resumed, resumedBody(key, { ...attempt, id, counter: 2 }, 'resume')],
      (key, id) => [LineFrame.resumed, resumedBody(key, { ...attempt, id, received: 9 }, 'resume')],
    ]
    for (const answer of [...wrong, right]) {
      const w = await world(1, true, 1e9, { shape: LONG })
      const id = w.connections[0].up.seen[0].subarray(-16)
      w.dialling.impostor = lineFrame(...answer(w.key!, id)).subarray(PATH_HEADROOM)
      w.connections[0].cut()
      assert.equal(await w.time.runUntil(() => w.client.report.resumptions > 0, 240), answer === right)
      if (answer === right) return
      w.dialling.impostor = undefined
      w.near.send(1_000)
      assert.ok(await w.time.runUntil(() => whole(w), 1_000))
    }
  })
})

describe('an end that has lost bytes which it had acknowledged', () => {
  it('is found out when it is the agent, and the line ends', async () => {
    for (const lost of [0, 1]) {
      const w = await world()
      const id = w.connections[0].up.seen[0].subarray(-16)
      w.near.send(5_000)
      await w.time.run(1_000)
      const answer = resumedBody(w.key!, { id, counter: 1, received: 5_000 - lost }, 'resume')
      w.dialling.impostor = lineFrame(LineFrame.resumed, answer).subarray(PATH_HEADROOM)
      w.connections[0].cut()
      await w.time.run(200)
      if (lost > 0) assert.match(w.near.closed!.error!.message, /^the agent: it has lost bytes/)
      else assert.equal(w.near.closed, undefined)
    }
  })

  it('is found out when it is the client, and the line ends', async () => {
    for (const lost of [0, 1]) {
      const w = await world()
      const id = w.connections[0].up.seen[0].subarray(-16)
      w.far.send(5_000)
      await w.time.run(1_000)
      w.connections[0].cut()
      assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 1_000))
      const attempt = resumeBody(w.key!, { id, counter: 1_000, received: 5_000 - lost })
      const connection = new Connection(w.time, () => 1)
      connection.client.start(
        () => {},
        () => {},
      )
      w.server.serve(connection.agent, () => assert.fail('a line was opened'))
      connection.client.send(lineFrame(LineFrame.resume, attempt).subarray(PATH_HEADROOM), () => {})
      await w.time.run(100)
      if (lost > 0) assert.match(w.far.closed!.error!.message, /the client has lost bytes/)
      else assert.equal(w.far.closed, undefined)
    }
  })

  it('is not thought of when an attempt only comes behind an acknowledgement that went over the old path', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    w.client.suspect('the network changed')
    assert.ok(await w.time.runUntil(() => w.connections.length === 2, 1_000))
    w.connections[1].up.stalled = true
    w.far.send(5_000)
    await w.time.run(500)
    assert.equal(w.agent.acked, 5_000)
    w.connections[1].up.stalled = false
    w.connections[1].up.flush()
    await w.time.run(100)
    w.near.send(5_000)
    w.far.send(5_000)
    assert.ok(await w.time.runUntil(() => whole(w), 1_000))
    assert.ok(fine(w) && !w.near.closed && !w.far.closed)
  })
})

describe('an answer to an attempt', () => {
  const once = (w: World) => {
    const id = w.connections[0].up.seen[0].subarray(-16)
    const body = resumedBody(w.key!, { id, counter: 1, received: 0 }, 'resume')
    return lineFrame(LineFrame.resumed, body).subarray(PATH_HEADROOM)
  }

  it('counts once, however often it comes', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    w.dialling.impostor = Buffer.concat([once(w), once(w)])
    w.connections[0].cut()
    await w.time.run(200)
    assert.equal(w.client.report.resumptions, 1)
    assert.equal(w.client.report.state, 'open')
  })

  it('that refuses it closes the path, also where the agent does not', async () => {
    const w = await world(1, true, 1e9, { shape: LONG })
    w.dialling.impostor = lineFrame(LineFrame.refused, Buffer.from([2]), Buffer.from('no')).subarray(PATH_HEADROOM)
    w.connections[0].cut()
    await w.time.run(200)
    assert.ok(w.connections[1].over)
    assert.equal(w.near.closed, undefined)
  })
})

describe('a JOIN while there are two paths', () => {
  it('takes the place of the one that has been silent for longer', async () => {
    for (const index of [0, 1]) {
      const w = await two(1, LONG)
      // The client has lost a path, and the agent does not know it yet.
      const [lost, kept] = index === 0 ? w.connections : w.connections.toReversed()
      lost.up.stalled = true
      await w.time.run(100)
      lost.client.destroy()
      assert.ok(await w.time.runUntil(() => w.connections.length === 3 && isStriped(w), 3_000))
      assert.ok(w.agent.paths.every(({ open }) => open))
      assert.ok(!kept.over)
      for (const { down } of w.connections) down.seen.length = 0
      w.far.send(2_000_000)
      assert.ok(await w.time.runUntil(() => whole(w), 200))
      assert.ok([kept, w.connections[2]].every(({ down }) => down.seen.length > 0))
      assert.equal(w.client.report.resumptions, 0)
    }
  })
})
