// The table of flows: whose, what the address is called, what the stack counted. The programs are real ones of this
// machine, on loopback; the flows are stated.
import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import net from 'node:net'
import { test } from 'node:test'
import { AddressNames } from '../../src/daemon/address-names.ts'
import { reportFlows } from '../../src/daemon/flows.ts'
import { Processes } from '../../src/daemon/processes.ts'
import { connectedKey, kernelText, portKey, readSockets } from '../../src/daemon/sockets.ts'
import { addressesIn, pointerIn } from '../../src/dns/answers.ts'
import { buildAnswer, questionWire, withCname } from '../../src/dns/build.ts'
import { nameWire } from '../../src/dns/message.ts'
import { reverseName } from '../../src/dns/reverse.ts'
import type { TcpFlow, UdpFlow } from '../../src/stack/api.ts'
import { type Endpoint, IpAddress } from '../../src/wire/address.ts'

const endpoint = (address: string, port: number): Endpoint => ({ address: IpAddress.parse(address), port })
let made = 0
const flow = (protocol: 'tcp' | 'udp', program: Endpoint, service: Endpoint, rest: Partial<TcpFlow> = {}) =>
  ({
    protocol,
    id: ++made,
    local: service,
    remote: program,
    state: 'ESTABLISHED',
    openedAt: performance.now(),
    usedAt: performance.now(),
    bytesReceived: 0,
    bytesSent: 0,
    ...rest,
  }) as TcpFlow | UdpFlow
const noAnswer = () => Promise.reject(new Error('nobody answers'))
const newNames = (ask: (name: string) => Promise<Uint8Array> = noAnswer) =>
  new AddressNames({ clusterDomain: 'cluster.local', ask, now: () => performance.now() })
const answer = (name: string, type: number, ...data: Uint8Array[]) =>
  buildAnswer(questionWire(nameWire(name)!, type), 0, data, 30)

test('the program of a flow is found by its socket, over IPv4, IPv6 and as a mapped address', async () => {
  for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    const server = net.createServer().listen(0, host.includes('::1') ? '::' : '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as net.AddressInfo
    const client = net.connect(port, host)
    await new Promise((resolve) => client.once('connect', resolve))
    const plain = host.replace('::ffff:', '')
    const mine = flow('tcp', endpoint(plain, client.localPort!), endpoint(plain, port))
    const nobodys = flow('tcp', endpoint(plain, 1), endpoint(plain, port))
    const processes = new Processes()
    await processes.find([mine, nobodys])
    assert.equal(processes.ownerOf(mine)?.pid, process.pid, host)
    assert.notEqual(processes.ownerOf(mine)?.name, '')
    assert.equal(processes.ownerOf(nobodys), undefined)
    client.destroy()
    server.close()
  }
})

test('a datagram socket is found whether it is connected or not', async () => {
  const open = dgram.createSocket('udp4')
  const connected = dgram.createSocket('udp4')
  await new Promise<void>((resolve) => open.bind(0, '127.0.0.1', resolve))
  await new Promise<void>((resolve) => connected.connect(9, '127.0.0.1', resolve))
  const flows = [open, connected].map((socket) =>
    flow('udp', endpoint('127.0.0.1', socket.address().port), endpoint('127.0.0.1', 9)),
  )
  const processes = new Processes()
  await processes.find(flows)
  for (const one of flows) assert.equal(processes.ownerOf(one)?.pid, process.pid)
  open.close()
  connected.close()
})

