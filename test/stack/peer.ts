// The other side of a stack under test, played by the test: it sends segments and reads what comes back as text, with
// sequence numbers counted from both sides' initial ones. "SA 0 ack 1" is a SYN-ACK, "A 1+100 ack 5" carries 100 bytes.
import assert from 'node:assert/strict'
import { createStack, type Stack, type StackOptions, type TcpFlow, type TcpFlowHandler } from '../../src/stack/index.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { get16, get32, put16 } from '../../src/wire/bytes.ts'
import { addBytes, finish } from '../../src/wire/checksum.ts'
import { IpView, PROTOCOL_TCP } from '../../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../../src/wire/ipv4.ts'
import { IPV6_HEADER, writeIpv6 } from '../../src/wire/ipv6.ts'
import {
  ACK,
  FIN,
  PSH,
  RST,
  SYN,
  sackOptionLength,
  synOptionsLength,
  TCP_HEADER,
  TcpOptions,
  writeSackOption,
  writeSynOptions,
  writeTcp,
} from '../../src/wire/tcp.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'
import { cutSegments } from './cut.ts'

/** Initial sequence numbers, close to where they wrap. */
export const STACK_ISS = 0x7ffffff0
export const PEER_ISS = -20

const FLAGS: [string, number][] = [
  ['S', SYN],
  ['F', FIN],
  ['R', RST],
  ['P', PSH],
  ['A', ACK],
]

export interface Sent {
  text: string
  flags: string
  seq: number
  ack: number
  window: number
  length: number
  payload: Uint8Array
  options: TcpOptions
  /** The frame as it left. */
  frame: Uint8Array
}

export interface Out {
  seq?: number
  ack?: number
  window?: number
  data?: Uint8Array | number
  mss?: number
  scale?: number
  sackOk?: boolean
  sack?: number[]
  port?: number
}

/** Bytes that say where they belong. */
export function pattern(length: number, from = 0): Uint8Array {
  return new Uint8Array(length).map((_, i) => ((from + i) * 7 + ((from + i) >> 8)) & 255)
}

export class Peer {
  readonly stack: Stack
  now = 0
  flow!: TcpFlow
  readonly events: string[] = []
  received: number[] = []
  /** What `onData` takes of what it is offered. */
  take: (offered: number) => number = (offered) => offered
  readonly handler: TcpFlowHandler = {
    onData: (buffer, start, end) => {
      const taken = this.take(end - start)
      for (let i = start; i < start + taken; i++) this.received.push(buffer[i])
      return taken
    },
    onEnd: () => void this.events.push('end'),
    onAcked: (bytes) => void this.events.push(`acked ${bytes}`),
    onClose: (reason) => void this.events.push(`close ${reason}`),
  }
  /** Decides on a SYN; keeps it by default. */
  onTcp: (flow: TcpFlow) => TcpFlowHandler | undefined = () => this.handler
  frames: Uint8Array[] = []
  readonly v6: boolean

  constructor(options: Partial<StackOptions> = {}, v6 = false) {
    this.v6 = v6
    this.stack = createStack({
      mtu: 1500,
      gso: false,
      random: () => STACK_ISS,
      output: (buffer, offsets, lengths, count) => {
        for (let i = 0; i < count; i++) this.frames.push(buffer.slice(offsets[i], offsets[i] + lengths[i]))
      },
      ...options,
    })
    this.stack.setHandlers({
      onTcp: (flow) => {
        this.flow = flow
        return this.onTcp(flow)
      },
      onUdp: () => undefined,
      onEcho() {},
    })
  }

  /** Puts a segment of the peer into the stack, as `flags` say; numbers count from the initial ones. */
  send(flags: string, out: Out = {}): void {
    const { window = 65535, port = 4000 } = out
    const data = typeof out.data === 'number' ? pattern(out.data, (out.seq ?? 1) - 1) : (out.data ?? new Uint8Array(0))
    const bits = [...flags].reduce((sum, letter) => sum | FLAGS.find(([name]) => name === letter)![1], 0)
    const syn = (bits & SYN) !== 0 && (out.mss !== undefined || out.scale !== undefined || out.sackOk)
    const sack = out.sack ?? []
    const options = syn ? synOptionsLength(out.scale ?? -1, out.sackOk ?? false) : sackOptionLength(sack.length / 2)
    const header = TCP_HEADER + options
    const ip = this.v6 ? IPV6_HEADER : IPV4_HEADER
    const frame = new Uint8Array(VNET_HDR_LEN + ip + header + data.length)
    frame[0] = 1
    const total = ip + header + data.length
    if (this.v6)
      writeIpv6(frame, VNET_HDR_LEN, total - ip, PROTOCOL_TCP, 0xfd00_0000 | 0, 0, 0, 1, 0xfd00_0000 | 0, 0, 0, 2)
    else writeIpv4(frame, VNET_HDR_LEN, total, PROTOCOL_TCP, 0x0a000001, 0x0a000002, 0, 0x4000)
    const at = VNET_HDR_LEN + ip
    const seq = (PEER_ISS + (out.seq ?? 0)) | 0
    const ack = (bits & ACK) === 0 ? 0 : (STACK_ISS + (out.ack ?? 0)) | 0
    writeTcp(frame, at, (port << 16) | 80, seq, ack, header, bits, window, 0)
    if (syn) writeSynOptions(frame, at + TCP_HEADER, out.mss ?? 1460, out.scale ?? -1, out.sackOk ?? false)
    if (sack.length > 0) {
      const edges = Int32Array.from(sack, (edge) => (STACK_ISS + edge) | 0)
      writeSackOption(frame, at + TCP_HEADER, edges, sack.length / 2)
    }
    frame.set(data, at + header)
    this.input(frame)
  }

