// PATH_ACK, by itself: when the other end is told what has come over a path.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineFrame, offsetAt, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import type { LinePath } from '../../src/tunnel/line/line-path.ts'
import { PathAcks } from '../../src/tunnel/line/path-acks.ts'
import { VirtualTime } from '../support/virtual-time.ts'

function pathAcks(received: () => number = () => 0) {
  const time = new VirtualTime()
  const told: { at: number; received: number; arrived: number; path: LinePath }[] = []
  const all = new PathAcks(time, received)
  const pathThat = (): { path: LinePath; brings: (bytes: number) => void } => {
    const path = { received: 0, ackSent: 0 } as LinePath
    path.send = (frame) => {
      assert.equal(frame[PATH_HEADROOM], LineFrame.pathAck)
      const [received, arrived] = [4, 10].map((at) => offsetAt(frame, PATH_HEADROOM + at)!)
      told.push({ at: time.now(), received, arrived, path })
    }
    const brings = (bytes: number) => {
      path.received += bytes
      all.arrived(path)
    }
    return { path, brings }
  }
  return { time, told, all, pathThat }
}

test('each 256 KiB are told at once, and the rest after 10 ms', async () => {
  const { time, told, pathThat } = pathAcks()
  const { brings } = pathThat()
  const said = () => told.splice(0).map(({ at, arrived }) => [at, arrived])
  brings(262_143)
  assert.deepEqual(said(), [])
  brings(1)
  assert.deepEqual(said(), [[0, 262_144]])
  await time.run(20)
  assert.deepEqual(said(), [], 'nothing is told twice')
  brings(5)
  await time.run(5)
  brings(5)
  await time.run(4)
  assert.deepEqual(said(), [])
  await time.run(1)
  assert.deepEqual(said(), [[30, 262_154]])
  // What was told at once ends the wait of what came before.
  brings(5)
  await time.run(5)
  brings(262_144)
  assert.deepEqual(said(), [[35, 524_303]])
  await time.run(3)
  brings(5)
  await time.run(9)
  assert.deepEqual(said(), [])
  await time.run(1)
  assert.deepEqual(said(), [[48, 524_308]])
})

test('each path is told of itself, and the whole line of what has come in order', async () => {
  let inOrder = 7
  const { time, told, pathThat, all } = pathAcks(() => inOrder)
  const [one, other] = [pathThat(), pathThat()]
  one.brings(100)
  await time.run(5)
  other.brings(200)
  inOrder = 300
  await time.run(10)
  assert.deepEqual(told, [
    { at: 10, received: 300, arrived: 100, path: one.path },
    { at: 15, received: 300, arrived: 200, path: other.path },
  ])
  one.brings(1)
  all.close()
  await time.run(100)
  assert.equal(told.length, 2)
})
