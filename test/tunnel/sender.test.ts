// The sending half of a line by itself: what it keeps, and since when it waits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DATA_HEADER, LineFrame, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Receiver } from '../../src/tunnel/line/receiver.ts'
import { type Carriers, Sender } from '../../src/tunnel/line/sender.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../support/virtual-time.ts'

/** A path that changes what it sends, as a mask in clear text does. */
function maskingPath(): { path: LinePath; payloads: Buffer[]; frames: number[] } {
  const payloads: Buffer[] = []
  /** Types of those that are not DATA. */
  const frames: number[] = []
  const seal = (slab: Buffer, start: number, end: number) => {
    for (let i = start; i < end; i++) slab[i] ^= 0xff
    return start
  }
  const path = {
    framing: { headroom: PATH_HEADROOM, alters: true, seal },
    send: (message: Buffer, done: () => void) => {
      if ((message[0] ^ 0xff) !== LineFrame.data) frames.push(message[0] ^ 0xff)
      else payloads.push(Buffer.from(message.subarray(DATA_HEADER)).map((byte) => byte ^ 0xff) as Buffer)
      done()
    },
  } as unknown as Path
  return { path: new LinePath(path, 0), payloads, frames }
}

function sender(): { time: VirtualTime; carriers: Carriers; receiver: Receiver; sender: Sender } {
  const time = new VirtualTime()
  const carriers: Carriers = { current: undefined, stripe: undefined }
  const receiver = new Receiver({ clock: time, path: () => carriers.current, over: assert.fail })
  const sender = new Sender({ clock: time, turns: time.turns, carriers, receiver, onProgress() {} })
  return { time, carriers, receiver, sender }
}

test('what a path has changed is sent again as it was', async () => {
  const one = sender()
  const first = maskingPath()
  one.carriers.current = first.path
  const message = Buffer.alloc(100_000, 'kt')
  one.sender.gatherer.write(message)
  await one.time.run(1)
  assert.ok(Buffer.concat(first.payloads).equals(message))
  const second = maskingPath()
  one.carriers.current = second.path
  one.sender.retransmit(second.path)
  assert.ok(Buffer.concat(second.payloads).equals(message))
})

test('it waits since the first byte that nobody has acknowledged, and not since the acknowledgement before', async () => {
  const one = sender()
  one.carriers.current = maskingPath().path
  one.sender.gatherer.write(Buffer.alloc(10))
  await one.time.run(1)
  one.sender.acknowledge(10)
  assert.equal(one.sender.waitingSince, undefined)
  await one.time.run(5_000)
  const now = one.time.now()
  one.sender.gatherer.write(Buffer.alloc(10))
  await one.time.run(100)
  assert.ok(one.sender.waitingSince! >= now)
})

test('it waits since the last progress, and since it sent again what was not acknowledged', async () => {
  const one = sender()
  const path = maskingPath()
  one.carriers.current = path.path
  one.sender.gatherer.write(Buffer.alloc(10))
  await one.time.run(500)
  one.sender.acknowledge(5)
  assert.equal(one.sender.waitingSince, 500)
  await one.time.run(500)
  // The same again is none.
  one.sender.acknowledge(5)
  assert.equal(one.sender.waitingSince, 500)
  one.sender.retransmit(path.path)
  assert.equal(one.sender.waitingSince, 1_000)
  assert.deepEqual(
    path.payloads.map(({ length }) => length),
    [10, 5],
  )
})

test('an acknowledgement leaves with data, and then not alone', async () => {
  for (const again of [false, true]) {
    const one = sender()
    const path = maskingPath()
    one.carriers.current = path.path
    one.receiver.start(() => {})
    if (again) one.sender.gatherer.write(Buffer.alloc(10))
    await one.time.run(10)
    one.receiver.receive(0, Buffer.alloc(100), path.path)
    if (again) one.sender.retransmit(path.path)
    else one.sender.gatherer.write(Buffer.alloc(10))
    await one.time.run(1_000)
    assert.deepEqual(path.frames, [])
    one.receiver.receive(100, Buffer.alloc(100), path.path)
    await one.time.run(1_000)
    assert.deepEqual(path.frames, [LineFrame.ack])
  }
})

test('a message of 32 KiB is kept where it was encrypted, and a smaller one as a copy of its size', async (t) => {
  for (const [size, slabs] of [
    [32 * 1024, 40],
    [32 * 1024 - 1, 2],
  ]) {
    const one = sender()
    const path = { framing: plainFraming, send: (_: Buffer, done: () => void) => done() } as unknown as Path
    one.carriers.current = new LinePath(path, 0)
    one.carriers.current.onIdle = one.sender.proceed
    const { mock } = t.mock.method(Buffer, 'allocUnsafeSlow')
    for (let i = 0; i < 40; i++) {
      one.sender.gatherer.write(Buffer.alloc(size))
      await one.time.run(1)
    }
    assert.ok(Math.abs(mock.callCount() - slabs) <= 1, `${mock.callCount()} slabs for messages of ${size} bytes`)
    mock.restore()
  }
})
