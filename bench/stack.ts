// How fast the stack is by itself: two of them back to back in memory, no device, no kernel. Bulk, echo of one byte,
// connections, datagrams and pure ACKs, with the garbage that each leaves behind. `node --expose-gc bench/stack.ts`.
import { createStack, type Stack, type TcpFlow, type TcpFlowHandler } from '../src/stack/index.ts'
import { IpAddress } from '../src/wire/address.ts'
import { put32 } from '../src/wire/bytes.ts'
import { PROTOCOL_TCP, PROTOCOL_UDP } from '../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../src/wire/ipv4.ts'
import { writeTcp } from '../src/wire/tcp.ts'
import { UDP_HEADER, writeUdp } from '../src/wire/udp.ts'
import { VNET_HDR_LEN } from '../src/wire/vnet.ts'

const CLIENT = IpAddress.parse('10.9.0.1')
const SERVER = IpAddress.parse('10.9.0.2')
const clock = () => performance.now()

let random = 12345
const next = () => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0)

/** Two stacks; what one sends is put into the other at once. `settle` goes on until both are silent. */
class Pair {
  readonly a: Stack
  readonly b: Stack
  private moved = false

  constructor(gso = true) {
    const options = { mtu: 1500, gso, random: next }
    this.a = createStack({
      ...options,
      output: (buffer, offsets, lengths, count) => {
        this.moved = true
        this.b.input(buffer, offsets, lengths, count, clock())
      },
    })
    this.b = createStack({
      ...options,
      output: (buffer, offsets, lengths, count) => {
        this.moved = true
        this.a.input(buffer, offsets, lengths, count, clock())
      },
    })
  }

  settle(): void {
    do {
      this.moved = false
      this.a.flush(clock())
      this.b.flush(clock())
    } while (this.moved)
  }

  /** `serve` gets each connection that arrives at b. */
  serve(serve: (flow: TcpFlow) => TcpFlowHandler): void {
    this.b.setHandlers({
      onTcp(flow) {
        const handler = serve(flow)
        flow.accept()
        return handler
      },
      onUdp: () => undefined,
      onEcho() {},
    })
  }
}

const sink: TcpFlowHandler = { onData: (_b, start, end) => end - start, onEnd() {}, onAcked() {}, onClose() {} }

interface Result {
  name: string
  seconds: number
  packets: number
  values: Record<string, number>
}

function heap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

function run(name: string, body: () => { packets: number; values: Record<string, number> }): Result {
  const began = clock()
  const { packets, values } = body()
  return { name, seconds: (clock() - began) / 1000, packets, values }
}

function bulk(bytes: number, gso: boolean): Result {
  const pair = new Pair(gso)
  let received = 0
  pair.serve((flow) => ({
    ...sink,
    onData(_buffer, start, end) {
      received += end - start
      return end - start
    },
    onEnd: () => flow.end(),
  }))
  const chunk = new Uint8Array(65536)
  const flow = pair.a.connect({ address: CLIENT, port: 1 }, { address: SERVER, port: 2 }, { ...sink, onOpen() {} })
  pair.settle()
  return run(gso ? 'bulk, GSO' : 'bulk, MSS', () => {
    const before = pair.a.counters.packetsOut + pair.b.counters.packetsOut
    for (let sent = 0; sent < bytes; sent += 8 * chunk.length) {
      for (let i = 0; i < 8; i++) flow.send(chunk)
      pair.settle()
    }
    return {
      packets: pair.a.counters.packetsOut + pair.b.counters.packetsOut - before,
      values: { 'MB/s': received / 1e6 },
    }
  })
}

function echo(rounds: number): Result {
  const pair = new Pair()
  pair.serve((flow) => ({
    ...sink,
    onData(buffer, start, end) {
      flow.send(buffer.slice(start, end))
      return end - start
    },
  }))
  const byte = new Uint8Array(1)
  let back = 0
  const flow = pair.a.connect(
    { address: CLIENT, port: 1 },
    { address: SERVER, port: 2 },
    {
      ...sink,
      onOpen() {},
      onData(_buffer, start, end) {
        back += end - start
        if (back < rounds) flow.send(byte)
        return end - start
      },
    },
  )
  pair.settle()
  return run('echo of 1 byte', () => {
    const before = pair.a.counters.packetsOut + pair.b.counters.packetsOut
    flow.send(byte)
    pair.settle()
    return { packets: pair.a.counters.packetsOut + pair.b.counters.packetsOut - before, values: { 'rounds/s': back } }
  })
}

function connects(count: number): Result {
  const pair = new Pair()
  pair.serve((flow) => ({ ...sink, onEnd: () => flow.end() }))
  return run('connect and close', () => {
    const before = pair.a.counters.packetsOut + pair.b.counters.packetsOut
    for (let i = 0; i < count; i++) {
      const flow = pair.a.connect(
        { address: CLIENT, port: 1024 + (i % 60000) },
        { address: SERVER, port: 80 + Math.floor(i / 60000) },
        { ...sink, onOpen: () => flow.end() },
      )
      pair.settle()
      if (i % 256 === 0) pair.a.tick(clock())
    }
    return {
      packets: pair.a.counters.packetsOut + pair.b.counters.packetsOut - before,
      values: { 'connects/s': count, left: pair.b.counters.tcpFlows * 0 },
    }
  })
}

/** A batch of the same frame, ready for `input`. */
function batch(frame: Uint8Array, count: number): [Uint8Array, Uint32Array, Uint32Array] {
  const step = (frame.length + 7) & ~7
  const buffer = new Uint8Array(step * count)
  const offsets = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    buffer.set(frame, i * step)
    offsets[i] = i * step
  }
  return [buffer, offsets, new Uint32Array(count).fill(frame.length)]
}

