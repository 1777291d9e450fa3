// Dials that are given up: at each step of the way the socket is ended at once, and nothing is left open.
import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, describe, it } from 'node:test'
import { openPortForward } from '../../src/tunnel/index.ts'

const servers: Server[] = []
after(() => {
  for (const server of servers) server.close()
})

/** A server that reads and answers `answer` once it has got something; resolves to its port and its connections. */
async function listening(answer: string | Buffer = ''): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.once('data', () => {
      if (answer.length > 0) socket.write(answer)
    })
    socket.resume()
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, sockets }
}

const tls = { rejectUnauthorized: true }
const given = new Error('given up')

describe('a dial that is given up', () => {
  const cases: [string, string | Buffer, (port: number) => { url: string; proxy?: string }][] = [
    ['while the server does not answer the upgrade', '', (port) => ({ url: `ws://127.0.0.1:${port}/` })],
    ['while the answer does not end', 'HTTP/1.1 101 Sw', (port) => ({ url: `ws://127.0.0.1:${port}/` })],
    ['in the TLS handshake', '', (port) => ({ url: `wss://127.0.0.1:${port}/` })],
    [
      'while an HTTP proxy does not answer',
      '',
      (port) => ({ url: 'ws://10.0.0.1:1/', proxy: `http://127.0.0.1:${port}` }),
    ],
    [
      'while a SOCKS proxy does not answer',
      '',
      (port) => ({ url: 'ws://10.0.0.1:1/', proxy: `socks5://127.0.0.1:${port}` }),
    ],
    [
      'while a SOCKS proxy dials',
      Buffer.of(5, 0),
      (port) => ({ url: 'ws://10.0.0.1:1/', proxy: `socks5://127.0.0.1:${port}` }),
    ],
  ]
  for (const [name, answer, target] of cases) {
    it(name, { timeout: 10_000 }, async () => {
      const { port, sockets } = await listening(answer)
      const controller = new AbortController()
      const dialling = openPortForward({ headers: {}, tls, ...target(port) }, controller.signal)
      dialling.catch(() => {})
      // The first bytes of the dial have come, and the answer has left.
      while (!sockets[0]?.bytesRead || sockets[0].bytesWritten < answer.length) await new Promise(setImmediate)
      const closed = new Promise((resolve) => sockets[0].once('close', resolve))
      controller.abort(given)
      await assert.rejects(dialling, given)
      await closed
      assert.equal(sockets.length, 1)
    })
  }

  it('before it began', async () => {
    const { port, sockets } = await listening()
    const dialling = openPortForward({ url: `ws://127.0.0.1:${port}/`, headers: {}, tls }, AbortSignal.abort(given))
    await assert.rejects(dialling, given)
    assert.equal(sockets.filter((socket) => socket.bytesRead > 0).length, 0)
  })
})
