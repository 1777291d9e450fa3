// Who is at the other end of a connection on loopback, by tables as the kernel writes them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { clientsOf, peerCheck, peerFacts } from '../../src/daemon/proxy/peers.ts'

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const row = (local: string, remote: string, state: string, uid: number) =>
  `   1: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 1161 1 0000000000000000 20 4 30 10 -1`
const table = [
  head,
  row('0100007F:0438', '00000000:0000', '0A', 1500),
  row('0100007F:C001', '0100007F:0438', '01', 1500),
  row('0100007F:C002', '0100007F:0438', '01', 1501),
  row('0100007F:C003', '0100007F:0439', '01', 1502),
  row('0100007F:C004', '0100007F:0438', '06', 0),
  row('0100007F:0438', '0100007F:C002', '01', 1500),
].join('\n')
const v6 = [head, row('00000000000000000000000001000000:C005', '00000000000000000000000001000000:0438', '01', 7)].join(
  '\n',
)

test('the clients of a port are found with their users, and those that have gone are not', () => {
  assert.deepEqual(
    [...clientsOf(0x438, [table, v6])],
    [
      [0xc001, 1500],
      [0xc002, 1501],
      [0xc005, 7],
    ],
  )
})

const socket = (remotePort: number) => ({ remotePort, localPort: 0x438 }) as Socket

test('its own user and root may come, others and those that are not in the table may not', async () => {
  const root = row('0100007F:C006', '0100007F:0438', '01', 0)
  const isAllowed = peerCheck(1500, { isShared: () => true, tables: async () => [`${table}\n${root}`] })
  const ports = [0xc001, 0xc002, 0xc003, 0xc004, 0xc006, 0xc007]
  assert.deepEqual(await Promise.all(ports.map((port) => isAllowed(socket(port)))), [
    true,
    false,
    false,
    false,
    true,
    false,
  ])
})

test('a client that comes while the table is read is looked up in the next one', async () => {
  const reads: (() => void)[] = []
  let rows = table
  const isAllowed = peerCheck(1500, {
    isShared: () => true,
    tables: () => new Promise((resolve) => reads.push(() => resolve([rows]))),
  })
  const first = isAllowed(socket(0xc001))
  await new Promise(setImmediate)
  const late = [isAllowed(socket(0xc008)), isAllowed(socket(0xc009))]
  reads[0]()
  assert.equal(await first, true)
  rows = [table, row('0100007F:C008', '0100007F:0438', '01', 1500)].join('\n')
  await new Promise(setImmediate)
  assert.equal(reads.length, 2, 'one read for both')
  reads[1]()
  assert.deepEqual(await Promise.all(late), [true, false])
})

test('a system without tables lets everybody come', async () => {
  assert.equal(
    peerFacts([], 1500, () => 0),
    undefined,
  )
  assert.equal(await peerCheck(1500, undefined)(socket(1)), true)
})

test('this machine tells who a real client is', { skip: process.platform !== 'linux' }, async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const client = connect(port, '127.0.0.1')
  const [accepted] = await new Promise<[Socket]>((resolve) => server.once('connection', (one) => resolve([one])))
  const uid = process.getuid!()
  const facts = peerFacts(['/proc/net/tcp', '/proc/net/tcp6'], uid, () => performance.now())!
  const strict = { ...facts, isShared: () => true }
  assert.equal(await peerCheck(uid, strict)(accepted), true)
  // Root may always come, so a stranger can only be played by somebody else.
  if (uid !== 0) assert.equal(await peerCheck(uid + 1, strict)(accepted), false)
  client.destroy()
  accepted.destroy()
  server.close()
})

test('where nobody else is there the tables are not read, and who comes is noticed within a second', async () => {
  const time = { now: () => at }
  let at = 0
  let isShared = false
  let looks = 0
  const facts = {
    isShared: () => {
      looks++
      return isShared
    },
    tables: async () => [table],
  }
  const isAllowed = peerCheck(1500, facts, time)
  assert.equal(await isAllowed(socket(0xc002)), true)
  isShared = true
  at = 999
  assert.equal(await isAllowed(socket(0xc002)), true)
  assert.equal(looks, 1)
  at = 1_000
  assert.equal(await isAllowed(socket(0xc002)), false)
})

test('a process of another person is seen, also one whose folder in /proc is root', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  // Ours and the system's do not count; whoever else runs here now does.
  const look = () => peerFacts(['x'], 0, () => 0)!.isShared()
  // A program of the system: that user may not enter a checkout of mode 0700.
  const child = spawn('sh', ['-c', 'echo there; exec sleep 60'], {
    uid: 64_123,
    gid: 64_123,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await once(child.stdout, 'data')
  assert.equal(look(), true)
  child.kill('SIGKILL')
  await once(child, 'exit')
})