function datagrams(count: number): Result {
  const stack = createStack({ mtu: 1500, gso: true, random: next, output() {}, ownAddresses: [SERVER] })
  const payload = new Uint8Array(64)
  stack.listenUdp({ address: SERVER, port: 53 }, (_buffer, _start, _end, reply) => reply(payload))
  const frame = new Uint8Array(VNET_HDR_LEN + IPV4_HEADER + UDP_HEADER + 40)
  frame[0] = 1
  writeIpv4(frame, VNET_HDR_LEN, frame.length - VNET_HDR_LEN, PROTOCOL_UDP, 0x0a090001, 0x0a090002, 0, 0x4000)
  writeUdp(frame, VNET_HDR_LEN + IPV4_HEADER, (40000 << 16) | 53, UDP_HEADER + 40, 0)
  const [buffer, offsets, lengths] = batch(frame, 64)
  return run('datagrams answered', () => {
    for (let i = 0; i < count; i += 64) {
      stack.input(buffer, offsets, lengths, 64, clock())
      stack.flush(clock())
    }
    return { packets: 2 * count, values: { 'datagrams/s': stack.counters.packetsOut } }
  })
}

/** ACKs in sequence, each of one byte that is in flight. */
function pureAcks(count: number): Result {
  let seen = 0
  const stack = createStack({
    mtu: 1500,
    gso: true,
    random: () => 1000,
    output(buffer, offsets) {
      if (seen++ === 0) {
        const tcp = offsets[0] + VNET_HDR_LEN + IPV4_HEADER
        iss = (buffer[tcp + 4] << 24) | (buffer[tcp + 5] << 16) | (buffer[tcp + 6] << 8) | buffer[tcp + 7]
      }
    },
  })
  let iss = 0
  let acked = 0
  const flow = stack.connect(
    { address: SERVER, port: 80 },
    { address: CLIENT, port: 4000 },
    { ...sink, onOpen() {}, onAcked: (n) => (acked += n) },
  )
  stack.flush(clock())
  const frame = new Uint8Array(VNET_HDR_LEN + IPV4_HEADER + 20)
  frame[0] = 1
  writeIpv4(frame, VNET_HDR_LEN, 40, PROTOCOL_TCP, 0x0a090001, 0x0a090002, 0, 0x4000)
  const tcp = VNET_HDR_LEN + IPV4_HEADER
  const ports = (4000 << 16) | 80
  writeTcp(frame, tcp, ports, 500, (iss + 1) | 0, 20, 0x12, 65535, 0)
  const [one, offset, length] = batch(frame, 1)
  stack.input(one, offset, length, 1, clock())
  stack.flush(clock())
  const group = 64
  writeTcp(frame, tcp, ports, 501, 0, 20, 0x10, 65535, 0)
  const [buffer, offsets, lengths] = batch(frame, group)
  const chunk = new Uint8Array(group)
  return run('pure ACKs in', () => {
    let at = (iss + 1) | 0
    for (let i = 0; i < count; i += group) {
      flow.send(chunk)
      stack.flush(clock())
      for (let k = 0; k < group; k++) put32(buffer, offsets[k] + tcp + 8, (at + k + 1) | 0)
      at = (at + group) | 0
      stack.input(buffer, offsets, lengths, group, clock())
    }
    stack.flush(clock())
    if (acked !== count) throw new Error(`${acked} of ${count} bytes were acknowledged`)
    return { packets: count, values: { 'ACKs/s': count } }
  })
}

function idleFlows(count: number): void {
  const pair = new Pair()
  const kept: TcpFlow[] = []
  pair.serve((flow) => {
    kept.push(flow)
    return sink
  })
  const before = heap()
  for (let i = 0; i < count; i++) {
    pair.a.connect({ address: CLIENT, port: 1024 + i }, { address: SERVER, port: 80 }, { ...sink, onOpen() {} })
    if (i % 64 === 0) pair.settle()
  }
  pair.settle()
  const each = (heap() - before) / (2 * count)
  const began = clock()
  for (let i = 0; i < 1000; i++) pair.a.tick(clock())
  const tick = (clock() - began) / 1000
  console.log(
    `${count} idle flows: ${Math.round(each)} bytes each, ${(tick * 1000).toFixed(1)} us a tick (${kept.length} open)`,
  )
}

/** The second of two runs counts: the first one is the compiler's. */
function report(make: (scale: number) => Result): void {
  make(0.2)
  const before = heap()
  const { name, seconds, packets, values } = make(1)
  const used = process.memoryUsage().heapUsed - before
  const parts = Object.entries(values)
    .filter(([key]) => key !== 'left')
    .map(([key, value]) => `${Math.round(value / seconds).toLocaleString('en')} ${key}`)
  parts.push(`${Math.round(packets / seconds).toLocaleString('en')} packets/s`)
  // Only a lower bound where a collection ran meanwhile.
  parts.push(`${(used / packets).toFixed(1)} heap bytes a packet left`)
  console.log(`${name.padEnd(20)} ${parts.join(', ')}`)
}

report((scale) => bulk(8e9 * scale, true))
report((scale) => bulk(2e9 * scale, false))
report((scale) => echo(500_000 * scale))
report((scale) => connects(50_000 * scale))
report((scale) => datagrams(640_000 * scale))
report((scale) => pureAcks(3_200_000 * scale))
idleFlows(10_000)
