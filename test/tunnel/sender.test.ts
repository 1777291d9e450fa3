// The sending half of a line by itself: what it keeps, and since when it waits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DATA_HEADER, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Receiver } from '../../src/tunnel/line/receiver.ts'
import { type Carriers, Sender } from '../../src/tunnel/line/sender.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { VirtualTime } from '../support/virtual-time.ts'

/** A path that changes what it sends, as a mask in clear text does. */
function maskingPath(): { path: LinePath; payloads: Buffer[] } {
  const payloads: Buffer[] = []
  const seal = (slab: Buffer, start: number, end: number) => {
    for (let i = start; i < end; i++) slab[i] ^= 0xff
    return start
  }
  const path = {
    framing: { headroom: PATH_HEADROOM, alters: true, seal },
    send: (message: Buffer, done: () => void) => {
      payloads.push(Buffer.from(message.subarray(DATA_HEADER)).map((byte) => byte ^ 0xff) as Buffer)
      done()
    },
  } as unknown as Path
  return { path: new LinePath(path, 0), payloads }
}

function sender(): { time: VirtualTime; carriers: Carriers; sender: Sender } {
  const time = new VirtualTime()
  const carriers: Carriers = { current: undefined, stripe: undefined }
  const receiver = new Receiver({ clock: time, path: () => carriers.current, over: assert.fail })
  return { time, carriers, sender: new Sender({ clock: time, turns: time.turns, carriers, receiver, onProgress() {} }) }
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
  one.sender.sendAgain(second.path)
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
