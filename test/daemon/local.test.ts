import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { LocalTarget, type LocalTargetOptions } from '../../src/daemon/inbound/local.ts'
import { Complaints } from '../../src/daemon/inbound/once.ts'
import { MACHINE } from '../../src/daemon/inbound/program-network.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { createLoopbackTunnel } from '../support/loopback-tunnel.ts'
import { until } from '../support/until.ts'

const tunnel = createLoopbackTunnel()
const said: string[] = []
const complaints = new Complaints((line) => said.push(line))
const open: { close(): void }[] = []
let echo: net.Server

before(async () => {
  echo = net.createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket))
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
})
after(async () => {
  await tunnel.close()
  for (const one of open) one.close()
  echo.close()
})

const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port

/** A shadow's port that leads to `local`; counters and the port. */
async function expose(local: number, more: Partial<LocalTargetOptions> = {}, protocol: 'TCP' | 'UDP' = 'TCP') {
  const counters = { total: 0, refused: 0, bytesIn: 0, bytesOut: 0 }
  const target = new LocalTarget({
    network: MACHINE,
    local,
    remote: 80,
    fallback: false,
    addresses: () => ['10.244.1.7', 'fd00::7'],
    counters,
    complaints,
    ...more,
  })
  open.push(target)
  const { port } = await tunnel.listen(0, protocol, target)
  return { port, counters, target }
}

test('bytes and FIN pass each way; what is counted is what passed', async () => {
  const { port, counters, target } = await expose(portOf(echo))
  const sent = randomBytes(8_000_000)
  const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.end(sent)
  const hash = createHash('sha256')
  for await (const chunk of socket) hash.update(chunk as Buffer)
  assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'))
  assert.deepEqual(counters, { total: 1, refused: 0, bytesIn: sent.length, bytesOut: sent.length })
  await until('the connection is forgotten', () => target.splices.size === 0)
})

test('a local program that does not read stops the sender, and loses nothing', async () => {
  let reader: net.Socket | undefined
  const lazy = net.createServer({ pauseOnConnect: true }, (socket) => (reader = socket))
  await new Promise<void>((resolve) => lazy.listen(0, '127.0.0.1', resolve))
  open.push(lazy)
  const { port, counters } = await expose(portOf(lazy))
  const socket = net.connect(port, '127.0.0.1')
  const block = randomBytes(1 << 20)
  let written = 0
  while (written < 64 && socket.write(block)) written++
  // The kernel's buffers fill, then the tunnel's: whatever is written after that waits in the sender.
  for (let i = 0; i < 64; i++) socket.write(block)
  await until('nothing moves any more', async () => {
    const before = counters.bytesIn
    await new Promise((resolve) => setTimeout(resolve, 200))
    return counters.bytesIn === before && before > 0
  })
  assert.ok(counters.bytesIn < 32 << 20, `${counters.bytesIn} bytes were taken for a program that reads nothing`)
  let got = 0
  reader!.on('data', (chunk) => (got += chunk.length)).resume()
  socket.end()
  await once(reader!, 'end')
  assert.equal(got, socket.bytesWritten)
})

