// What `./dev bench forwards` counts as a failure, against servers that do each of them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, test } from 'node:test'
import { failures, quantile, tryForward } from '../../bench/forward-trial.ts'
import { dialPath } from '../../src/tunnel/transport/tcp.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const undo: (() => void)[] = []
afterEach(() => {
  for (const step of undo.splice(0)) step()
})

/** A path to a server that does this with each connection. */
async function pathTo(serve: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    serve(socket)
  }).listen(0, '127.0.0.1')
  undo.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  await once(server, 'listening')
  return { open: () => dialPath('127.0.0.1', (server.address() as AddressInfo).port), sockets }
}

test('an echo is a success, and the connection is closed afterwards', async () => {
  const ended = Promise.withResolvers<void>()
  const { open } = await pathTo((socket) => socket.on('end', ended.resolve).pipe(socket))
  const { failure, openMs, echoMs } = await tryForward(open)
  assert.equal(failure, undefined)
  assert.ok(openMs > 0 && echoMs >= openMs)
  await ended.promise
})

for (const [what, kind, serve] of [
  ['a connection that ends before the echo', 'ended', (socket: Socket) => void socket.end('too little')],
  ['a connection that is reset', 'ended', (socket: Socket) => void socket.once('data', () => socket.resetAndDestroy())],
  [
    'an echo with one other byte',
    'bytes',
    (socket: Socket) =>
      void socket.once('data', (chunk: Buffer) => {
        chunk[7] ^= 1
        socket.write(chunk)
      }),
  ],
  [
    'an echo with a byte too much',
    'bytes',
    (socket: Socket) =>
      void socket.once('data', (chunk: Buffer) => socket.write(Buffer.concat([chunk, chunk.subarray(0, 1)]))),
  ],
] as const)
  test(`${what} is a failure`, async () => {
    const { failure } = await tryForward((await pathTo(serve)).open)
    assert.equal(failure?.kind, kind)
  })

test('what cannot be opened is a failure with its own words', async () => {
  const { failure } = await tryForward(() => Promise.reject(new Error('the API server answered 500')))
  assert.deepEqual(failure, { kind: 'open', message: 'the API server answered 500' })
})

test('a connection that says nothing is given up after 10 s', async () => {
  const time = new VirtualTime()
  const taken = Promise.withResolvers<void>()
  const { open } = await pathTo((socket) => {
    socket.on('data', () => taken.resolve())
  })
  const trial = tryForward(open, time)
  await taken.promise
  await time.step(10_000)
  assert.deepEqual((await trial).failure, { kind: 'silent', message: 'no echo within 10 s' })
})

test('failures are counted by their words, and a quantile is one of the values', () => {
  const bad = (message: string) => ({ openMs: 1, echoMs: Number.NaN, failure: { kind: 'ended' as const, message } })
  assert.deepEqual(failures([{ openMs: 1, echoMs: 2 }, bad('reset'), bad('closed'), bad('closed')]), [
    '2 ended: closed',
    '1 ended: reset',
  ])
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  assert.deepEqual([quantile(hundred, 0.5), quantile(hundred, 0.99), quantile([3], 0.99)], [51, 100, 3])
  assert.ok(Number.isNaN(quantile([], 0.5)))
})
