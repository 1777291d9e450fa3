import assert from 'node:assert/strict'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { resetSocket } from '../../src/base/reset.ts'

async function pair(): Promise<{ near: Socket; far: Socket; close(): void }> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as { port: number }).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  for (const socket of [near, far]) socket.on('error', () => {})
  return { near, far, close: () => server.close() }
}

test('the other side sees a reset', async () => {
  const { near, far, close } = await pair()
  far.resume()
  resetSocket(near)
  const [error] = await once(far, 'error')
  assert.equal(error.code, 'ECONNRESET')
  close()
})

test('a socket whose FIN is on its way is closed, and not forgotten', async () => {
  const { near, far, close } = await pair()
  far.resume()
  near.end('last')
  resetSocket(near)
  await Promise.all([once(near, 'close'), once(far.end(), 'close')])
  assert.equal((near as unknown as { _handle: unknown })._handle, null)
  close()
})

test('no socket of the program is reset in another way', () => {
  const files = globSync('src/**/*.{ts,tsx}').filter((file) => file !== 'src/base/reset.ts')
  // What declares the method for others is no call of it.
  const calls = files.filter((file) => /\.resetAndDestroy\(/.test(readFileSync(file, 'utf8')))
  assert.ok(files.length > 300)
  assert.deepEqual(calls, [])
})
