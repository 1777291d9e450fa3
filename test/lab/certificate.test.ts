import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { createAuthority } from './certificate.ts'

const day = 86_400_000
const from = new Date(Date.now() - 3 * day)
const until = new Date(Date.now() + day)

test('a certificate made by hand is trusted by its authority only, and an expired one by nobody', async () => {
  const authority = createAuthority('lab-ca', from, until)
  const stranger = createAuthority('other-ca', from, until)
  const own = authority.issue({ commonName: 'api', addresses: ['127.0.0.1'], notBefore: from, notAfter: until })
  const server = tls.createServer({ ...own, ca: authority.cert, requestCert: true, rejectUnauthorized: false })
  const seen: boolean[] = []
  server.on('secureConnection', (socket) => {
    seen.push(socket.authorized)
    socket.end()
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const visit = async (ca: string, client?: { cert: string; key: string }) => {
    const socket = tls.connect({ host: '127.0.0.1', port, ca, ...client })
    const outcome = await new Promise<string>((resolve) => {
      socket.on('secureConnect', () => resolve('trusted'))
      socket.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    })
    socket.resume()
    if (!socket.closed) await once(socket, 'close')
    return outcome
  }
  const name = { commonName: 'admin', organization: 'system:masters', notBefore: from }
  assert.equal(await visit(authority.cert, authority.issue({ ...name, notAfter: until })), 'trusted')
  assert.equal(
    await visit(authority.cert, authority.issue({ ...name, notAfter: new Date(Date.now() - day) })),
    'trusted',
  )
  assert.notEqual(await visit(stranger.cert), 'trusted')
  server.close()
  assert.deepEqual(seen.slice(0, 2), [true, false])
})
