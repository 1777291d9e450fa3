// A capture from the device to the file, read back by tshark: what is captured are the frames of two stacks that talk to
// each other, so they are what the kernel would send and get.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CaptureFile } from '../../src/cli/capture-file.ts'
import type { CaptureEvent } from '../../src/control/views.ts'
import { AddressNames } from '../../src/daemon/address-names.ts'
import { capture } from '../../src/daemon/capture.ts'
import { Processes } from '../../src/daemon/processes.ts'
import { buildAnswer, questionWire } from '../../src/dns/build.ts'
import { nameWire } from '../../src/dns/message.ts'
import { createStack } from '../../src/stack/index.ts'
import { memoryTunPair } from '../../src/tun/memory.ts'
import { fileHeader, namesBlock, packetBlock } from '../../src/tun/pcapng.ts'
import { withTap } from '../../src/tun/tap.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'
import { seeded } from '../stack/line.ts'
import { missing } from '../support/programs.ts'
import { until } from '../support/until.ts'

const skip = missing('tshark')
let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-capture-'))
})
after(() => rmSync(folder, { recursive: true }))

/** The fields of each packet of a file, as tshark reads them with its names. */
function read(file: string, ...fields: string[]): string[][] {
  const words = [
    '-N',
    'n',
    '-r',
    file,
    '-T',
    'fields',
    '-E',
    'separator=|',
    ...fields.flatMap((field) => ['-e', field]),
  ]
  const text = execFileSync('tshark', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('|'))
}

/** A program's machine (a) and kt's end of its device (b), with a capture at b. */
function setUp(families: 4 | 6, addresses?: Map<string, IpAddress>, backlog = () => 0) {
  const { a, b, deliver } = memoryTunPair()
  const device = withTap(b)
  const names = new AddressNames({
    clusterDomain: 'cluster.local',
    ask: () => Promise.reject(new Error('nobody')),
    now: () => performance.now(),
  })
  const service = IpAddress.parse(families === 4 ? '10.96.0.7' : 'fd00:96::7')
  const type = families === 4 ? 1 : 28
  names.learn(buildAnswer(questionWire(nameWire('web.shop.svc.cluster.local')!, type), 0, [service.bytes], 30))
  const stackOf = (tun: typeof a, seed: number) => {
    const stack = createStack({
      mtu: 1500,
      gso: true,
      random: seeded(seed),
      output: (...batch) => void tun.write(...batch),
    })
    tun.start((...batch) => {
      stack.input(...batch, performance.now())
      stack.flush(performance.now())
    }, assert.fail)
    return stack
  }
  const events: CaptureEvent[] = []
  const gone = new AbortController()
  const over = capture(
    { device, application: 'kt test', names, processes: new Processes(), addresses },
    (event) => events.push(event),
    { signal: gone.signal, backlog },
  )
  const program = stackOf(a, 1)
  const engine = stackOf(device, 2)
  engine.setHandlers({
    onTcp(flow) {
      flow.accept()
      return {
        onData(_b, start, end) {
          flow.send(new Uint8Array(end - start))
          return end - start
        },
        onEnd: () => flow.end(),
        onAcked() {},
        onClose() {},
      }
    },
    onUdp: () => undefined,
    onEcho() {},
  })
  const from = IpAddress.parse(families === 4 ? '198.18.53.1' : 'fd6b::1')
  let port = 40_000
  /** One connection that sends and gets `bytes`. */
  const talk = (bytes: number, to = service) => {
    let got = 0
    const flow = program.connect(
      { address: from, port: ++port },
      { address: to, port: 80 },
      {
        onOpen: () => {
          flow.send(new Uint8Array(bytes))
          flow.end()
        },
        onData(_b, start, end) {
          got += end - start
          return end - start
        },
        onEnd() {},
        onAcked() {},
        onClose() {},
      },
    )
    for (let i = 0; i < 200 && got < bytes; i++) {
      for (const stack of [program, engine]) stack.flush(performance.now())
      deliver()
    }
    assert.equal(got, bytes)
  }
  const stop = () => {
    gone.abort()
    return over
  }
  return { talk, events, stop }
}

const packetsOf = (events: CaptureEvent[]) => events.reduce((sum, { count }) => sum + count, 0)

for (const family of [4, 6] as const) {
  test(`tshark reads an IPv${family} capture, super-segments too, with names, directions and comments`, {
    skip,
  }, async () => {
    const { talk, events, stop } = setUp(family)
    talk(100_000)
    await until('the packets', () => packetsOf(events) > 0)
    await stop()
    const path = join(folder, `v${family}.pcapng`)
    const file = new CaptureFile(path)
    for (const event of events) file.take(event)
    file.close()
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const ip = family === 4 ? 'ip' : 'ipv6'
    const rows = read(
      path,
      'frame.comment',
      `${ip}.dst_host`,
      'frame.packet_flags_direction',
      'tcp.dstport',
      'frame.len',
      '_ws.malformed',
    )
    assert.equal(rows.length, file.packets)
    assert.ok(
      rows.every(([comment]) => comment === 'web.shop:80'),
      rows[0].join(),
    )
    const out = rows.filter(([, , , port]) => port === '80')
    assert.ok(out.length > 3 && out.length < rows.length)
    assert.ok(out.every(([, host, direction]) => host === 'web.shop' && Number(direction) === 2))
    assert.ok(rows.filter((row) => !out.includes(row)).every(([, , direction]) => Number(direction) === 1))
    assert.ok(
      rows.some(([, , , , length]) => Number(length) > 9000),
      'no super-segment',
    )
    assert.ok(rows.every(([, , , , , malformed]) => !malformed))
  })
}

