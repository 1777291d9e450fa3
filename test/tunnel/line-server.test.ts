// The agent's lines in virtual time: what it refuses, what it holds at most, and how they end.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TunnelError } from '../../src/tunnel/errors.ts'
import { LineDecoder, LineFrame, lineFrame, offsetBytes, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import { resumeBody } from '../../src/tunnel/line/proof.ts'
import { fine, Talker, two, type World, world } from './line-pair.ts'
import { Connection } from './line-world.ts'

/** A connection to the agent over which a test says what it likes, behind its greeting. `takes` as of `Connection`. */
function stranger(w: World, takes?: () => number, onOpen = () => {}): Connection {
  const connection = new Connection(w.time, () => 1, takes)
  connection.client.start(
    () => {},
    () => {},
  )
  w.server.serve(connection.agent, onOpen)
  return connection
}

describe('the lines of an agent', () => {
  it('end in order when the agent ends them, also while a slower path still carries what was sent', async () => {
    for (const rate of [40_000, 4_000, 1_000]) {
      const w = await two(1, { rate, buffer: 100_000, delayMs: 20 })
      w.connections[0].down.rate = 40_000
      w.far.send(3_000_000)
      await w.time.run(5)
      w.agent.end()
      assert.ok(await w.time.runUntil(() => w.near.closed !== undefined, 20_000))
      assert.deepEqual(w.near.closed, { error: undefined })
      assert.equal(w.near.got, w.far.sent)
      assert.ok(fine(w))
      await w.time.run(10_000)
      assert.equal(w.server.size, 0)
      assert.ok(w.connections.every(({ over }) => over))
    }
  })

  it('leave a path half a minute for what was sent, and no longer', async () => {
    const w = await world()
    const connection = new Connection(w.time, () => 20)
    connection.down.rate = 2
    w.server.serve(connection.agent, ({ line }) => new Talker(line).send(3_000_000))
    const say = (frame: Buffer) => connection.client.send(frame.subarray(PATH_HEADROOM), () => {})
    say(lineFrame(LineFrame.open, Buffer.alloc(16, 1)))
    await w.time.run(100)
    assert.equal(w.server.size, 2)
    say(lineFrame(LineFrame.end, offsetBytes(0)))
    await w.time.run(100)
    assert.equal(w.server.size, 1)
    await w.time.run(29_800)
    assert.equal(connection.over, false)
    await w.time.run(1_000)
    assert.ok(connection.over)
  })

  it('answer the newest PROBE, and queue no answers to a flood that nobody reads', async () => {
    const w = await world()
    const answered: number[] = []
    let takes = 0
    const connection = new Connection(
      w.time,
      () => 1,
      () => takes,
    )
    const decoder = new LineDecoder({
      onData: () => {},
      onReceived: () => {},
      onFrame: (type, body) => type === LineFrame.probed && answered.push(body.readUInt32BE()),
    })
    connection.client.start(
      (chunk) => decoder.push(chunk),
      () => {},
    )
    w.server.serve(connection.agent, () => {})
    const say = (...frames: Buffer[]) =>
      connection.client.send(Buffer.concat(frames.map((frame) => frame.subarray(PATH_HEADROOM))), () => {})
    say(lineFrame(LineFrame.open, Buffer.alloc(16, 1)))
    const probe = (id: number) => lineFrame(LineFrame.probe, Buffer.of(0, 0, id >>> 8, id))
    const flood = (from: number) => say(...Array.from({ length: 100 }, (_, i) => probe(from + i)))
    takes = 5_000
    flood(0)
    await w.time.run(4_000)
    flood(100)
    await w.time.run(20_000)
    assert.deepEqual(answered, [0, 199])
    say(probe(1_000))
    await w.time.run(100)
    assert.equal(answered.at(-1), 1_000)
  })

  it('keep four paths of a line, the newest among them, and go on over those before it', async () => {
    const w = await world()
    const id = w.connections[0].up.seen[0].subarray(-16)
    const resumed: Connection[] = []
    for (let i = 0; i < 10; i++) {
      const connection = stranger(w)
      const body = resumeBody(w.key!, { id, counter: 1_000 + i, received: 0 })
      connection.client.send(lineFrame(LineFrame.resume, body).subarray(PATH_HEADROOM), () => {})
      resumed.push(connection)
      await w.time.run(20)
    }
    assert.deepEqual(
      resumed.map(({ over }) => over),
      [...Array(6).fill(true), ...Array(4).fill(false)],
    )
    for (const [i, connection] of resumed.slice(6).toReversed().entries()) {
      w.far.send(1_000)
      await w.time.run(50)
      const seen = Buffer.concat(connection.down.seen).length
      assert.ok(seen >= 1_000 * (i + 1), `${seen} bytes over the last path but ${i}`)
      connection.cut()
      await w.time.run(10)
    }
    assert.equal(w.server.absent, 1)
  })

  it('give a path that was refused ten seconds to end', async () => {
    const w = await world()
    for (const type of [LineFrame.resume, LineFrame.probe]) {
      const connection = stranger(w, () => 1e9)
      connection.client.send(lineFrame(type, Buffer.alloc(60)).subarray(PATH_HEADROOM), () => {})
      await w.time.run(9_900)
      assert.equal(connection.over, false)
      await w.time.run(200)
      assert.ok(connection.over)
    }
  })

  it('tell of a mistake of ours as one, and end the line in which it was made', async () => {
    const w = await world()
    w.agent.start(
      () => {
        throw new TypeError('a mistake')
      },
      () => {},
    )
    w.near.send(10)
    await assert.rejects(w.time.run(100), /a mistake/)
    assert.equal(w.server.size, 0)
    assert.ok(await w.time.runUntil(() => w.near.closed !== undefined, 1_000))
    await assert.rejects(async () => {
      const connection = stranger(w, undefined, () => {
        throw new TypeError('another one')
      })
      connection.client.send(lineFrame(LineFrame.open, Buffer.alloc(16)).subarray(PATH_HEADROOM), () => {})
      await w.time.run(100)
    }, /another one/)
    assert.equal(w.server.size, 0)
  })
})

describe('the line of a client', () => {
  it('ends by a mistake of ours, says whose it is, and is not looked for', async () => {
    const w = await world()
    let why: Error | undefined
    w.client.transport.start(
      () => {
        throw new TypeError('a mistake')
      },
      (error) => (why = error),
    )
    w.far.send(10)
    await w.time.run(100)
    assert.deepEqual(
      [why?.message, (why as TunnelError).hint],
      ['a mistake', 'this is a mistake in kt: please report it with what `kt logs` says'],
    )
    assert.match(w.log.join('\n'), /internal error: TypeError: a mistake\n +at /)
    assert.equal(w.connections.length, 1)
    assert.ok(w.connections[0].over)
  })
})
