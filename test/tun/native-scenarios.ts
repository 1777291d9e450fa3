// Scenarios of native.test.ts; run as a program of its own in a network namespace: node native-scenarios.ts NAME.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { attachTun, type NativeTunDevice, openTun, TunError } from '../../src/tun/native.ts'
import {
  VNET_CSUM_OFFSET,
  VNET_CSUM_START,
  VNET_F_NEEDS_CSUM,
  VNET_GSO_SIZE,
  VNET_GSO_TCPV4,
  VNET_GSO_TCPV6,
  VNET_GSO_TYPE,
  VNET_HDR_LEN,
} from '../../src/wire/vnet.ts'

const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const links = () => (JSON.parse(ip('-j', 'link')) as { ifname: string }[]).map((link) => link.ifname)

function up(name = 'kt%d'): NativeTunDevice {
  const tun = openTun(name)
  ip('link', 'set', tun.name, 'addrgenmode', 'none')
  ip('addr', 'add', '10.9.0.1/24', 'dev', tun.name)
  ip('addr', 'add', 'fd09::1/64', 'dev', tun.name, 'nodad')
  ip('link', 'set', tun.name, 'up')
  return tun
}

function write(tun: NativeTunDevice, frame: Uint8Array): number {
  return tun.write(frame, Uint32Array.of(0), Uint32Array.of(frame.length), 1)
}

function fail(error: Error): never {
  throw error
}

