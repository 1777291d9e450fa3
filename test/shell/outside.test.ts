// Connections of a shell to what is not the cluster's: sockets of this machine in the form of a tunnel.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, describe, test } from 'node:test'
import { BoundDatagrams } from '../../src/base/datagram-socket.ts'
import { Outside } from '../../src/daemon/shell/outside.ts'
import type { Tunnel } from '../../src/tunnel/tunnel.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { until } from '../support/until.ts'
import { Probe } from '../tunnel/compliance.ts'

const address = IpAddress.parse('127.0.0.1')
const none = () => Promise.resolve(undefined)
const outside = new Outside({ pinger: none })
const servers: Server[] = []
after(() => {
  outside.close()
  for (const server of servers) server.close()
})

async function serve(onSocket: (socket: Socket) => void, host = '127.0.0.1'): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    onSocket(socket)
  })
  servers.push(server)
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const dial = (port: number, from: Outside = outside) => new Probe(from as unknown as Tunnel, { address, port })

describe('a connection', () => {
  test('bytes and ends go both ways', async () => {
    const probe = dial(await serve((socket) => void socket.pipe(socket)))
    await until('open', () => probe.events.includes('open'))
    probe.stream.write(Buffer.from('to and fro'), 0, 6)
    await until('the echo', () => probe.received === 6)
    assert.ok(!probe.events.includes('end'))
    probe.stream.end()
    await until('closed', () => probe.events.includes('close closed'))
    assert.deepEqual(probe.events, ['open', 'end', 'close closed'])
  })

  test('is refused as it was', async () => {
    const port = await serve(() => {})
    servers.pop()!.close()
    const probe = dial(port)
    await until('refused', () => probe.events.length > 0)
    assert.deepEqual(probe.events, ['fail refused'])
  })

  test('a reset stays a reset, each way', async () => {
    const probe = dial(await serve((socket) => socket.once('data', () => socket.resetAndDestroy())))
    await until('open', () => probe.events.includes('open'))
    probe.stream.write(Buffer.from('x'), 0, 1)
    await until('reset', () => probe.events.includes('close reset'))
    const said: string[] = []
    const other = dial(
      await serve((socket) => void socket.on('error', (e) => said.push((e as { code?: string }).code!))),
    )
    await until('open', () => other.events.includes('open'))
    other.stream.reset()
    await until('the server sees it', () => said.includes('ECONNRESET'))
  })

  test('what nobody takes is not read, and arrives whole when it is', async () => {
    const size = 24 << 20
    const block = Buffer.alloc(1 << 20, 'abcdefgh')
    let sent = 0
    const port = await serve((socket) => {
      const more = () => {
        while (sent < size) {
          sent += block.length
          if (!socket.write(block)) return void socket.once('drain', more)
        }
        socket.end()
      }
      more()
    })
    const probe = dial(port)
    probe.consume = false
    await until('some has come', () => probe.received > 1 << 20)
    const held = await quiet(() => probe.received)
    assert.ok(held < 4 << 20, `${held} bytes were read that nobody took`)
    probe.consume = true
    probe.stream.consumed(held)
    await until('all has come', () => probe.received === size)
    const expected = createHash('sha256')
    for (let i = 0; i < size >> 20; i++) expected.update(block)
    assert.equal(probe.hash.copy().digest('hex'), expected.digest('hex'))
  })

  test('what the server does not read is taken within a bound, and the rest when it reads', async () => {
    let server: Socket | undefined
    const port = await serve((socket) => {
      server = socket.pause()
    })
    const probe = dial(port)
    await until('open', () => probe.events.includes('open'))
    const block = Buffer.alloc(1 << 20, 7)
    let drained = false
    probe.onDrain = () => {
      drained = true
    }
    let taken = 0
    for (let i = 0; i < 64; i++) taken += probe.stream.write(block, 0, block.length)
    assert.ok(taken < 64 << 20)
    assert.equal(probe.stream.write(block, 0, 1), 0)
    let read = 0
    server!.on('data', (chunk) => {
      read += chunk.length
    })
    server!.resume()
    await until('drained', () => drained)
    await until('all of it', () => read === taken)
  })

  test('the machine is reached on ::1 where 127.0.0.1 refuses', async () => {
    const port = await serve((socket) => void socket.end('six'), '::1')
    const machine = new Outside({ pinger: none, targets: () => ['127.0.0.1', '::1'] })
    const probe = dial(port, machine)
    await until('the answer', () => probe.received === 3)
    assert.equal(probe.events[0], 'open')
    machine.close()
  })

  test('the end of the shell resets what is open', async () => {
    const said: string[] = []
    const port = await serve((socket) => void socket.on('error', (e) => said.push((e as { code?: string }).code!)))
    const own = new Outside({ pinger: none })
    const probe = dial(port, own)
    await until('open', () => probe.events.includes('open'))
    own.close()
    await until('the server sees it', () => said.includes('ECONNRESET'))
    assert.deepEqual(probe.events, ['open', 'close lost'])
  })
})

describe('datagrams', () => {
  test('go there and back, and a closed port is told', async () => {
    const echo = await BoundDatagrams.bind('127.0.0.1', 0, (payload, from) =>
      echo.send(payload, from.port, from.address),
    )
    const heard: string[] = []
    const open = (port: number) =>
      outside.openDatagrams(
        { address, port },
        {
          onDatagram: (payload) => void heard.push(Buffer.from(payload).toString()),
          onFail: (reason) => void heard.push(`fail ${reason}`),
        },
      )
    const flow = open(echo.port)
    flow.send(Buffer.from('one'))
    await until('the echo', () => heard.includes('one'))
    flow.close()
    echo.close()
    const refused = open(echo.port)
    await until('refused', () => {
      refused.send(Buffer.from('two'))
      return heard.includes('fail refused')
    })
  })
})

test('a ping is answered only where the machine has ping sockets', async () => {
  assert.equal(await outside.ping(address, new Uint8Array(8), 1_000), false)
  const asked: string[] = []
  const pinger = {
    ping: (to: IpAddress, length: number, _: number, answer: (answered: boolean) => void) => {
      asked.push(`${to} ${length}`)
      answer(true)
    },
    close: () => {},
  }
  const own = new Outside({ pinger: () => Promise.resolve(pinger) })
  assert.equal(await own.ping(IpAddress.parse('203.0.113.80'), new Uint8Array(56), 1_000), true)
  assert.deepEqual(asked, ['203.0.113.80 56'])
})

/** The value once it has stayed the same for a while. */
async function quiet(value: () => number): Promise<number> {
  let last = value()
  let same = 0
  await until('it is quiet', () => {
    same = value() === last ? same + 1 : 0
    last = value()
    return same >= 8
  })
  return last
}
