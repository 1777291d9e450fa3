// The receiving half of a line by itself: when it acknowledges.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineFrame, offsetAt, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import type { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Receiver } from '../../src/tunnel/line/receiver.ts'
import { VirtualTime } from '../support/virtual-time.ts'

test('each 1.5 MiB is acknowledged at once, and the rest after 100 ms', async () => {
  const time = new VirtualTime()
  const told: number[] = []
  const send = (frame: Buffer) => {
    assert.equal(frame[PATH_HEADROOM], LineFrame.ack)
    told.push(offsetAt(frame, PATH_HEADROOM + 4)!)
  }
  const path = { received: 0, send } as unknown as LinePath
  const receiver = new Receiver({ clock: time, path: () => path, over: assert.fail })
  receiver.start(() => {})
  const most = 1.5 * 2 ** 20
  receiver.receive(0, Buffer.alloc(most - 1), path)
  assert.deepEqual(told, [])
  receiver.receive(most - 1, Buffer.alloc(1), path)
  assert.deepEqual(told, [most])
  receiver.receive(most, Buffer.alloc(5), path)
  await time.run(99)
  assert.deepEqual(told, [most])
  await time.run(2)
  assert.deepEqual(told, [most, most + 5])
  receiver.receive(most + 5, Buffer.alloc(5), path)
  // A frame with data has carried it.
  receiver.ackPiggybacked()
  await time.run(200)
  assert.deepEqual(told, [most, most + 5])
})

test('a stream is over when all in front of its end has come, whichever path brings the last of it', async () => {
  const time = new VirtualTime()
  const path = { received: 0, ackSent: 0, send() {} } as unknown as LinePath
  const over: (string | undefined)[] = []
  const got: number[] = []
  const receiver = new Receiver({ clock: time, path: () => path, over: (error) => over.push(error?.message) })
  receiver.start((chunk) => got.push(chunk.length))
  receiver.expectEarly(1_000)
  receiver.receive(0, Buffer.alloc(5), path)
  receiver.ended(10)
  assert.deepEqual([over, receiver.isEnding], [[], true])
  receiver.receive(7, Buffer.alloc(3), path)
  assert.deepEqual(over, [])
  receiver.receive(5, Buffer.alloc(2), path)
  assert.deepEqual([over, got], [[undefined], [5, 2, 3]])
})

test('a stream that ends elsewhere than it says is cut', () => {
  for (const end of [4, 6, undefined]) {
    const over: (string | undefined)[] = []
    const path = { received: 0, send() {} } as unknown as LinePath
    const clock = new VirtualTime()
    const receiver = new Receiver({ clock, path: () => path, over: (error) => over.push(error?.message) })
    receiver.receive(0, Buffer.alloc(5), path)
    receiver.ended(end)
    assert.deepEqual(over, ['the line ended before all of it had come'])
  }
})

test('what comes when it is closed is not passed on, and what it waited for ends', async () => {
  const time = new VirtualTime()
  const path = { received: 0, send: assert.fail } as unknown as LinePath
  const receiver = new Receiver({ clock: time, path: () => path, over: assert.fail })
  const got: number[] = []
  receiver.start((chunk) => got.push(chunk.length))
  receiver.receive(0, Buffer.alloc(5), path)
  receiver.close()
  receiver.receive(5, Buffer.alloc(5), path)
  await time.run(1_000)
  assert.deepEqual([got, time.pending], [[5], 0])
})
