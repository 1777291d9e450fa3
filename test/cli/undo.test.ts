// What `kt down` hears from the helper through its socket.
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { reportOf } from '../../src/cli/undo.ts'
import { VirtualTime } from '../support/virtual-time.ts'

async function* said(...lines: unknown[]): AsyncGenerator<unknown> {
  yield* lines
}

test('a helper that is stopped is not waited for without end', async () => {
  const time = new VirtualTime()
  const socket = new Socket()
  async function* silent(): AsyncGenerator<unknown> {
    await new Promise(() => {})
  }
  const report = reportOf({ socket, lines: silent() }, time)
  const refused = assert.rejects(report, { message: /has not answered for 120 s/, hint: /^`sudo kt down`/ })
  await time.run(121_000)
  await refused
  assert.ok(socket.destroyed)
})

test('a report is given as it came, and a helper that ends without one has failed', async () => {
  const time = new VirtualTime()
  const line = { type: 'undone', undone: ['routes'], notes: [], failed: [] }
  assert.equal(await reportOf({ socket: new Socket(), lines: said(line) }, time), line)
  await assert.rejects(reportOf({ socket: new Socket(), lines: said() }, time), /the helper ended/)
  const failed = said({ type: 'failed', message: 'no journal' })
  await assert.rejects(reportOf({ socket: new Socket(), lines: failed }, time), /could not be undone: no journal/)
})
