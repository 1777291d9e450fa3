// One end of a line that ends, over two paths whose sockets a test empties.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineFrame } from '../../src/tunnel/line/frames.ts'
import { Line } from '../../src/tunnel/line/line.ts'
import { LinePath } from '../../src/tunnel/line/line-path.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../support/virtual-time.ts'

/** A path whose socket takes messages when `take` is called. */
function pathThat() {
  const types: number[] = []
  const waiting: (() => void)[] = []
  const path = {
    framing: plainFraming,
    send: (message: Buffer, done: () => void) => {
      types.push(message[0])
      waiting.push(done)
    },
    end() {},
    destroy() {},
  } as unknown as Path
  const take = () => {
    for (const done of waiting.splice(0)) done()
  }
  return { path: new LinePath(path, 0), types, take }
}

async function twoThatEnd() {
  const time = new VirtualTime()
  const line = new Line({ clock: time, turns: time.turns })
  line.start(
    () => {},
    () => {},
  )
  const [first, second] = [pathThat(), pathThat()]
  line.attach(first.path, 0)
  line.join(second.path, 0)
  line.write(Buffer.alloc(1_000))
  line.end()
  await time.run(60)
  const { data, end } = LineFrame
  assert.deepEqual([first.types, second.types], [[data, end], [end]])
  return { line, first, second }
}

test('a line is over when the sockets of both paths have taken END', async () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { line, first, second } = await twoThatEnd()
    const paths = [first, second]
    paths[order[0]].take()
    assert.equal(line.over, false)
    paths[order[1]].take()
    assert.equal(line.over, true)
  }
})

test('when one of them is lost, the other one gets its bytes and END again', async () => {
  const { line, first, second } = await twoThatEnd()
  second.take()
  line.detach(first.path, 'cut')
  assert.deepEqual(second.types, [LineFrame.end, LineFrame.data, LineFrame.end])
  // A third one has no bytes before its END, and says nothing of those of the second.
  const third = pathThat()
  line.join(third.path, 0)
  third.take()
  assert.equal(line.over, false)
  second.take()
  assert.equal(line.over, true)
})

test('it is over at once when the other end answers', async () => {
  const { line } = await twoThatEnd()
  line.acknowledge(1_000)
  assert.equal(line.over, false)
  line.ended(0)
  assert.equal(line.over, true)
})