test('only what was asked for is captured', async () => {
  const other = IpAddress.parse('10.96.0.8')
  const { talk, events, stop } = setUp(4, new Map([['10.96.0.8', other]]))
  talk(10)
  talk(10, other)
  await until('the packets', () => packetsOf(events) > 0)
  await stop()
  const bytes = Buffer.concat(events.map(({ data }) => Buffer.from(data, 'base64')))
  assert.ok(bytes.includes(Buffer.from(other.bytes)))
  assert.ok(!bytes.includes(Buffer.of(10, 96, 0, 7)))
})

test('packets that a slow reader has no room for are dropped and counted, there and in the file', async () => {
  let waiting = 1 << 30
  const { talk, events, stop } = setUp(4, undefined, () => waiting)
  talk(50_000)
  assert.equal(packetsOf(events), 0)
  waiting = 0
  talk(10)
  await until('the packets', () => packetsOf(events) > 0)
  await stop()
  const file = new CaptureFile(join(folder, 'dropped.pcapng'))
  for (const event of events) file.take(event)
  file.close()
  assert.ok(file.dropped >= 3)
  // epb_dropcount of the first packet: code 4, 8 octets
  const option = Buffer.of(4, 0, 8, 0, file.dropped, 0, 0, 0, 0, 0, 0, 0)
  assert.ok(Buffer.from(events.find(({ kind }) => kind === 'packets')!.data, 'base64').includes(option))
})

describe('files', () => {
  const header = fileHeader('kt test', 'kt0')
  const piece = (kind: CaptureEvent['kind'], data: Buffer, count = 0): CaptureEvent => ({
    kind,
    data: data.toString('base64'),
    count,
    dropped: 0,
  })
  const packet = () => {
    const bytes = new Uint8Array(1000)
    bytes.set([0x45, 0, 1000 >> 8, 1000 & 255, 0, 0, 0, 0, 64, 99, 0, 0, 198, 18, 53, 1, 10, 96, 0, 7])
    return packetBlock(bytes, 0, bytes.length, 1.7e15, { direction: 'out', comment: 'ü' })
  }

  test('each file stands alone: it begins with the header and all names', { skip }, () => {
    const sub = mkdtempSync(join(folder, 'r-'))
    const file = new CaptureFile(join(sub, 'web.cap'), 2500)
    file.take(piece('header', header))
    file.take(piece('names', namesBlock([[IpAddress.parse('10.96.0.7'), 'web.shop']])))
    for (let i = 0; i < 5; i++) file.take(piece('packets', packet(), 1))
    file.close()
    assert.deepEqual(readdirSync(sub).sort(), ['web-2.cap', 'web-3.cap', 'web.cap'])
    assert.deepEqual([file.files, file.packets], [3, 5])
    for (const name of readdirSync(sub)) {
      assert.ok(statSync(join(sub, name)).size <= 2500)
      for (const [host, comment] of read(join(sub, name), 'ip.dst_host', 'frame.comment'))
        assert.deepEqual([host, comment], ['web.shop', 'ü'])
    }
  })

  test('every block ends with its length and on a border of four octets', () => {
    const blocks = [header, namesBlock([[IpAddress.parse('fd00::1'), 'a']]), packet()]
    const bytes = Buffer.concat(blocks)
    let at = 0
    const types: number[] = []
    while (at < bytes.length) {
      const length = bytes.readUInt32LE(at + 4)
      assert.equal(length % 4, 0)
      assert.equal(bytes.readUInt32LE(at + length - 4), length)
      types.push(bytes.readUInt32LE(at))
      at += length
    }
    assert.deepEqual(types, [0x0a0d0d0a, 1, 4, 6])
  })

  test('a folder that is not there is told as such', () => {
    assert.throws(
      () => new CaptureFile(join(folder, 'none/x')).take(piece('header', header)),
      /none\/x cannot be written: ENOENT/,
    )
  })

  test('a tap that is off leaves the device as it is', () => {
    const { a, b, deliver } = memoryTunPair()
    const device = withTap(b)
    const seen: string[] = []
    const stop = device.tap((direction, _buffer, _offsets, lengths, count) =>
      seen.push(`${direction} ${count} ${lengths[0]}`),
    )
    let got = 0
    device.start((_buffer, _offsets, _lengths, count) => (got += count), assert.fail)
    a.start(() => {}, assert.fail)
    const frame = new Uint8Array(VNET_HDR_LEN + 20)
    const send = () => {
      a.write(frame, Uint32Array.of(0), Uint32Array.of(frame.length), 1)
      device.write(frame, Uint32Array.of(0), Uint32Array.of(frame.length), 1)
      deliver()
    }
    send()
    stop()
    send()
    assert.deepEqual(seen.sort(), [`in 1 ${frame.length}`, `out 1 ${frame.length}`])
    assert.equal(got, 2)
  })
})