test('a reset of the local program resets the caller, and the other way round', async () => {
  let here: net.Socket | undefined
  const server = net.createServer((socket) => {
    here = socket.on('error', () => {})
    socket.write('x')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(server)
  const { port, target } = await expose(portOf(server))
  const first = net.connect(port, '127.0.0.1')
  await once(first, 'data')
  here!.resetAndDestroy()
  const [error] = await once(first, 'error')
  assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')

  const second = net.connect(port, '127.0.0.1')
  await once(second, 'data')
  const reset = once(here!, 'error')
  second.resetAndDestroy()
  assert.equal(((await reset)[0] as NodeJS.ErrnoException).code, 'ECONNRESET')
  await until('both are forgotten', () => target.splices.size === 0)
})

test('a program that listens on ::1 only is found', async (t) => {
  const six = net.createServer((socket) => socket.end('six'))
  const listening = new Promise<boolean>((resolve) => {
    six.once('error', () => resolve(false))
    six.listen(0, '::1', () => resolve(true))
  })
  if (!(await listening)) return t.skip('no ::1 on this machine')
  open.push(six)
  const { port } = await expose(portOf(six))
  assert.equal(String((await once(net.connect(port, '127.0.0.1'), 'data'))[0]), 'six')
})

test('when nothing listens for long, callers are refused, and it is said once until something does', async () => {
  const server = net.createServer((socket) => socket.end('back'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const local = portOf(server)
  await new Promise((resolve) => server.close(resolve))
  const { port, counters } = await expose(local, { patienceMs: 0 })
  const refused = async () => {
    const [error] = await once(net.connect(port, '127.0.0.1'), 'error')
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
  }
  said.length = 0
  await refused()
  await refused()
  assert.deepEqual(said, [
    `nothing listens on localhost:${local}; requests to port 80 wait up to 3 s for it and then are refused until something does`,
  ])
  assert.equal(counters.refused, 2)
  await new Promise<void>((resolve) => server.listen(local, '127.0.0.1', resolve))
  assert.equal(String((await once(net.connect(port, '127.0.0.1'), 'data'))[0]), 'back')
  await new Promise((resolve) => server.close(resolve))
  await refused()
  assert.equal(said.length, 2)
})

test('a program that restarts is waited for, and no caller notices', async () => {
  const server = net.createServer((socket) => socket.end('back'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const local = portOf(server)
  const { port, counters } = await expose(local, { patienceMs: 60_000 })
  await new Promise((resolve) => server.close(resolve))
  said.length = 0
  const callers = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')]
  await until('it was missed', () => said.length > 0)
  await new Promise<void>((resolve) => server.listen(local, '127.0.0.1', resolve))
  open.push(server)
  for (const caller of callers) assert.equal(String((await once(caller, 'data'))[0]), 'back')
  assert.equal(counters.refused, 0)
})

test('what a missing program leaves goes to the original, and is refused where there is none', async () => {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const local = portOf(server)
  await new Promise((resolve) => server.close(resolve))
  for (const fallback of [true, false]) {
    const { target } = await expose(local, { patienceMs: 0, fallback })
    const answer = await new Promise<string>((resolve) =>
      target.onStream({
        port: 80,
        origin: { address: IpAddress.parse('10.244.0.9'), port: 4711 },
        accept: () => assert.fail('nobody is there to take it'),
        refuse: (reason) => resolve(`refused: ${reason}`),
        decline: () => resolve('declined'),
      }),
    )
    assert.equal(answer, fallback ? 'declined' : 'refused: refused')
  }
})

test('the PROXY protocol tells the caller, in both versions', async () => {
  for (const version of ['v1', 'v2'] as const) {
    const { port } = await expose(portOf(echo), { proxyProtocol: version })
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    socket.end('hello')
    await once(socket, 'connect')
    const caller = socket.localPort!
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    const got = Buffer.concat(chunks)
    if (version === 'v1') {
      assert.equal(got.toString(), `PROXY TCP4 127.0.0.1 10.244.1.7 ${caller} ${port}\r\nhello`)
      continue
    }
    // doc/proxy-protocol.txt 2.2: signature, version 2 and command PROXY, TCP over IPv4, 12 bytes of addresses.
    assert.equal(got.subarray(0, 16).toString('hex'), '0d0a0d0a000d0a515549540a2111000c')
    assert.deepEqual([...got.subarray(16, 24)], [127, 0, 0, 1, 10, 244, 1, 7])
    assert.deepEqual([got.readUInt16BE(24), got.readUInt16BE(26)], [caller, port])
    assert.equal(got.subarray(28).toString(), 'hello')
  }
})

test('datagrams go to the local program and back', async () => {
  const local = createSocket('udp4')
  local.on('message', (payload, from) => local.send(payload, from.port, from.address))
  await new Promise<void>((resolve) => local.bind(0, '127.0.0.1', resolve))
  open.push(local)
  const { port, counters } = await expose(local.address().port, {}, 'UDP')
  const caller = createSocket('udp4')
  open.push(caller)
  caller.connect(port, '127.0.0.1')
  await once(caller, 'connect')
  for (const size of [1, 1400, 9000]) {
    const payload = randomBytes(size)
    const answer = once(caller, 'message')
    caller.send(payload)
    assert.ok(payload.equals((await answer)[0] as Buffer), `${size} bytes`)
  }
  assert.equal(counters.total, 1)
})

test('the first datagram reaches a program that listens on the other family, once, and its answer comes back', async () => {
  const free = createSocket('udp4')
  await new Promise<void>((resolve) => free.bind(0, '127.0.0.1', resolve))
  const number = free.address().port
  const { port, counters } = await expose(number, {}, 'UDP')
  await new Promise<void>((resolve) => free.close(resolve))
  const local = createSocket({ type: 'udp6', ipv6Only: true })
  const got: string[] = []
  local.on('message', (payload, from) => {
    got.push(payload.toString())
    local.send(`answer to ${payload}`, from.port, from.address)
  })
  await new Promise<void>((resolve) => local.bind(number, '::1', resolve))
  open.push(local)
  const caller = createSocket('udp4')
  open.push(caller)
  caller.connect(port, '127.0.0.1')
  await once(caller, 'connect')
  const answer = once(caller, 'message')
  caller.send('first')
  assert.equal(String((await answer)[0]), 'answer to first')
  assert.deepEqual(got, ['first'])
  assert.equal(counters.refused, 0)
})

test('datagrams for a program that listens nowhere are refused once, and said', async () => {
  const free = createSocket('udp4')
  await new Promise<void>((resolve) => free.bind(0, '127.0.0.1', resolve))
  const number = free.address().port
  await new Promise<void>((resolve) => free.close(resolve))
  const { port, counters } = await expose(number, {}, 'UDP')
  const caller = createSocket('udp4')
  open.push(caller)
  caller.send('lost', port, '127.0.0.1')
  await until('it is refused', () => counters.refused === 1)
  assert.ok(said.some((line) => line.includes(`nothing listens on localhost:${number}; datagrams to port 80`)))
})