// RFC 1071.
function ipChecksum(packet: DataView): number {
  let sum = 0
  for (let i = 0; i < 20; i += 2) sum += packet.getUint16(i)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** Swaps addresses and ports: the answer of whoever was asked. */
function turnRound(frame: Uint8Array): void {
  const v6 = frame[VNET_HDR_LEN] >> 4 === 6
  const [at, size, header] = v6 ? [8, 16, 40] : [12, 4, 20]
  const address = VNET_HDR_LEN + at
  const port = VNET_HDR_LEN + header
  for (const [a, n] of [
    [address, size],
    [port, 2],
  ]) {
    const first = frame.slice(a, a + n)
    frame.copyWithin(a, a + n, a + 2 * n)
    frame.set(first, a + n)
  }
}

/**
 * A SYN-ACK for a SYN. Its one option is the MSS, so that two segments are more than the MTU: the kernel puts no more
 * than two together where the handshake was slow. The kernel takes packets whose checksum is still to be made as good.
 */
function synAck(syn: Uint8Array): Uint8Array {
  const v6 = syn[VNET_HDR_LEN] >> 4 === 6
  const header = v6 ? 40 : 20
  const frame = syn.slice(0, VNET_HDR_LEN + header + 24)
  turnRound(frame)
  frame.fill(0, 0, VNET_HDR_LEN)
  frame[0] = VNET_F_NEEDS_CSUM
  frame[VNET_CSUM_START] = header
  frame[VNET_CSUM_OFFSET] = 16
  const packet = new DataView(frame.buffer, VNET_HDR_LEN)
  if (v6) packet.setUint16(4, 24)
  else {
    packet.setUint16(2, 44)
    packet.setUint16(10, 0)
    packet.setUint16(10, ipChecksum(packet))
  }
  packet.setUint32(header + 8, packet.getUint32(header + 4) + 1)
  packet.setUint32(header + 4, 12345)
  packet.setUint8(header + 12, 6 << 4)
  packet.setUint8(header + 13, 0x12)
  packet.setUint16(header + 14, 65535)
  packet.setUint32(header + 20, 0x0204_0000 | 1400) // RFC 9293 3.7.1
  return frame
}

async function tso(host: string, gsoType: number): Promise<void> {
  const tun = up()
  assert.deepEqual(tun.offload, { csum: true, tso4: true, tso6: true })
  const socket = connect({ host, port: 80 })
  socket.on('error', () => {})
  await new Promise<void>((resolve) => {
    tun.start((buffer, offsets, lengths, count) => {
      for (let i = 0; i < count; i++) {
        const frame = buffer.slice(offsets[i], offsets[i] + lengths[i])
        const tcp = VNET_HDR_LEN + (frame[VNET_HDR_LEN] >> 4 === 6 ? 40 : 20)
        if (frame[tcp + 13] === 0x02) {
          write(tun, synAck(frame))
          socket.write(Buffer.alloc(100_000))
        } else if (frame.length > 1500 + VNET_HDR_LEN) {
          assert.equal(frame[VNET_GSO_TYPE], gsoType)
          const size = new DataView(frame.buffer).getUint16(VNET_GSO_SIZE, true)
          assert.ok(size > 500 && size <= 1460, `a segment's size, ${size}`)
          return resolve()
        }
      }
    }, fail)
  })
  socket.destroy()
  tun.close()
}

const scenarios: Record<string, () => Promise<void>> = {
  async 'udp-echo'() {
    const tun = up()
    tun.start((buffer, offsets, lengths, count) => {
      for (let i = 0; i < count; i++) {
        const frame = buffer.slice(offsets[i], offsets[i] + lengths[i])
        turnRound(frame)
        frame.fill(0, 0, VNET_HDR_LEN)
        frame[VNET_HDR_LEN + 26] = frame[VNET_HDR_LEN + 27] = 0 // RFC 768: no checksum
        assert.equal(write(tun, frame), 1)
      }
    }, fail)
    const socket = createSocket('udp4')
    socket.send('hello', 7, '10.9.0.2')
    const [message, from] = (await once(socket, 'message')) as [Buffer, { address: string; port: number }]
    assert.equal(message.toString(), 'hello')
    assert.deepEqual([from.address, from.port], ['10.9.0.2', 7])
    socket.close()
    tun.close()
  },

  'tso-v4': () => tso('10.9.0.2', VNET_GSO_TCPV4),
  'tso-v6': () => tso('fd09::2', VNET_GSO_TCPV6),

  async 'full-queue'() {
    const tun = up()
    ip('link', 'set', tun.name, 'txqueuelen', '100')
    const socket = createSocket('udp4')
    socket.bind(0)
    await once(socket, 'listening')
    const payload = Buffer.alloc(100)
    let sent = 0
    await new Promise<void>((resolve) => {
      const done = () => {
        if (++sent === 1000) resolve()
      }
      for (let i = 0; i < 1000; i++) socket.send(payload, 9, '10.9.0.2', done)
    })
    let got = 0
    tun.start((_buffer, _offsets, _lengths, count) => {
      got += count
    }, fail)
    while (got === 0) await new Promise(setImmediate)
    await new Promise(setImmediate)
    assert.ok(got >= 100 && got < 1000, `${got} of 1000 packets came through a queue of 100`)
    socket.close()

    const offsets = new Uint32Array(2000)
    const frame = new Uint8Array(VNET_HDR_LEN + 20)
    frame[VNET_HDR_LEN] = 0x45
    assert.equal(tun.write(frame, offsets, new Uint32Array(2000).fill(frame.length), 2000), 2000)
    ip('link', 'set', tun.name, 'down')
    assert.equal(tun.write(frame, offsets, new Uint32Array(2000).fill(frame.length), 2000), 0)
    tun.close()
  },

  async inherited() {
    const tun = up()
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'inherited-child'], {
      stdio: ['ignore', 'pipe', 'inherit', tun.fd],
      uid: 65534,
      gid: 65534,
    })
    const [line] = (await once(child.stdout!, 'data')) as [Buffer]
    assert.equal(line.toString(), 'ready\n')
    tun.close() // the interface stays: the child has it
    const socket = createSocket('udp4')
    socket.send('x', 9, '10.9.0.2')
    const [code] = (await once(child, 'exit')) as [number]
    socket.close()
    assert.equal(code, 0)
    assert.deepEqual(links(), ['lo'])
  },

  async 'inherited-child'() {
    assert.equal(process.getuid?.(), 65534)
    const tun = attachTun(3)
    assert.equal(tun.name, 'kt0')
    assert.equal(tun.offload.tso4, true)
    tun.start((_buffer, _offsets, lengths) => {
      assert.equal(lengths[0], VNET_HDR_LEN + 20 + 8 + 1)
      tun.close()
    }, fail)
    console.log('ready')
  },

  async gone() {
    const tun = up()
    const errors: Error[] = []
    const told = new Promise<void>((resolve) => {
      tun.start(
        () => {},
        (error) => {
          errors.push(error)
          resolve()
        },
      )
    })
    ip('link', 'del', tun.name)
    await told
    await new Promise(setImmediate)
    assert.equal(errors.length, 1)
    assert.match(errors[0].message, /kt0 is gone/)
    tun.close()
  },

  async close() {
    const tun = up()
    tun.start(() => {}, fail)
    assert.deepEqual(links(), ['lo', 'kt0'])
    tun.close()
    assert.deepEqual(links(), ['lo'])
    assert.equal(tun.write(new Uint8Array(30), Uint32Array.of(0), Uint32Array.of(30), 1), 0)
  },

  async names() {
    const first = openTun()
    const second = openTun('kt%d', 9000)
    assert.deepEqual([first.name, second.name, second.mtu], ['kt0', 'kt1', 9000])
    ip('link', 'set', 'kt1', 'mtu', '1400')
    assert.equal(second.mtu, 1400)
    ip('tuntap', 'add', 'dev', 'theirs', 'mode', 'tun', 'vnet_hdr')
    assert.throws(
      () => openTun('theirs'),
      (error) => error instanceof TunError && error.code === 'EBUSY',
    )
    first.close()
    second.close()
  },

  async 'bad-frames'() {
    const tun = up()
    const buffer = new Uint8Array(100)
    assert.throws(() => tun.write(buffer, Uint32Array.of(90), Uint32Array.of(20), 1), /outside the arena/)
    assert.throws(() => tun.write(buffer, Uint32Array.of(0xfffffff0), Uint32Array.of(20), 1), /outside the arena/)
    assert.throws(() => tun.write(buffer, Uint32Array.of(0), Uint32Array.of(20), 2), /count/)
    buffer[VNET_HDR_LEN] = 0x45
    const lengths = Uint32Array.of(5, VNET_HDR_LEN + 20) // the first is shorter than its header
    assert.equal(tun.write(buffer, Uint32Array.of(0, 0), lengths, 2), 1)
    assert.throws(() => attachTun(2), TunError)
    tun.close()
  },
}

await scenarios[process.argv[2]]()
