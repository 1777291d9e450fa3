import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { quietPipes } from '../../src/base/children.ts'
import { listening } from '../../src/base/listen.ts'

test('a server that cannot accept some connections goes on, and one that cannot listen rejects', async () => {
  const server = createServer((socket) => socket.end('here'))
  await listening(server, { port: 0, host: '127.0.0.1' })
  const { port } = server.address() as AddressInfo
  // As Node tells of each accept(2) that failed.
  for (let i = 0; i < 3; i++) server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  const socket = connect(port, '127.0.0.1')
  assert.equal(String((await once(socket, 'data'))[0]), 'here')
  await assert.rejects(listening(createServer(), { port, host: '127.0.0.1' }), { code: 'EADDRINUSE' })
  server.close()
})

test('what happens to the pipes of a child, or to one that could not be made, ends nothing', async () => {
  const child = quietPipes(spawn(process.execPath, ['-e', ''], { stdio: 'pipe' }))
  for (const pipe of child.stdio) pipe!.emit('error', new Error('EPIPE'))
  child.stdin.write('x'.repeat(1 << 20))
  await once(child, 'close')
  child.emit('error', new Error('kill EPERM'))
  const missing = quietPipes(spawn('/nowhere/at-all', [], { stdio: 'pipe' }))
  await new Promise((resolve) => missing.once('close', resolve))
})
