// The line in virtual time: thousands of schedules of cuts and stalls, and each rule by example.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LineClient } from '../../src/tunnel/line/client.ts'
import {
  DATA_HEADER,
  GREETING,
  LineDecoder,
  LineFrame,
  lineFrame,
  PATH_HEADROOM,
  sealLineData,
} from '../../src/tunnel/line/frames.ts'
import { resumeBody } from '../../src/tunnel/line/proof.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { fine, Talker, type World, whole, world } from './line-pair.ts'
import { runSchedule, seeds } from './line-schedule.ts'
import { Connection } from './line-world.ts'

describe('the line', () => {
  it('carries both directions over one path', async () => {
    const w = await world()
    w.near.send(300_000)
    w.far.send(500)
    assert.ok(await w.time.runUntil(() => whole(w), 5_000))
    assert.ok(fine(w))
    assert.equal(w.client.report.resumptions, 0)
  })

  it('never stands still while bulk goes both ways and the kernel takes messages late', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const w = await world(seed)
      for (let i = 0; i < 30; i++) {
        w.near.send(200_000)
        w.far.send(150_000)
        await w.time.run(2)
      }
      assert.ok(await w.time.runUntil(() => whole(w), 20_000), `seed ${seed}`)
      assert.ok(fine(w))
      assert.equal(w.client.report.resumptions, 0)
    }
  })

  it('goes on after the connection was cut, with every byte once', async () => {
    const w = await world()
    for (let i = 0; i < 20; i++) {
      w.near.send(50_000)
      w.far.send(70_000)
      await w.time.run(7)
      w.connections.at(-1)!.cut()
      // Paths that are cut soon are looked for ever more slowly.
      assert.ok(await w.time.runUntil(() => w.client.report.resumptions > i, 5_000))
    }
    assert.ok(await w.time.runUntil(() => whole(w), 10_000))
    assert.ok(fine(w))
    assert.equal(w.near.closed, undefined)
  })

  it('takes a new path within 1.5 s when one direction is swallowed, whichever it is', async () => {
    for (const way of ['up', 'down'] as const) {
      const w = await world()
      w.near.send(1_000)
      await w.time.run(100)
      w.connections[0][way].stalled = true
      w.near.send(1_000)
      w.far.send(1_000)
      assert.ok(await w.time.runUntil(() => whole(w), 1_500), way)
      assert.equal(w.client.report.resumptions, 1)
    }
  })

  it('notices a black hole on an idle line within 5 s', async () => {
    const w = await world()
    await w.time.run(60_000)
    assert.equal(w.client.report.resumptions, 0)
    Object.assign(w.connections[0].up, { stalled: true })
    Object.assign(w.connections[0].down, { stalled: true })
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 5_000))
  })

  it('carries on with the suspected path when that answers first', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.connections[0].up.stalled = true
    w.near.send(1_000)
    await w.time.run(3_000)
    assert.equal(w.client.report.state, 'interrupted', 'a path that is suspected for long is as good as none')
    w.connections[0].up.stalled = false
    w.connections[0].up.flush()
    assert.ok(await w.time.runUntil(() => whole(w) && w.client.report.state === 'open', 500))
    assert.equal(w.client.report.resumptions, 0)
    assert.ok(w.client.report.lastGap!.ms < 3_500)
  })

  it('tells of a gap once, with its length and cause', async () => {
    const w = await world()
    w.connections[0].up.stalled = true
    w.near.send(1_000)
    w.client.suspect('the network changed')
    assert.ok(await w.time.runUntil(() => whole(w) && w.client.report.resumptions === 1, 1_000))
    assert.equal(w.log.filter((line) => line.startsWith('the line goes on')).length, 1)
    assert.equal(w.client.report.lastGap?.cause, 'the network changed')
    assert.ok(w.client.report.lastGap.ms > 0)
    assert.equal(w.connections.length, 2)
  })

  it('begins an attempt at once when the network has changed, however many others hang', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.connections[0].cut()
    // Just after an attempt, with as many under way as there may be.
    await w.time.run(4_600)
    w.dialling.hangs = false
    w.client.suspect('the network changed')
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 100))
  })

  it('tries less and less often without a route, and at once when there is one; else it goes on trying', async () => {
    const attempts = async (code: string) => {
      const w = await world()
      Object.assign(w.dialling, { fails: true, code })
      w.connections[0].cut()
      await w.time.run(50_000)
      const count = w.log.filter((line) => line.startsWith('a new path:')).length
      w.dialling.fails = false
      w.client.suspect('the network changed')
      return { count, back: await w.time.runUntil(() => w.client.report.state === 'open', 200) }
    }
    const without = await attempts('ENETUNREACH')
    assert.ok(without.count < 25, `${without.count} attempts`)
    assert.equal(without.back, true)
    for (const code of ['EHOSTUNREACH', 'ECONNREFUSED']) {
      const { count } = await attempts(code)
      assert.ok(count > 90, `${count} attempts after ${code}`)
    }
  })

  it('is back within a second after a long cut', async () => {
    const w = await world()
    w.dialling.hangs = true
    w.connections[0].cut()
    await w.time.run(50_000)
    assert.equal(w.client.report.state, 'interrupted')
    w.near.send(10)
    w.dialling.hangs = false
    assert.ok(await w.time.runUntil(() => whole(w), 1_000))
  })

  it('ends when the pod is gone, when the agent does not know it, and when the client was absent for too long', async () => {
    const gone = await world()
    gone.dialling.fails = true
    gone.dialling.alive = false
    gone.connections[0].cut()
    await gone.time.run(500)
    assert.match(gone.near.closed!.error!.message, /the pod is gone/)

    const forgotten = await world()
    forgotten.server.close()
    await forgotten.time.run(5_000)
    assert.match(forgotten.near.closed!.error!.message, /no such line/)

    const absent = await world(1, true, 10_000)
    absent.dialling.hangs = true
    absent.connections[0].cut()
    await absent.time.run(9_000)
    assert.equal(absent.far.closed, undefined)
    assert.equal(absent.server.absent, 1)
    await absent.time.run(2_000)
    assert.match(absent.far.closed!.error!.message, /absent for 10 s/)
    assert.equal(absent.server.size, 0)
  })

  it('dials ever more slowly while each path that it finds breaks the protocol, and goes on when one does not', async () => {
    const w = await world()
    w.dialling.spoilt = true
    w.connections[0].cut()
    await w.time.run(60_000)
    assert.ok(w.connections.length > 10 && w.connections.length < 25, `${w.connections.length} dials in a minute`)
    w.dialling.spoilt = false
    w.near.send(1_000)
    assert.ok(await w.time.runUntil(() => whole(w), 5_000))
    // A later loss has nothing to do with it.
    await w.time.run(6_000)
    const before = w.connections.length
    w.connections.at(-1)!.cut()
    w.near.send(1_000)
    assert.ok(await w.time.runUntil(() => whole(w), 200))
    assert.equal(w.connections.length, before + 1)
  })

  it('is as mortal as its path before the key is known', async () => {
    const w = await world(1, false)
    w.connections[0].cut()
    await w.time.run(1_000)
    assert.ok(w.near.closed)
    assert.ok(w.far.closed)
    assert.equal(w.server.size, 0)
  })

  /** Sends bytes to the agent as another party; resolves to the types of the frames that come back. */
  async function attack(w: World, bytes: Buffer): Promise<number[]> {
    const connection = new Connection(w.time, () => 1)
    const seen: number[] = []
    const decoder = new LineDecoder({
      onData: () => seen.push(LineFrame.data),
      onReceived: () => {},
      onFrame: (type) => seen.push(type),
    })
    connection.client.start(
      (chunk) => decoder.push(chunk),
      () => {},
    )
    w.server.serve(connection.agent, () => assert.fail('a line was opened'))
    connection.client.send(bytes, () => {})
    await w.time.run(300)
    assert.ok(connection.over, 'the connection is ended')
    return seen
  }

  it('refuses another party, who disturbs nothing', async () => {
    const w = await world()
    const id = w.connections[0].up.seen[0].subarray(-16)
    const forged = [
      lineFrame(LineFrame.open, id),
      lineFrame(LineFrame.open, Buffer.alloc(5)),
      lineFrame(LineFrame.resume, Buffer.alloc(60)),
      lineFrame(LineFrame.resume, Buffer.concat([id, Buffer.alloc(5), Buffer.from([99]), Buffer.alloc(38)])),
      lineFrame(LineFrame.resume, Buffer.alloc(3)),
      lineFrame(LineFrame.join, Buffer.concat([id, Buffer.alloc(5), Buffer.from([99]), Buffer.alloc(38)])),
      lineFrame(LineFrame.join, Buffer.alloc(3)),
      lineFrame(LineFrame.probe, Buffer.alloc(4)),
    ]
    for (const frame of forged) assert.deepEqual(await attack(w, frame.subarray(PATH_HEADROOM)), [LineFrame.refused])
    for (const type of [LineFrame.ack, LineFrame.end, LineFrame.data])
      assert.deepEqual(await attack(w, lineFrame(type, Buffer.alloc(12)).subarray(PATH_HEADROOM)), [])
    w.near.send(5_000)
    w.far.send(5_000)
    assert.ok(await w.time.runUntil(() => whole(w), 1_000))
    assert.equal(w.client.report.resumptions, 0)
    assert.equal(w.server.size, 1)
  })

  it('refuses an attempt that claims bytes nobody has sent, and goes on waiting for its client', async () => {
    const w = await world(1, true, 10_000)
    w.dialling.hangs = true
    w.connections[0].cut()
    await w.time.run(100)
    assert.equal(w.server.absent, 1)
    const id = w.connections[0].up.seen[0].subarray(-16)
    const body = resumeBody(w.key!, { id, counter: 1_000, received: 2 ** 40 })
    assert.deepEqual(await attack(w, lineFrame(LineFrame.resume, body).subarray(PATH_HEADROOM)), [LineFrame.refused])
    assert.equal(w.server.absent, 1)
    await w.time.run(11_000)
    assert.equal(w.server.size, 0)
  })

  it('refuses an attempt that was overheard, and takes the true one', async () => {
    const w = await world()
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.client.report.resumptions === 1, 5_000))
    const overheard = w.connections[1].up.seen[0].subarray(GREETING.length)
    assert.deepEqual(await attack(w, overheard), [LineFrame.refused])
    w.near.send(5_000)
    assert.ok(await w.time.runUntil(() => whole(w), 1_000))
    assert.equal(w.client.report.resumptions, 1)
  })

  it('goes on when an attempt is refused because a later one, or its own copy, came first', async () => {
    const w = await world()
    w.connections[0].cut()
    assert.ok(await w.time.runUntil(() => w.connections.length === 2, 1_000))
    w.connections[1].up.stalled = true
    assert.ok(await w.time.runUntil(() => w.connections.length === 3, 1_000))
    // The agent takes the second attempt, and its answer is late: the first one is refused meanwhile.
    w.connections[2].down.stalled = true
    await w.time.run(50)
    w.connections[1].up.stalled = false
    w.connections[1].up.flush()
    await w.time.run(50)
    assert.equal(w.near.closed, undefined)
    // So is the third, whose copy somebody brings to the agent before it.
    assert.ok(await w.time.runUntil(() => w.connections.length === 4, 1_000))
    w.connections[3].up.stalled = true
    await w.time.run(50)
    const copied = new Connection(w.time, () => 1)
    copied.client.start(
      () => {},
      () => {},
    )
    w.server.serve(copied.agent, () => {})
    copied.client.send(w.connections[3].up.seen[0].subarray(GREETING.length), () => {})
    await w.time.run(50)
    w.connections[3].up.stalled = false
    w.connections[3].up.flush()
    w.near.send(5_000)
    w.far.send(5_000)
    assert.ok(await w.time.runUntil(() => whole(w), 5_000))
    assert.ok(fine(w))
    assert.equal(w.near.closed, undefined)
  })

  it('holds a bounded number of bytes while nobody acknowledges them', async () => {
    const held = async (direction: 'up' | 'down') => {
      const w = await world()
      w.dialling.hangs = true
      w.connections[0][direction].stalled = true
      for (let i = 0; i < 400; i++) {
        w.near.send(100_000)
        await w.time.run(1)
      }
      await w.time.run(10_000)
      return w.near.sent - w.near.transport.buffered
    }
    // docs/understand/line.md: 16 MiB, give or take a message.
    const most = 16 * 2 ** 20
    assert.ok((await held('up')) <= most + 200_000)
    const unacknowledged = await held('down')
    assert.ok(unacknowledged <= most + 200_000, `${unacknowledged} bytes left the queue that is seen from above`)
    assert.ok(
      unacknowledged >= most - 200_000,
      `${unacknowledged} bytes are less than a fast line with a long way needs`,
    )
  })

  it('uses its memory again while it is busy, and frees it when it is idle', async (t) => {
    const w = await world()
    const { mock } = t.mock.method(Buffer, 'allocUnsafeSlow')
    const burst = async () => {
      const before = mock.callCount()
      // As a round trip with much in flight: all of it waits for acknowledgement at once.
      w.connections[0].up.stalled = true
      for (let i = 0; i < 60; i++) w.near.send(131_000)
      await w.time.run(500)
      w.connections[0].up.stalled = false
      w.connections[0].up.flush()
      assert.ok(await w.time.runUntil(() => whole(w), 5_000))
      await w.time.run(200)
      return mock.callCount() - before
    }
    assert.ok((await burst()) >= 55)
    assert.equal(await burst(), 0)
    await w.time.run(10_000)
    assert.equal(await burst(), 0)
    await w.time.run(70_000)
    assert.ok((await burst()) >= 50)
  })

  it('tells a client of lines that the agent is an old one, which speaks SSH at once', async () => {
    const time = new VirtualTime()
    const connection = new Connection(time, () => 1)
    connection.agent.start(
      () => {},
      () => {},
    )
    connection.agent.send(Buffer.from('SSH-2.0-kt_agent\r\n'), () => {})
    const client = await LineClient.open(
      {
        clock: time,
        turns: time.turns,
        wall: () => time.now(),
        random: (bytes) => Buffer.alloc(bytes),
        dial: async () => connection.client,
        isAlive: async () => true,
        log: () => {},
      },
      new AbortController().signal,
    )
    const near = new Talker(client.transport)
    await time.run(100)
    assert.ok(near.closed && client.unknownHere)
  })

  it('delivers every byte once and in order, whatever the network and the machine do, and ends with nothing left', async () => {
    for (const seed of seeds(1_000)) await runSchedule(seed, 1)
  })

  it('reads frames cut anywhere as it reads them whole', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }),
        fc.array(fc.nat(300)),
        (bodies, cuts) => {
          const frames = bodies.map((body, i) =>
            lineFrame(i % 2 === 0 ? LineFrame.probe : LineFrame.ack, body).subarray(PATH_HEADROOM),
          )
          const bytes = Buffer.concat(frames)
          const seen: string[] = []
          const decoder = new LineDecoder({
            onData: () => {},
            onReceived: () => {},
            onFrame: (type, body) => seen.push(`${type} ${body.toString('hex')}`),
          })
          const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
          for (let i = 1; i < edges.length; i++) decoder.push(bytes.subarray(edges[i - 1], edges[i]))
          assert.deepEqual(
            seen,
            bodies.map(
              (body, i) => `${i % 2 === 0 ? LineFrame.probe : LineFrame.ack} ${Buffer.from(body).toString('hex')}`,
            ),
          )
        },
      ),
    )
  })

  it('reads DATA at any offset below 2^48 as it was written, cut anywhere', () => {
    const offset = fc.integer({ min: 0, max: 2 ** 48 - 1 })
    const message = fc.record({ offset, received: offset, payload: fc.uint8Array({ minLength: 1, maxLength: 300 }) })
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat(2000), { maxLength: 8 }), (messages, cuts) => {
        const frames = messages.map(({ offset, received, payload }) => {
          const slab = Buffer.alloc(DATA_HEADER + payload.length)
          slab.set(payload, DATA_HEADER)
          assert.equal(sealLineData(slab, DATA_HEADER, slab.length, offset, received), 0)
          return slab
        })
        const bytes = Buffer.concat(frames)
        const seen: { offset: number; received: number; payload: number[] }[] = []
        let received = -1
        const decoder = new LineDecoder({
          onReceived: (count) => {
            received = count
          },
          onData(offset, piece) {
            const last = seen.at(-1)
            if (last && last.payload.length > 0 && offset === last.offset + last.payload.length && received < 0)
              last.payload.push(...piece)
            else seen.push({ offset, received, payload: [...piece] })
            received = -1
          },
          onFrame: () => assert.fail('a frame that is not DATA'),
        })
        const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        for (let i = 1; i < edges.length; i++) decoder.push(bytes.subarray(edges[i - 1], edges[i]))
        assert.deepEqual(
          seen,
          messages.map(({ payload, ...offsets }) => ({ ...offsets, payload: [...payload] })),
        )
      }),
    )
  })
})