test('the kernel’s table of sockets is read as it is printed', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   107        0 9001 1 0 100 0 0 10 0
   1: 0235120A:C001 0A00600A:0050 01 00000000:00000000 00:00000000 00000000  1500        0 9002 1 0 20 4 30 10 -1
   2: 0235120A:C002 0A00600A:0050 06 00000000:00000000 03:00000FA0 00000000     0        0 0 3 0
`
  const inodes = new Map<string, string>()
  readSockets(table, inodes, true)
  assert.deepEqual(
    [...inodes],
    [
      [portKey('1538'), '9001'],
      [connectedKey(kernelText(endpoint('10.18.53.2', 0xc001)), kernelText(endpoint('10.96.0.10', 80))), '9002'],
    ],
  )
  assert.equal(kernelText(endpoint('fd00:10:96::a', 80)), '100000FD00009600000000000A000000:0050')
})

test('addresses are called what the program asked for, less what the cluster appends', () => {
  const names = newNames()
  names.learn(answer('web.shop.svc.cluster.local', 1, Uint8Array.of(10, 96, 0, 7)))
  names.learn(answer('db-0.db.shop.svc.cluster.local', 28, IpAddress.parse('fd00::7').bytes))
  names.learn(answer('WWW.example.com', 1, Uint8Array.of(192, 0, 2, 1)))
  assert.equal(names.nameOf(IpAddress.parse('10.96.0.7')), 'web.shop')
  assert.equal(names.nameOf(IpAddress.parse('fd00::7')), 'db-0.db.shop')
  assert.equal(names.nameOf(IpAddress.parse('192.0.2.1')), 'www.example.com')
  assert.equal(names.nameOf(IpAddress.parse('10.96.0.8')), undefined)
})

test('an address behind a CNAME has the name it points to; pointers that loop are no name', () => {
  const full = answer('web.shop.svc.cluster.local', 1, Uint8Array.of(10, 96, 0, 7))
  const question = questionWire(nameWire('web')!, 1)
  const short = withCname(full, nameWire('web.shop.svc.cluster.local')!.length + 4, question, 30)!
  const found: string[] = []
  addressesIn(short, (name, address) => found.push(`${name} ${address}`))
  assert.deepEqual(found, ['web.shop.svc.cluster.local 10.96.0.7'])
  const owner = full.length - 16
  full[owner + 1] = owner // points to itself
  addressesIn(full, () => assert.fail('a loop was read as a name'))
  for (let length = 0; length < short.length; length++) addressesIn(short.subarray(0, length), () => {})
})

test('an address nobody asked about is looked up once, in reverse', async () => {
  const asked: string[] = []
  const names = newNames(async (name) => {
    asked.push(name)
    return answer(name, 12, nameWire('web.shop.svc.cluster.local')!)
  })
  const address = IpAddress.parse('10.96.0.7')
  for (let i = 0; i < 3; i++) {
    names.lookUp([address])
    await names.settled()
  }
  assert.equal(names.nameOf(address), 'web.shop')
  assert.deepEqual(asked, ['7.0.96.10.in-addr.arpa'])
  assert.equal(reverseName(IpAddress.parse('fd00::1')), `1.${'0.'.repeat(29)}d.f.ip6.arpa`)
  assert.equal(pointerIn(answer('x', 1, Uint8Array.of(1, 2, 3, 4))), undefined)
  const silent = newNames()
  silent.lookUp([address])
  await silent.settled()
  assert.equal(silent.nameOf(address), undefined)
})

test('names are bounded', () => {
  const names = newNames()
  for (let i = 0; i < 5000; i++) names.learn(answer(`s${i}.shop.svc.cluster.local`, 1, Uint8Array.of(10, 0, i >> 8, i)))
  assert.equal(names.nameOf(IpAddress.parse('10.0.0.0')), undefined)
  assert.equal(names.nameOf(new IpAddress(Uint8Array.of(10, 0, 4999 >> 8, 4999 & 255))), 's4999.shop')
})

test('the report has the flows last used first, the program’s end as local, and bytes as the program sees them', async () => {
  const names = newNames()
  names.learn(answer('web.shop.svc.cluster.local', 1, Uint8Array.of(10, 96, 0, 7)))
  const now = performance.now()
  const old = flow('udp', endpoint('10.0.0.1', 1000), endpoint('10.96.0.9', 53), {
    usedAt: now - 5000,
    openedAt: now - 9000,
  })
  const young = flow('tcp', endpoint('fd00::1', 1001), endpoint('fd00::7', 80), {
    usedAt: now,
    openedAt: now - 2000,
    bytesReceived: 7,
    bytesSent: 3_000_000_000,
  })
  const named = flow('tcp', endpoint('10.0.0.1', 1002), endpoint('10.96.0.7', 80), { usedAt: now - 10 })
  const { flows, total } = await reportFlows(
    { flows: () => [old, young, named], names, processes: new Processes() },
    50,
  )
  assert.equal(total, 3)
  assert.deepEqual(
    flows.map(({ id }) => id),
    [young.id, named.id, old.id],
  )
  const [first, second, third] = flows
  assert.deepEqual([first.local, first.remote, first.name], ['[fd00::1]:1001', '[fd00::7]:80', null])
  assert.deepEqual([first.bytesIn, first.bytesOut, first.state, first.process], [3_000_000_000, 7, 'ESTABLISHED', null])
  assert.ok(first.ageMs >= 2000 && first.idleMs < first.ageMs)
  assert.deepEqual([second.name, third.protocol, third.state], ['web.shop', 'udp', 'OPEN'])
  assert.ok(third.idleMs >= 5000 && third.ageMs >= 9000)
})

test('more flows than a line can carry: the most recently used ones, and how many there are', async () => {
  const many = Array.from({ length: 9000 }, (_, i) =>
    flow('tcp', endpoint('10.0.0.1', 1 + i), endpoint('10.96.0.7', 80), { usedAt: i }),
  )
  const { flows, total } = await reportFlows({ flows: () => many, names: undefined, processes: new Processes() }, 0)
  assert.equal(total, 9000)
  assert.ok(flows.length < total && JSON.stringify(flows).length < 3 << 20)
  assert.equal(flows[0].id, many.at(-1)!.id)
})
