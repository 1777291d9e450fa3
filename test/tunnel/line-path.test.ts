// One path as a line uses it: what the kernel has taken, and what counts once the path is gone.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineFrame, lineFrame, PATH_HEADROOM } from '../../src/tunnel/line/frames.ts'
import { LinePath } from '../../src/tunnel/line/line-path.ts'
import { readPath } from '../../src/tunnel/line/reader.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../support/virtual-time.ts'

function pathThat() {
  const taken: (() => void)[] = []
  const closed: string[] = []
  const path = new LinePath(
    {
      framing: plainFraming,
      send: (_: Buffer, done: () => void) => void taken.push(done),
      end: () => closed.push('end'),
      destroy: () => closed.push('destroy'),
    } as unknown as Path,
    0,
  )
  return { path, taken, closed }
}

const frame = lineFrame(LineFrame.probe, Buffer.alloc(4))

test('it is idle when the kernel has taken everything', () => {
  const { path, taken } = pathThat()
  const events: string[] = []
  path.onIdle = () => events.push('idle')
  path.send(frame, () => events.push('first'))
  path.send(frame, () => events.push('second'))
  assert.equal(path.pending, 2)
  taken[0]()
  assert.deepEqual([path.pending, events], [1, ['first']])
  taken[1]()
  assert.deepEqual([path.pending, events], [0, ['first', 'second', 'idle']])
})

test('what comes when the client has closed it is not looked at', () => {
  let bring: (chunk: Buffer) => void = () => assert.fail()
  const given = { start: (onData: typeof bring) => void (bring = onData), destroy() {} } as unknown as Path
  const path = new LinePath(given, 0)
  const seen: number[] = []
  readPath(path, {
    ...{ clock: new VirtualTime(), log: assert.fail, line: () => undefined },
    onFrame: (type) => seen.push(type),
  })
  const probed = lineFrame(LineFrame.probed, Buffer.alloc(4)).subarray(PATH_HEADROOM)
  bring(probed)
  path.close()
  bring(probed)
  assert.deepEqual(seen, [LineFrame.probed])
})

test('once it is gone nothing that it calls back counts, and nothing is sent', () => {
  for (const go of ['lost', 'close', 'end'] as const) {
    const { path, taken, closed } = pathThat()
    path.onIdle = assert.fail
    path.send(frame, assert.fail)
    path[go]()
    taken[0]()
    path.send(frame, assert.fail)
    assert.deepEqual([path.open, path.pending, taken.length], [false, 0, 1])
    path.close()
    path.end()
    assert.deepEqual(closed, { lost: [], close: ['destroy'], end: ['end'] }[go])
  }
})
