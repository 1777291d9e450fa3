// What the helper's socket takes, and for how long it waits. How it serves is helper-socket.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VERSION } from '../../src/control/version.ts'
import { type ServeDeps, serveCall } from '../../src/daemon/helper/serve.ts'
import { systemEffects } from '../../src/host/linux/effects.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const self = { program: '/usr/bin/kt', version: VERSION }

/** A call of these lines; one that is undefined never comes. */
async function call(lines: (string | undefined)[], more: Partial<ServeDeps> = {}): Promise<Record<string, unknown>[]> {
  const clock = new VirtualTime()
  const told: Record<string, unknown>[] = []
  const line = (text: string | undefined) =>
    text === undefined ? new Promise<string>(() => {}) : Promise.resolve(text)
  const served = serveCall({
    effects: systemEffects(),
    clock,
    caller: {
      call: () => line(lines[0]),
      config: () => line(lines[1]),
      tell: (one) => void told.push(one as Record<string, unknown>),
      detach: () => {},
    },
    engineProgram: [],
    environment: {},
    pid: 1,
    log: () => {},
    onStop: () => {},
    peer: () => 4711,
    program: self.program,
    undo: async () => ({ undone: [], notes: [], failed: [] }),
    ...more,
  })
  for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve))
  await clock.run(10_000)
  await served
  return told
}

test('who says nothing, or half of it, is not waited for', async () => {
  for (const lines of [[undefined], [JSON.stringify({ ...self, op: 'up', foreground: false }), undefined]]) {
    const [failed] = await call(lines)
    assert.deepEqual([failed['type'], failed['message']], ['failed', 'nothing was asked for in time'])
  }
})

test('the helper serves its own program in its own version, and says nothing of the rest', async () => {
  assert.deepEqual(await call([JSON.stringify({ ...self, op: 'hello' })]), [{ type: 'taken' }])
  for (const other of [{ program: '/home/me/kt/bin/kt' }, { version: '9.9.9' }, { program: undefined }]) {
    const [failed] = await call([JSON.stringify({ ...self, op: 'hello', ...other })])
    assert.equal(failed['code'], 'other-program')
  }
})

test('what is no call is refused', async () => {
  for (const text of ['', 'null', '[]', '{', '"up"', JSON.stringify({ ...self, op: 'reboot' })])
    assert.match(String((await call([text]))[0]['code']), /^(bad-request|other-program)$/, text)
})

test('undo is for the user whom the kernel names', async () => {
  const asked: number[] = []
  const undo = async (uid: number) => {
    asked.push(uid)
    return { undone: ['kt0'], notes: [], failed: [] }
  }
  const told = await call([JSON.stringify({ ...self, op: 'undo' })], { undo })
  assert.deepEqual(told, [{ type: 'taken' }, { type: 'undone', undone: ['kt0'], notes: [], failed: [] }])
  assert.deepEqual(asked, [4711])
})

test('a peer that the kernel does not name is refused', async () => {
  const peer = () => {
    throw new Error('ENOTCONN')
  }
  assert.equal((await call([JSON.stringify({ ...self, op: 'undo' })], { peer }))[0]['type'], 'failed')
})
