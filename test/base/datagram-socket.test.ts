// The sockets that carry datagrams, against this machine's own kernel: whatever fails, one handler hears of it, once.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { BoundDatagrams, ConnectedDatagrams } from '../../src/base/datagram-socket.ts'
import { until } from '../support/until.ts'

/** The broadcast address of the loopback: the kernel refuses to connect to it. */
const BROADCAST = '127.255.255.255'
const open: { close(): void }[] = []
after(() => {
  for (const one of open) one.close()
})

function connected(address: string, port: number) {
  const got: string[] = []
  const errors: (string | undefined)[] = []
  const socket = new ConnectedDatagrams(address, port, {
    onMessage: (payload) => got.push(payload.toString()),
    onError: (error) => errors.push(error.code),
  })
  open.push(socket)
  return { socket, got, errors }
}

async function server(): Promise<{ socket: Socket; port: number; got: string[] }> {
  const socket = createSocket('udp4')
  const got: string[] = []
  socket.on('message', (payload) => got.push(payload.toString()))
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  open.push(socket)
  return { socket, port: socket.address().port, got }
}

async function closedPort(): Promise<number> {
  const bound = await BoundDatagrams.bind('127.0.0.1', 0, () => {})
  bound.close()
  return bound.port
}

test('an address that cannot be connected to is one error, told after the constructor, and the socket is closed', async () => {
  for (const [address, port, code] of [
    [BROADCAST, 7, 'EACCES'],
    ['fe80::1%nosuch', 7, 'EINVAL'],
    ['127.0.0.1', 65_536, 'ERR_SOCKET_BAD_PORT'],
  ] as const) {
    const { socket, errors } = connected(address, port)
    socket.send(Buffer.from('early'))
    assert.deepEqual(errors, [], address)
    await until(`${address} has failed`, () => errors.length > 0)
    if (address === BROADCAST) assert.deepEqual(errors, [code])
    socket.send(Buffer.from('late'))
    socket.close()
    await new Promise(setImmediate)
    assert.equal(errors.length, 1, address)
  }
})

test('a closed port is told once, however many datagrams it refuses', async () => {
  const { socket, errors } = connected('127.0.0.1', await closedPort())
  for (let i = 0; i < 10; i++) socket.send(Buffer.from('x'))
  await until('it has failed', () => errors.length > 0)
  await new Promise(setImmediate)
  assert.deepEqual(errors, ['ECONNREFUSED'])
})

test('what is sent before the socket is connected arrives in order, up to sixteen', async () => {
  const { port, got } = await server()
  const { socket, errors } = connected('127.0.0.1', port)
  for (let i = 0; i < 20; i++) socket.send(Buffer.from(String(i)))
  await until('the last has come', () => got.length >= 16)
  socket.send(Buffer.from('after'))
  await until('what came later', () => got.at(-1) === 'after')
  assert.deepEqual(
    got.slice(0, -1),
    Array.from({ length: 16 }, (_, i) => String(i)),
  )
  assert.deepEqual(errors, [])
})

test('a datagram that is too large is lost alone', async () => {
  const { port, got } = await server()
  const { socket, errors } = connected('127.0.0.1', port)
  socket.send(Buffer.from('first'))
  await until('it is connected', () => got.length === 1)
  socket.send(Buffer.alloc(70_000))
  socket.send(Buffer.from('second'))
  await until('the next has come', () => got.length === 2)
  assert.deepEqual(errors, [])
})

test('a socket that is closed before it is connected, or twice, or by its own handler, says nothing more', async () => {
  const { socket: far, port } = await server()
  far.on('message', (payload, from) => far.send(payload, from.port, from.address))
  const early = connected('127.0.0.1', port)
  early.socket.send(Buffer.from('x'))
  early.socket.close()
  early.socket.close()
  const failing = connected(BROADCAST, 7)
  failing.socket.close()
  let calls = 0
  const inside = new ConnectedDatagrams('127.0.0.1', port, {
    onMessage: () => {
      calls++
      inside.close()
    },
    onError: assert.fail,
  })
  inside.send(Buffer.from('1'))
  inside.send(Buffer.from('2'))
  await until('an answer came', () => calls > 0)
  const other = connected('127.0.0.1', port)
  other.socket.send(Buffer.from('y'))
  await until('the far side answers others', () => other.got.length === 1)
  assert.deepEqual([calls, early.got, early.errors, failing.errors], [1, [], [], []])
})

test('a bound socket: a port that is taken rejects, and one other end that cannot be reached is no failure', async () => {
  const { port, got } = await server()
  await assert.rejects(
    BoundDatagrams.bind('127.0.0.1', port, () => {}),
    { code: 'EADDRINUSE' },
  )
  await assert.rejects(
    BoundDatagrams.bind('192.0.2.1', 0, () => {}),
    { code: 'EADDRNOTAVAIL' },
  )
  const bound = await BoundDatagrams.bind('127.0.0.1', 0, () => {})
  bound.send(Buffer.from('x'), 7, BROADCAST)
  bound.send(Buffer.alloc(70_000), port, '127.0.0.1')
  bound.send(Buffer.from('x'), 0, '127.0.0.1')
  bound.send(Buffer.from('x'), await closedPort(), '127.0.0.1')
  bound.send(Buffer.from('good'), port, '127.0.0.1')
  await until('the good one has come', () => got.length === 1)
  assert.equal(bound.family, 4)
  bound.close()
  bound.close()
  bound.send(Buffer.from('late'), port, '127.0.0.1')
})

const run = promisify(execFile)
/** A namespace of its own, whose loopback alone is up, and which has no IPv6. */
const namespace = (script: string, ...args: string[]) =>
  run(
    'unshare',
    [
      ...['--user', '--map-root-user', '--net', 'sh', '-c'],
      `echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up && exec "$0" "$@"`,
      ...[process.execPath, join(import.meta.dirname, script), ...args],
    ],
    { timeout: 30_000 },
  )
const noNamespace = await run('unshare', ['--user', '--map-root-user', '--net', 'ip', 'link']).then(
  () => false as const,
  (error: Error) => `network namespaces cannot be made here: ${error.message}`,
)

for (const scenario of ['resolver', 'agent', 'holder', 'loopback'])
  test(`without a route and without IPv6, only the flow fails: ${scenario}`, { skip: noNamespace }, async () => {
    const { stdout } = await namespace('no-route-scenarios.ts', scenario)
    assert.equal(stdout.trim(), 'lives')
  })
