// How a port-forward ends: with the cluster's own words, also when they come after the end of the data.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openPortForward, pathTransport } from '../../src/tunnel/index.ts'

const ERROR_STREAM = 1
const DATA_STREAM = 3
const FIN = 1

/** A data frame of SPDY/3.1 2.2.2. */
function frame(stream: number, flags: number, text: string): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(stream)
  head.writeUInt32BE((flags << 24) | text.length, 4)
  return Buffer.concat([head, Buffer.from(text)])
}

/** Why a port-forward ended whose server did `scene`. */
async function ended(scene: (socket: Duplex) => Promise<void>): Promise<Error | undefined> {
  const server = createServer()
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n')
    void scene(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const url = `ws://127.0.0.1:${port}/api/v1/namespaces/n/pods/p/portforward?ports=2222`
    const transport = pathTransport(await openPortForward({ url, headers: {}, tls: { rejectUnauthorized: true } }))
    return await new Promise((resolve) => transport.start(() => {}, resolve))
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('nothing listens: known also when the words come after the end of the data', async () => {
  const error = await ended(async (socket) => {
    socket.write(frame(DATA_STREAM, FIN, ''))
    await delay(30)
    socket.write(frame(ERROR_STREAM, 0, 'dial tcp 127.0.0.1:2222: connect: connection refused'))
  })
  assert.equal((error as { code?: string }).code, 'unreachable')
  assert.match(error!.message, /nothing listens/)
})

test('the data ended without a word: closed by the cluster', { timeout: 20_000 }, async (t) => {
  const words = /closed by the cluster/
  assert.match((await ended(async (socket) => void socket.write(frame(DATA_STREAM, FIN, ''))))!.message, words)
  const both = async (socket: Duplex) => {
    socket.write(frame(DATA_STREAM, FIN, ''))
    socket.write(frame(ERROR_STREAM, FIN, ''))
  }
  // The end of both streams is not waited upon: no timer is needed, so none fires here.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  assert.match((await ended(both))!.message, words)
})

test('a reset on the way is told in words', async () => {
  const error = await ended(async (socket) => {
    await delay(30)
    ;(socket as Socket).resetAndDestroy()
  })
  assert.equal(error!.message, 'port-forward: the connection to the API server was reset')
})