  /** Puts a frame into the stack. */
  input(frame: Uint8Array): void {
    this.stack.input(frame, Uint32Array.of(0), Uint32Array.of(frame.length), 1, this.now)
    this.stack.flush(this.now)
  }

  /** SYN, accept, ACK; what was sent meanwhile is thrown away. */
  open(out: Out = { mss: 1460, scale: 0, sackOk: true }): void {
    this.send('S', out)
    this.flow.accept()
    this.stack.flush(this.now)
    this.send('A', { seq: 1, ack: 1, window: out.window })
    assert.equal(this.flow.state, 'ESTABLISHED')
    this.frames = []
    this.events.length = 0
  }

  /** TCP segments since the last call, super-segments as they are. */
  sent(): Sent[] {
    this.stack.flush(this.now)
    const all = this.frames.map(decode)
    this.frames = []
    return all
  }

  /** As `sent`, as text. */
  texts(): string[] {
    return this.sent().map(({ text }) => text)
  }

  expect(...texts: string[]): void {
    assert.deepEqual(this.texts(), texts)
  }

  /** Lets the stack's timers run until `now + ms`, at the times they ask for. */
  wait(ms: number): void {
    const until = this.now + ms
    for (;;) {
      const next = this.stack.nextDeadline()
      if (next > until) break
      this.now = Math.max(this.now, next)
      this.stack.tick(this.now)
    }
    this.now = until
  }
}

export function decode(frame: Uint8Array): Sent {
  for (const one of cutSegments(frame)) assertIntact(one)
  const view = new IpView()
  assert.ok(view.parse(frame, VNET_HDR_LEN, frame.length), 'a good IP packet')
  assert.equal(view.protocol, PROTOCOL_TCP)
  const at = view.payload
  const header = (frame[at + 12] >> 4) << 2
  const bits = frame[at + 13]
  const flags = FLAGS.filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .filter((name) => name !== 'P')
    .join('')
  // A RST for what has no numbers yet carries a plain 0.
  const number = get32(frame, at + 4)
  const seq = bits & RST && number === 0 ? 0 : (number - STACK_ISS) | 0
  const ack = bits & ACK ? (get32(frame, at + 8) - PEER_ISS) | 0 : 0
  const payload = frame.slice(at + header, view.end)
  const options = new TcpOptions()
  options.read(frame, at + TCP_HEADER, at + header)
  const text = `${flags} ${seq}${payload.length > 0 ? `+${payload.length}` : ''}${bits & ACK ? ` ack ${ack}` : ''}`
  return { text, flags, seq, ack, window: get16(frame, at + 14), length: payload.length, payload, options, frame }
}

/** A frame whose checksums are all filled in. */
export function assertIntact(frame: Uint8Array): void {
  const view = new IpView()
  assert.ok(view.parse(frame, VNET_HDR_LEN, frame.length), 'a good IP packet')
  const copy = frame.slice(view.payload, view.end)
  if (view.protocol !== PROTOCOL_TCP) return
  const told = get16(copy, 16)
  put16(copy, 16, 0)
  let sum = PROTOCOL_TCP + copy.length
  sum = addBytes(sum, frame, view.source, view.source + 2 * view.addressLength)
  // 0 and 0xffff are the same number in ones' complement.
  assert.equal(told % 0xffff, finish(addBytes(sum, copy, 0, copy.length)) % 0xffff, 'the TCP checksum')
}

export const ADDRESSES = {
  peer: IpAddress.parse('10.0.0.1'),
  stack: IpAddress.parse('10.0.0.2'),
  peer6: IpAddress.parse('fd00::1'),
  stack6: IpAddress.parse('fd00::2'),
}
