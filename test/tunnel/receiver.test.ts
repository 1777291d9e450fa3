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
  const path = { got: 0, send } as unknown as LinePath
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
  // A frame with data has told it.
  receiver.told()
  await time.run(200)
  assert.deepEqual(told, [most, most + 5])
})
