// Scenarios of kernel.test.ts; a program of its own in a network namespace: node kernel-scenarios.ts NAME.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createStack, type Rejection, type Stack, type TcpFlow, type TcpFlowHandler } from '../../src/stack/index.ts'
import type { TunDevice } from '../../src/tun/device.ts'
import { type Faults, withFaults } from '../../src/tun/faults.ts'
import { openTun } from '../../src/tun/native.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { seeded } from './line.ts'

const OWN = '10.9.0.53'
const OWN6 = 'fd09::53'
const SERVERS = ['10.9.0.2', 'fd09::2']
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })

// Ports of the servers on the stack, after RFC 862, 863, 864; the others are ours.
const ECHO = 7
const DISCARD = 9
const CHARGEN = 19
const RESETS = 20
const HOLDS = 21
const REJECTIONS: Record<number, Rejection> = {
  101: 'refused',
  102: 'host-unreachable',
  103: 'net-unreachable',
  104: 'prohibited',
}

interface Bed {
  stack: Stack
  /** To be called after the stack was used from outside of its callbacks. */
  kick(): void
  flows: TcpFlow[]
  seen: { resets: number; held: number; closes: Map<string, number> }
  close(): void
}

/** With `faults`, without super-segments, so that there are frames enough to suffer them. */
function bed(faults?: Faults): Bed {
  const native = openTun()
  ip('link', 'set', native.name, 'addrgenmode', 'none')
  ip('addr', 'add', '10.9.0.1/24', 'dev', native.name)
  ip('addr', 'add', 'fd09::1/64', 'dev', native.name, 'nodad')
  ip('link', 'set', native.name, 'up')
  const tun: TunDevice = faults ? withFaults(native, faults, seeded(11)) : native
  const random = () => randomBytes(4).readUInt32LE()
  const stack = createStack({
    mtu: native.mtu,
    gso: !faults && native.offload.tso4 && native.offload.tso6,
    random,
    output: (buffer, offsets, lengths, count) => void tun.write(buffer, offsets, lengths, count),
    ownAddresses: [IpAddress.parse(OWN), IpAddress.parse(OWN6)],
  })
  const seen = { resets: 0, held: 0, closes: new Map<string, number>() }
  const flows: TcpFlow[] = []
  stack.setHandlers({
    onTcp(flow) {
      const reason = REJECTIONS[flow.local.port]
      if (reason) {
        flow.reject(reason)
        return undefined
      }
      flows.push(flow)
      flow.accept()
      return serve(flow, seen)
    },
    onUdp(flow) {
      if (flow.local.port !== ECHO) {
        flow.reject('refused')
        return undefined
      }
      return { onDatagram: (buffer, start, end) => flow.send(buffer.subarray(start, end)), onClose() {} }
    },
    onEcho() {},
  })
  let timer: NodeJS.Timeout | undefined
  const kick = () => {
    stack.flush(performance.now())
    clearTimeout(timer)
    const next = stack.nextDeadline()
    if (next !== Infinity) {
      timer = setTimeout(
        () => {
          stack.tick(performance.now())
          kick()
        },
        Math.min(Math.max(0, next - performance.now()), 1000),
      )
    }
  }
  tun.start(
    (buffer, offsets, lengths, count) => {
      stack.input(buffer, offsets, lengths, count, performance.now())
      kick()
    },
    (error) => {
      throw error
    },
  )
  return {
    stack,
    kick,
    flows,
    seen,
    close() {
      clearTimeout(timer)
      stack.close()
      clearTimeout(timer)
      tun.close()
    },
  }
}

const CHUNK = Buffer.alloc(65536, 'x')

function serve(flow: TcpFlow, seen: Bed['seen']): TcpFlowHandler {
  const { port } = flow.local
  const onClose = (reason: string) => void seen.closes.set(reason, (seen.closes.get(reason) ?? 0) + 1)
  const handler: TcpFlowHandler = {
    onData: (_buffer, start, end) => end - start,
    onEnd: () => flow.end(),
    onAcked() {},
    onClose,
  }
  if (port === ECHO) {
    handler.onData = (buffer, start, end) => {
      flow.send(buffer.slice(start, end))
      return end - start
    }
  } else if (port === CHARGEN) {
    for (let i = 0; i < 16; i++) flow.send(CHUNK)
    handler.onAcked = () => {
      while (flow.unacknowledged < 1 << 20) flow.send(CHUNK)
    }
    handler.onEnd = () => flow.reset()
  } else if (port === RESETS) {
    handler.onData = (_buffer, start, end) => {
      flow.reset()
      return end - start
    }
  } else if (port === HOLDS) {
    handler.onData = () => 0
  }
  handler.onClose = (reason) => {
    if (reason === 'reset') seen.resets++
    onClose(reason)
  }
  return handler
}

