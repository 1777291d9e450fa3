// Which way a port-forward takes: SPDY where the server takes it, a WebSocket where it says that it does not.
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { openPortForward, type TunnelError } from '../../src/tunnel/index.ts'

/** A server that answers each request with `status` and remembers what was asked; upgrades to WebSockets are refused with 500. */
async function asked(status: number): Promise<{ requests: string[]; error: TunnelError }> {
  const requests: string[] = []
  const server = createServer()
  server.on('upgrade', (request, socket) => {
    requests.push(`${request.method} ${request.headers.upgrade}`)
    const answer = request.method === 'POST' ? status : 500
    socket.end(`HTTP/1.1 ${answer} No\r\ncontent-length: 2\r\n\r\nno`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const url = `ws://127.0.0.1:${port}/api/v1/namespaces/n/pods/p/portforward?ports=2222`
    const error = await openPortForward({ url, headers: {}, tls: { rejectUnauthorized: true } }).then(
      () => assert.fail('nothing can be opened here'),
      (reason: TunnelError) => reason,
    )
    return { requests, error }
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('both ways bring all headers: a list as one header for each, letters as the bytes they are', async () => {
  const seen: string[][] = []
  const server = createServer()
  server.on('upgrade', ({ rawHeaders }, socket) => {
    seen.push(rawHeaders)
    socket.end('HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const headers = { 'Impersonate-User': Buffer.from('jür').toString('latin1'), 'Impersonate-Group': ['dev', 'ops'] }
  const url = `ws://127.0.0.1:${port}/portforward?ports=2222`
  await assert.rejects(openPortForward({ url, headers, tls: { rejectUnauthorized: true } }))
  server.close()
  assert.equal(seen.length, 2)
  for (const raw of seen) {
    const values = (name: string) => raw.filter((_, i) => i % 2 === 1 && raw[i - 1] === name)
    assert.deepEqual(values('Impersonate-Group'), ['dev', 'ops'])
    assert.equal(Buffer.from(values('Impersonate-User')[0], 'latin1').toString(), 'jür')
  }
})

test('a server or a right that knows no SPDY: the WebSocket is tried', async () => {
  for (const status of [400, 403, 405, 501]) {
    const { requests, error } = await asked(status)
    assert.deepEqual(requests, ['POST SPDY/3.1', 'GET websocket'], `${status}`)
    assert.match(error.message, /answered 500/)
  }
})

test('the one that is tried first is told, and the other follows; the error says what each came to', async () => {
  const requests: string[] = []
  const server = createServer()
  server.on('upgrade', (request, socket) => {
    requests.push(`${request.headers.upgrade}`)
    const status = request.method === 'POST' ? 502 : 403
    socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 2\r\n\r\nno`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `ws://127.0.0.1:${port}/portforward?ports=2222`
  const endpoint = { url, headers: {}, tls: { rejectUnauthorized: true } }
  await assert.rejects(openPortForward(endpoint, undefined, { first: 'websocket' }), {
    message:
      'port-forward: the API server answered 502 no (over SPDY; over a WebSocket: the API server answered 403 no)',
  })
  assert.deepEqual(requests, ['websocket', 'SPDY/3.1'])
  server.close()
})

test('a connection that fails says with which error of the system', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  const url = `ws://127.0.0.1:${port}/portforward?ports=2222`
  await assert.rejects(
    openPortForward({ url, headers: {}, tls: { rejectUnauthorized: true } }),
    (error: Error) => (error.cause as NodeJS.ErrnoException).code === 'ECONNREFUSED',
  )
})

test('once one way is open, no connection for the other one is begun', async () => {
  const server = createServer()
  server.on('upgrade', (_, socket) => {
    socket.on('error', () => {}).on('end', () => socket.end())
    socket.resume()
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `ws://127.0.0.1:${port}/portforward?ports=2222`
  let begun = 0
  const count = () => void begun++
  subscribe('net.client.socket', count)
  const path = await openPortForward({ url, headers: {}, tls: { rejectUnauthorized: true } })
  await new Promise((resolve) => setImmediate(resolve))
  unsubscribe('net.client.socket', count)
  path.destroy()
  await new Promise((resolve) => server.close(resolve))
  assert.equal(begun, 1)
})

test('what a WebSocket would not mend is told at once', async () => {
  for (const status of [401, 404, 500]) {
    const { requests, error } = await asked(status)
    assert.deepEqual(requests, ['POST SPDY/3.1'], `${status}`)
    assert.equal(error.code, 'unreachable')
    assert.match(error.message, new RegExp(`answered ${status}`))
  }
})
