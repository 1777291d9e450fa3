// The library's dispatcher: connections that are kept open, and new ones after a Service leads elsewhere.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { RenewableDispatcher } from '../../src/library/socket.ts'
import type { Reach } from '../../src/reach/reach.ts'
import { IpAddress } from '../../src/wire/address.ts'

/** Every host is this machine's loopback. */
const loopback = {
  dial: (_host: string, port: number, attempts: Parameters<Reach['dial']>[2]) =>
    attempts.direct([IpAddress.parse('127.0.0.1')], port),
} as unknown as Reach

test('a renewed dispatcher opens new connections, and requests that are under way end well', {
  timeout: 20_000,
}, async () => {
  let connections = 0
  let finish: (() => void) | undefined
  const server = createServer((request, response) => {
    if (request.url === '/slow') finish = () => response.end('slow')
    else response.end('ok')
  }).on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const dispatcher = new RenewableDispatcher(loopback)
  const origin = `http://web:${(server.address() as AddressInfo).port}`
  const get = async (path: string) =>
    (await fetch(origin + path, { dispatcher: dispatcher.public } as RequestInit)).text()
  try {
    for (let i = 0; i < 8; i++) assert.equal(await get('/'), 'ok')
    const kept = connections
    assert.ok(kept < 8, 'connections are kept open')
    const slow = get('/slow')
    while (!finish) await new Promise((resolve) => setImmediate(resolve))
    dispatcher.renew()
    assert.equal(await get('/'), 'ok')
    assert.equal(connections, kept + 1)
    finish()
    assert.equal(await slow, 'slow')
  } finally {
    await dispatcher.destroy()
    server.close()
    server.closeAllConnections()
  }
})