async function open(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  return socket
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** What the program's socket fails with. */
async function failure(socket: Socket): Promise<string> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  return error.code ?? error.message
}

async function exchange(host: string, size: number): Promise<void> {
  const bytes = randomBytes(size)
  const socket = await open(host, ECHO)
  socket.end(bytes)
  assert.ok(bytes.equals(await readAll(socket)), `${size} bytes come back from ${host}`)
}

/** Waits until `done`, which something else brings about. */
async function until(done: () => boolean, what: string): Promise<void> {
  const began = performance.now()
  while (!done()) {
    if (performance.now() - began > 10_000) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const scenarios: Record<string, () => Promise<void>> = {
  async echo() {
    const { close, seen, stack } = bed()
    for (const host of SERVERS) for (const size of [1, 1000, 100_000, 5_000_000]) await exchange(host, size)
    await until(() => stack.counters.tcpFlows === 0, 'flows are gone')
    assert.deepEqual([...seen.closes], [['closed', 8]])
    close()
  },

  async rejections() {
    const { close } = bed()
    const codes: string[][] = []
    for (const host of SERVERS) {
      const row: string[] = []
      for (const port of [101, 102, 103, 104]) row.push(await failure(connect({ host, port })))
      row.push(await failure(connect({ host: host.includes(':') ? OWN6 : OWN, port: 9999 })))
      codes.push(row)
    }
    assert.deepEqual(codes, [
      ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED'],
      ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EACCES', 'ECONNREFUSED'],
    ])
    close()
  },

  async resets() {
    const { close, seen, stack } = bed()
    for (const host of SERVERS) {
      const socket = await open(host, RESETS)
      socket.write('x')
      assert.equal(await failure(socket), 'ECONNRESET')
      const other = await open(host, CHARGEN)
      await once(other, 'data')
      other.resetAndDestroy()
    }
    await until(() => seen.resets === 2, 'the resets of the programs')
    assert.equal(stack.counters.tcpFlows, 0)
    close()
  },

  async datagrams() {
    const { close } = bed()
    for (const host of SERVERS) {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
      socket.connect(ECHO, host)
      await once(socket, 'connect')
      for (const size of [0, 1, 64, 1400, 1472, 1473, 8000, 65_000]) {
        const bytes = randomBytes(size)
        socket.send(bytes)
        const [answer] = (await once(socket, 'message')) as [Buffer]
        assert.ok(bytes.equals(answer), `${size} bytes`)
      }
      socket.close()
      const closed = createSocket(host.includes(':') ? 'udp6' : 'udp4')
      closed.connect(8, host)
      await once(closed, 'connect')
      closed.send('x')
      const [error] = (await once(closed, 'error')) as [NodeJS.ErrnoException]
      assert.equal(error.code, 'ECONNREFUSED')
      closed.close()
    }
    close()
  },

  async ping() {
    const { close } = bed()
    for (const host of [OWN, OWN6]) {
      for (const size of ['56', '4000']) {
        const child = spawn('ping', ['-c', '1', '-W', '2', '-s', size, host])
        const [code] = (await once(child, 'exit')) as [number]
        assert.equal(code, 0, `ping of ${host} with ${size} bytes`)
      }
    }
    close()
  },

  async 'slow-reader'() {
    const { close, flows, stack } = bed()
    const socket = connect({ host: SERVERS[0], port: ECHO, allowHalfOpen: true })
    await once(socket, 'connect')
    const [flow] = flows
    const bytes = randomBytes(30_000_000)
    // The socket is not read: the kernel's buffer fills, the window closes.
    socket.pause()
    flow.send(bytes)
    flow.end()
    stack.flush(performance.now())
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.ok(flow.unacknowledged > 10_000_000, 'what was not read waits with us')
    const got = await readAll(socket)
    assert.equal(createHash('sha256').update(got).digest('hex'), createHash('sha256').update(bytes).digest('hex'))
    socket.end()
    close()
  },

  async 'slow-owner'() {
    const { close, flows, kick, stack } = bed()
    const socket = await open(SERVERS[0], HOLDS)
    const bytes = randomBytes(20_000_000)
    let written = false
    socket.end(bytes, () => {
      written = true
    })
    await new Promise((resolve) => setTimeout(resolve, 1000))
    assert.equal(written, false)
    const hash = createHash('sha256')
    let got = 0
    const [flow] = flows
    const handler = (flow as unknown as { handler: TcpFlowHandler }).handler
    handler.onData = (buffer, start, end) => {
      const taken = Math.min(end - start, 30_000)
      hash.update(buffer.subarray(start, start + taken))
      got += taken
      return taken
    }
    while (got < bytes.length) {
      flow.resume()
      kick()
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'))
    await readAll(socket)
    await until(() => stack.counters.tcpFlows === 0, 'flows are gone')
    close()
  },

  async concurrent() {
    const { close, stack } = bed()
    let most = 0
    await Promise.all(
      Array.from({ length: 1000 }, async (_, i) => {
        const socket = await open(SERVERS[i % 2], ECHO)
        most = Math.max(most, stack.counters.tcpFlows)
        socket.write('hello')
        await once(socket, 'data')
        await until(() => most === 1000, 'all are open')
        socket.end()
        await readAll(socket)
      }),
    )
    await until(() => stack.counters.tcpFlows === 0, 'flows are gone')
    close()
  },

  async sequential() {
    const { close, stack, seen } = bed()
    const began = performance.now()
    for (let i = 0; i < 5000; i++) {
      const socket = await open(SERVERS[0], DISCARD)
      socket.end()
      socket.resume()
      await once(socket, 'close')
    }
    const seconds = (performance.now() - began) / 1000
    console.log(`${Math.round(5000 / seconds)} connections a second, client in the same process`)
    await until(() => stack.counters.tcpFlows === 0, 'flows are gone')
    assert.deepEqual([...seen.closes], [['closed', 5000]])
    close()
  },

  async faults() {
    const { close, stack } = bed({ drop: 0.01, duplicate: 0.02, reorder: 0.03 })
    await Promise.all(
      SERVERS.flatMap((host) => [exchange(host, 2_000_000), exchange(host, 50_000), exchange(host, 10)]),
    )
    assert.ok(stack.counters.retransmitted > 0)
    console.log(`${stack.counters.retransmitted} segments sent again`)
    close()
  },

  async speed() {
    const { close, stack } = bed()
    for (const [name, port] of [
      ['to the program', CHARGEN],
      ['from the program', DISCARD],
    ] as const) {
      const cpu = process.cpuUsage()
      const client = spawn(process.execPath, [fileURLToPath(import.meta.url), 'client', String(port)])
      let text = ''
      client.stdout.on('data', (chunk) => {
        text += chunk
      })
      client.stderr.pipe(process.stderr)
      assert.deepEqual(await once(client, 'close'), [0, null])
      const { user, system } = process.cpuUsage(cpu)
      const { bytes, seconds } = JSON.parse(text) as { bytes: number; seconds: number }
      const rate = Math.round(bytes / seconds / 1e6)
      console.log(`${name}: ${rate} MB/s, ${(((user + system) / bytes) * 1e3).toFixed(2)} CPU s a GB on our side`)
    }
    console.log(`${stack.counters.retransmitted} segments sent again`)
    close()
  },

  /** The other process of `speed`. */
  async client() {
    const port = Number(process.argv[3])
    const bytes = 200_000_000
    const socket = await open(SERVERS[0], port)
    const began = performance.now()
    if (port === CHARGEN) {
      let got = 0
      for await (const chunk of socket) {
        got += (chunk as Buffer).length
        if (got >= bytes) break
      }
      socket.destroy()
    } else {
      const chunk = Buffer.alloc(1 << 20)
      for (let sent = 0; sent < bytes; sent += chunk.length) {
        if (!socket.write(chunk)) await once(socket, 'drain')
      }
      socket.end()
      await readAll(socket)
    }
    process.stdout.write(JSON.stringify({ bytes, seconds: (performance.now() - began) / 1000 }))
  },
}

const scenario = scenarios[process.argv[2]]
if (!scenario) throw new Error(`no scenario ${process.argv[2]}`)
await scenario()
process.exit(0)
