// A command in a pod over a WebSocket: whatever the other side says, or leaves out, there is an end, and it is a true one.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { runInPod, TunnelError } from '../../src/tunnel/index.ts'
import { Opcode } from '../../src/tunnel/transport/websocket/frame.ts'
import { until } from '../support/until.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { serverFrame } from '../support/web-socket-frames.ts'

/** What the server does when it is asked. */
type Answer = (socket: Socket, handshake: Buffer) => void
let answer: Answer
const open = new Set<Socket>()
const server = createServer((socket) => {
  open.add(socket)
  socket.on('error', () => {}).on('close', () => open.delete(socket))
  let asked = ''
  const take = (chunk: Buffer) => {
    asked += chunk.toString('latin1')
    if (!asked.includes('\r\n\r\n')) return
    socket.off('data', take).resume()
    const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(asked)![1]
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    answer(
      socket,
      Buffer.from(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n`,
      ),
    )
  }
  socket.on('data', take)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
after(() => {
  for (const socket of open) socket.destroy()
  server.close()
})

const message = (channel: number, text: string, opcode: number = Opcode.binary) =>
  serverFrame(opcode, Buffer.concat([Buffer.of(channel), Buffer.from(text)]))
const status = (value: unknown) => message(3, typeof value === 'string' ? value : JSON.stringify(value))
const SUCCESS = status({ status: 'Success' })
const CLOSE = serverFrame(Opcode.close, Buffer.of(3, 232))
const failed = (code: string) =>
  status({
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: 'exit',
    details: { causes: [{ reason: 'ExitCode', message: code }] },
  })

async function run(more: Partial<Parameters<typeof runInPod>[1]> = {}) {
  let output = ''
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/exec?command=x`
  const end = await runInPod(
    { url, headers: {}, tls: { rejectUnauthorized: true } },
    {
      onOutput: (chunk) => {
        output += chunk.toString()
      },
      ...{ most: 1000, patienceMs: 60_000, clock: systemClock },
      ...more,
    },
  )
  return { ...end, output }
}

const says =
  (...frames: Buffer[]): Answer =>
  (socket, handshake) =>
    socket.write(Buffer.concat([handshake, ...frames]))

test('output comes whole, standard error apart from it, with the exit code', async () => {
  answer = says(message(1, ''), message(1, 'one '), message(2, 'ärg'), message(1, 'two'), SUCCESS, CLOSE)
  assert.deepEqual(await run(), { code: 0, words: 'ärg', output: 'one two' })
  answer = says(message(2, 'no such file'), failed('3'), CLOSE)
  assert.deepEqual(await run(), { code: 3, words: 'no such file', output: '' })
  await until('no connection is left', () => open.size === 0)
})

test('what could not be run at all says why', async () => {
  answer = says(status({ status: 'Failure', reason: 'InternalError', message: 'no such container' }), CLOSE)
  assert.deepEqual(await run(), { code: null, words: 'no such container', output: '' })
})

test('a command that was cut off at any byte is an error, never a shorter output', async () => {
  const frames = [message(1, 'some output'), message(2, 'err'), message(1, 'and more'), SUCCESS]
  const whole = Buffer.concat(frames).length
  let handshakeBytes = 200
  let wrong = 0
  for (const way of ['end', 'resetAndDestroy'] as const)
    for (let cut = 0; cut < handshakeBytes + whole; cut++) {
      answer = (socket, handshake) => {
        handshakeBytes = handshake.length
        socket.write(Buffer.concat([handshake, ...frames]).subarray(0, cut), () => socket[way]())
      }
      await run().then(
        (end) => assert.fail(`cut at ${cut}, it ended with ${JSON.stringify(end)}`),
        (error: unknown) => {
          assert.ok(error instanceof TunnelError, `cut at ${cut}: ${error}`)
          assert.ok(error.hint.length > 0)
          wrong++
        },
      )
    }
  assert.equal(wrong, 2 * (handshakeBytes + whole))
  await until('no connection is left', () => open.size === 0)
})

test('a reset behind the end that was told is no error', async () => {
  answer = (socket, handshake) =>
    socket.write(Buffer.concat([handshake, message(1, 'all'), SUCCESS]), () =>
      setImmediate(() => socket.resetAndDestroy()),
    )
  assert.deepEqual(await run(), { code: 0, words: '', output: 'all' })
})

test('frames that come byte by byte say the same', async () => {
  answer = (socket, handshake) => {
    socket.setNoDelay()
    const all = Buffer.concat([handshake, message(1, 'one '), message(1, 'two'), SUCCESS, CLOSE])
    let at = 0
    const next = () => {
      if (at < all.length && !socket.destroyed) socket.write(all.subarray(at, ++at), () => setImmediate(next))
    }
    next()
  }
  assert.deepEqual(await run(), { code: 0, words: '', output: 'one two' })
})

test('nothing counts behind the close frame', async () => {
  answer = says(message(1, 'all'), SUCCESS, CLOSE, message(1, ' and more'), status({ status: 'Failure' }))
  assert.deepEqual(await run(), { code: 0, words: '', output: 'all' })
})

for (const [what, frames] of [
  ['a status that is none', [status('no json'), CLOSE]],
  ['a status that is nothing', [status('null'), CLOSE]],
  ['no status', [message(1, 'x'), CLOSE]],
  ['bytes that are no WebSocket', [Buffer.from('HTTP/1.1 500 no\r\n\r\n')]],
  ['frames with a mask', [Buffer.of(0x82, 0x81, 0, 0, 0, 0, 1)]],
] as const)
  test(`an error for a person: ${what}`, async () => {
    answer = says(...frames)
    await assert.rejects(
      run(),
      (error) => error instanceof TunnelError && /running a command in the pod/.test(error.message),
    )
    await until('no connection is left', () => open.size === 0)
  })

test('a right that is missing is named in words', async () => {
  const said =
    'pods "orders-1" is forbidden: User "ann" cannot get resource "pods/exec" in API group "" in the namespace "day"'
  const body = JSON.stringify({ kind: 'Status', message: said })
  answer = (socket) =>
    socket.end(
      `HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
  await assert.rejects(run(), { message: 'you may not get pods/exec in namespace day' })
})

test('a refusal is told with the right that is missing', async () => {
  answer = (socket) =>
    socket.end(
      'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n{"message":"pods is forbidden now"}',
    )
  await assert.rejects(run(), (error: TunnelError) => /pods\/exec/.test(error.hint) && /forbidden/.test(error.message))
})

test('output without end is given up at its limit, and standard error without end, too', async () => {
  for (const [channel, why] of [
    [1, /more than 1000 bytes/],
    [2, /without end/],
    [7, /without end/],
  ] as const) {
    answer = (socket, handshake) => {
      socket.write(handshake)
      const flood = () => {
        if (!socket.destroyed) socket.write(message(channel, 'x'.repeat(10_000)), flood)
      }
      flood()
    }
    await assert.rejects(run(), (error: TunnelError) => why.test(error.message) && error.hint !== '')
    await until('no connection is left', () => open.size === 0)
  }
})

test('a command that says nothing is given up, though the connection lives', async () => {
  const time = new VirtualTime()
  let there: Socket | undefined
  answer = (socket, handshake) => {
    socket.write(Buffer.concat([handshake, message(1, 'begun')]))
    there = socket
  }
  let begun = ''
  const running = run({ clock: time, patienceMs: 10_000, onOutput: (chunk) => void (begun += chunk.toString()) })
  let over = false
  running.catch(() => {
    over = true
  })
  await until('it has begun', () => begun === 'begun')
  for (let seconds = 0; seconds < 9; seconds += 3) {
    await time.run(3_000)
    let pongs = 0
    there!.once('data', () => pongs++)
    there!.write(serverFrame(Opcode.ping, Buffer.from('alive?')))
    await until('the ping is answered', () => pongs === 1)
  }
  there!.write(message(1, ' and goes on'))
  await until('it goes on', () => begun === 'begun and goes on')
  await time.run(9_000)
  assert.deepEqual([time.pending, over], [1, false])
  await time.run(1_001)
  await assert.rejects(running, /it said nothing for 10 s/)
  assert.equal(time.pending, 0)
})

test('whoever gives up is not kept waiting, and what a reader throws is told', async () => {
  answer = (_, __) => {}
  const time = new VirtualTime()
  const silent = run({ clock: time })
  silent.catch(() => {})
  await until('the time limit is set', () => time.pending > 0)
  await time.run(20_000)
  await assert.rejects(silent, TunnelError)

  answer = says(message(1, 'begun'))
  const giving = new AbortController()
  await assert.rejects(run({ signal: giving.signal, onOutput: () => giving.abort() }), /given up/)
  await assert.rejects(run({ signal: AbortSignal.abort() }), /given up/)
  const full = new Error('the disk is full')
  await assert.rejects(
    run({
      onOutput: () => {
        throw full
      },
    }),
    full,
  )
  await until('no connection is left', () => open.size === 0)
})
