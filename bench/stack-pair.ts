// What the benchmarks and tests of the bare stack are made of: two stacks back to back in memory, and a feed of pure ACKs for
// one. No device, no kernel; randomness is the same each time.
import { createStack, type Stack, type TcpFlow, type TcpFlowHandler } from '../src/stack/index.ts'
import { IpAddress } from '../src/wire/address.ts'
import { put32 } from '../src/wire/bytes.ts'
import { PROTOCOL_TCP } from '../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../src/wire/ipv4.ts'
import { writeTcp } from '../src/wire/tcp.ts'
import { VNET_HDR_LEN } from '../src/wire/vnet.ts'

export const CLIENT = IpAddress.parse('10.9.0.1')
export const SERVER = IpAddress.parse('10.9.0.2')
const CLIENT_WORD = 0x0a090001
const SERVER_WORD = 0x0a090002
const PORTS = 60_000

/** A source of randomness (a linear congruential generator) that is the same each time. */
export function seeded(seed = 12345): () => number {
  let random = seed
  return () => (random = (Math.imul(random, 1664525) + 1013904223) >>> 0)
}

/** Takes all that comes and says nothing. */
export const sink: TcpFlowHandler = { onData: (_b, start, end) => end - start, onEnd() {}, onAcked() {}, onClose() {} }

/** Two stacks; what one sends is put into the other at once. `settle` goes on until both are silent. */
export class Pair {
  readonly a: Stack
  readonly b: Stack
  private moved = false
  private readonly clock: () => number

  /** `clock` in whole milliseconds: a fraction would be an object each time it is passed on. */
  constructor(gso = true, clock = () => performance.now() | 0) {
    this.clock = clock
    const options = { mtu: 1500, gso, random: seeded(), limits: { tcpFlows: 100_000 } }
    this.a = createStack({
      ...options,
      output: (buffer, offsets, lengths, count) => {
        this.moved = true
        this.b.input(buffer, offsets, lengths, count, this.clock())
      },
    })
    this.b = createStack({
      ...options,
      output: (buffer, offsets, lengths, count) => {
        this.moved = true
        this.a.input(buffer, offsets, lengths, count, this.clock())
      },
    })
  }

  settle(): void {
    do {
      this.moved = false
      this.a.flush(this.clock())
      this.b.flush(this.clock())
    } while (this.moved)
  }

  /** Packets that both have sent. */
  get packets(): number {
    return this.a.counters.packetsOut + this.b.counters.packetsOut
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

  /** Opens `count` connections from a to b that stay. */
  open(count: number, handler: TcpFlowHandler = sink): TcpFlow[] {
    const flows: TcpFlow[] = []
    for (let i = 0; i < count; i++) {
      const local = { address: CLIENT, port: 1024 + (i % PORTS) }
      const remote = { address: SERVER, port: 80 + Math.floor(i / PORTS) }
      flows.push(this.a.connect(local, remote, { ...handler, onOpen() {} }))
      if (i % 64 === 63) this.settle()
    }
    this.settle()
    return flows
  }
}

/** A batch of the same frame, ready for `input`. */
export function batch(frame: Uint8Array, count: number): [Uint8Array, Uint32Array, Uint32Array] {
  const step = (frame.length + 7) & ~7
  const buffer = new Uint8Array(step * count)
  const offsets = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    buffer.set(frame, i * step)
    offsets[i] = i * step
  }
  return [buffer, offsets, new Uint32Array(count).fill(frame.length)]
}

/** One connection of a stack whose peer is played by hand: each of its ACKs covers one byte in flight. */
export class AckFeed {
  acked = 0
  private readonly stack: Stack
  private readonly flow: TcpFlow
  private readonly frames: [Uint8Array, Uint32Array, Uint32Array]
  private readonly chunk: Uint8Array
  private next: number

  constructor(group: number) {
    let first = true
    let iss = 0
    this.stack = createStack({
      mtu: 1500,
      gso: true,
      random: () => 1000,
      output(buffer, offsets) {
        if (!first) return
        first = false
        const tcp = offsets[0] + VNET_HDR_LEN + IPV4_HEADER
        iss = (buffer[tcp + 4] << 24) | (buffer[tcp + 5] << 16) | (buffer[tcp + 6] << 8) | buffer[tcp + 7]
      },
    })
    const onAcked = (bytes: number) => {
      this.acked += bytes
    }
    this.flow = this.stack.connect(
      { address: SERVER, port: 80 },
      { address: CLIENT, port: 4000 },
      { ...sink, onOpen() {}, onAcked },
    )
    this.stack.flush(0)
    const frame = new Uint8Array(VNET_HDR_LEN + IPV4_HEADER + 20)
    frame[0] = 1 // checksum left out
    writeIpv4(frame, VNET_HDR_LEN, 40, PROTOCOL_TCP, CLIENT_WORD, SERVER_WORD, 0, 0x4000)
    const tcp = VNET_HDR_LEN + IPV4_HEADER
    const ports = (4000 << 16) | 80
    writeTcp(frame, tcp, ports, 500, (iss + 1) | 0, 20, 0x12, 65535, 0)
    const [synAck, offset, length] = batch(frame, 1)
    this.stack.input(synAck, offset, length, 1, 0)
    this.stack.flush(0)
    writeTcp(frame, tcp, ports, 501, 0, 20, 0x10, 65535, 0)
    this.frames = batch(frame, group)
    this.chunk = new Uint8Array(group)
    this.next = (iss + 1) | 0
  }

  /** Sends as many bytes as there are ACKs in a group, without the ACKs. */
  send(): void {
    this.flow.send(this.chunk)
    this.stack.flush(1)
  }

  /** The group's ACKs, one a byte, in order. */
  acknowledge(): void {
    const [buffer, offsets, lengths] = this.frames
    const count = offsets.length
    const field = VNET_HDR_LEN + IPV4_HEADER + 8
    for (let k = 0; k < count; k++) put32(buffer, offsets[k] + field, (this.next + k + 1) | 0)
    this.next = (this.next + count) | 0
    this.stack.input(buffer, offsets, lengths, count, 1)
  }
}
