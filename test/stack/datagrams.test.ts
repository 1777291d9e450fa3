import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  createStack,
  type EchoRequest,
  type Rejection,
  type StackOptions,
  type UdpFlow,
} from '../../src/stack/index.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { get16, put16, put32 } from '../../src/wire/bytes.ts'
import { addBytes, finish, fold, pseudoSum } from '../../src/wire/checksum.ts'
import { IpView, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_UDP } from '../../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../../src/wire/ipv4.ts'
import { FRAGMENT_HEADER, IPV6_HEADER, NEXT_FRAGMENT, writeFragmentHeader, writeIpv6 } from '../../src/wire/ipv6.ts'
import { UDP_HEADER, writeUdp } from '../../src/wire/udp.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'
import { cutSegments } from './cut.ts'
import { seeded } from './line.ts'
import { pattern } from './peer.ts'

const PROGRAM = IpAddress.parse('10.0.0.1')
const TARGET = IpAddress.parse('10.0.0.2')
const PROGRAM6 = IpAddress.parse('fd00::1')
const TARGET6 = IpAddress.parse('fd00::2')

/** An IP packet from the program to `target`, complete with checksums, as a frame. */
function frameOf(
  v6: boolean,
  protocol: number,
  message: Uint8Array,
  checksumAt: number,
  target?: IpAddress,
): Uint8Array {
  const ip = v6 ? IPV6_HEADER : IPV4_HEADER
  const frame = new Uint8Array(VNET_HDR_LEN + ip + message.length)
  if (v6) writeIpv6(frame, VNET_HDR_LEN, message.length, protocol, 0xfd000000 | 0, 0, 0, 1, 0xfd000000 | 0, 0, 0, 2)
  else writeIpv4(frame, VNET_HDR_LEN, ip + message.length, protocol, 0x0a000001, 0x0a000002, 0, 0)
  if (target) {
    frame.set(target.bytes, VNET_HDR_LEN + (v6 ? 24 : 16))
    if (!v6) {
      put16(frame, VNET_HDR_LEN + 10, 0)
      put16(frame, VNET_HDR_LEN + 10, finish(addBytes(0, frame, VNET_HDR_LEN, VNET_HDR_LEN + 20)))
    }
  }
  const at = VNET_HDR_LEN + ip
  frame.set(message, at)
  put16(frame, at + checksumAt, 0)
  const v4Icmp = protocol === PROTOCOL_ICMP
  const address = v6 ? 16 : 4
  const source = VNET_HDR_LEN + (v6 ? 8 : 12)
  const pseudo = v4Icmp ? 0 : pseudoSum(frame, source, source + address, address, protocol, message.length)
  put16(frame, at + checksumAt, finish(addBytes(pseudo, frame, at, frame.length)) || 0xffff)
  return frame
}

function udp(
  v6: boolean,
  payload: Uint8Array,
  { from = 5000, to = 7, target }: { from?: number; to?: number; target?: IpAddress } = {},
) {
  const message = new Uint8Array(UDP_HEADER + payload.length)
  writeUdp(message, 0, (from << 16) | to, message.length, 0)
  message.set(payload, UDP_HEADER)
  return frameOf(v6, PROTOCOL_UDP, message, 6, target)
}

function echo(v6: boolean, payload: Uint8Array, target?: IpAddress) {
  const message = new Uint8Array(8 + payload.length)
  put32(message, 0, (v6 ? 128 : 8) << 24)
  put32(message, 4, (77 << 16) | 3)
  message.set(payload, 8)
  return frameOf(v6, v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP, message, 2, target)
}

/** Cuts the packet of a frame into fragments of at most `most` bytes of payload. */
function fragments(frame: Uint8Array, most: number, id = 99): Uint8Array[] {
  const view = new IpView()
  assert.ok(view.parse(frame, VNET_HDR_LEN, frame.length))
  const v6 = view.version === 6
  const payload = frame.subarray(view.payload, view.end)
  const all: Uint8Array[] = []
  for (let offset = 0; offset < payload.length; offset += most) {
    const part = payload.subarray(offset, offset + most)
    const more = offset + part.length < payload.length
    const header = v6 ? IPV6_HEADER + FRAGMENT_HEADER : IPV4_HEADER
    const one = new Uint8Array(VNET_HDR_LEN + header + part.length)
    if (v6) {
      writeIpv6(
        one,
        VNET_HDR_LEN,
        FRAGMENT_HEADER + part.length,
        NEXT_FRAGMENT,
        0xfd000000 | 0,
        0,
        0,
        1,
        0xfd000000 | 0,
        0,
        0,
        2,
      )
      writeFragmentHeader(one, VNET_HDR_LEN + IPV6_HEADER, view.protocol, offset, more, id)
    } else {
      const field = (offset >> 3) | (more ? 0x2000 : 0)
      writeIpv4(one, VNET_HDR_LEN, header + part.length, view.protocol, 0x0a000001, 0x0a000002, id, field)
    }
    one.set(part, VNET_HDR_LEN + header)
    all.push(one)
  }
  return all
}

class Bench {
  now = 0
  frames: Uint8Array[] = []
  flows: UdpFlow[] = []
  got: Uint8Array[] = []
  closed = 0
  echoes: EchoRequest[] = []
  readonly stack

  constructor(options: Partial<StackOptions> = {}) {
    this.stack = createStack({
      mtu: 1500,
      gso: true,
      random: seeded(5),
      output: (buffer, offsets, lengths, count) => {
        for (let i = 0; i < count; i++) this.frames.push(buffer.slice(offsets[i], offsets[i] + lengths[i]))
      },
      ...options,
    })
    this.stack.setHandlers({
      onTcp: () => undefined,
      onUdp: (flow) => {
        this.flows.push(flow)
        return {
          onDatagram: (buffer, start, end) => void this.got.push(buffer.slice(start, end)),
          onClose: () => void this.closed++,
        }
      },
      onEcho: (request) => void this.echoes.push(request),
    })
  }

  put(...frames: Uint8Array[]): void {
    for (const frame of frames) {
      this.stack.input(frame, Uint32Array.of(0), Uint32Array.of(frame.length), 1, this.now)
    }
    this.stack.flush(this.now)
  }

  /** Packets sent since the last call, put together, with good checksums. */
  sent(): { protocol: number; message: Uint8Array; count: number; source: IpAddress }[] {
    this.stack.flush(this.now)
    const groups = new Map<
      string,
      { protocol: number; parts: [number, Uint8Array][]; view: IpView; frame: Uint8Array }
    >()
    let plain = 0
    for (const raw of this.frames.flatMap(cutSegments)) {
      const view = new IpView()
      assert.ok(view.parse(raw, VNET_HDR_LEN, raw.length))
      assert.ok(raw.length - VNET_HDR_LEN <= 1500, 'no packet above the MTU')
      const name = view.fragmented ? `${raw.slice(view.fragmentId, view.fragmentId + 2)}` : `plain ${plain++}`
      const group = groups.get(name) ?? { protocol: view.protocol, parts: [], view, frame: raw }
      group.parts.push([view.fragmented ? view.fragmentOffset : 0, raw.slice(view.payload, view.end)])
      groups.set(name, group)
    }
    this.frames = []
    return [...groups.values()].map(({ protocol, parts, view, frame }) => {
      const message = new Uint8Array(parts.reduce((sum, [, part]) => sum + part.length, 0))
      for (const [offset, part] of parts) message.set(part, offset)
      const { source, destination, addressLength } = view
      const pseudo =
        protocol === PROTOCOL_ICMP ? 0 : pseudoSum(frame, source, destination, addressLength, protocol, message.length)
      assert.equal(fold(addBytes(pseudo, message, 0, message.length)), 0xffff, 'a good checksum')
      const family = view.version as 4 | 6
      return { protocol, message, count: parts.length, source: IpAddress.from(frame, source, family) }
    })
  }

  wait(ms: number): void {
    const until = this.now + ms
    for (let next = this.stack.nextDeadline(); next <= until; next = this.stack.nextDeadline()) {
      this.now = Math.max(this.now, next)
      this.stack.tick(this.now)
    }
    this.now = until
  }
}

for (const v6 of [false, true]) {
  const target = v6 ? TARGET6 : TARGET
  const program = v6 ? PROGRAM6 : PROGRAM
  describe(`UDP over IPv${v6 ? 6 : 4}`, () => {
    test('the first datagram makes a flow, the others go to it, answers come from its address', () => {
      const bench = new Bench()
      bench.put(udp(v6, pattern(10)), udp(v6, pattern(0)), udp(v6, pattern(1400)))
      assert.equal(bench.flows.length, 1)
      assert.deepEqual(
        bench.got.map((bytes) => bytes.length),
        [10, 0, 1400],
      )
      const [flow] = bench.flows
      assert.ok(flow.local.address.equals(target) && flow.remote.address.equals(program))
      assert.deepEqual([flow.local.port, flow.remote.port], [7, 5000])
      flow.send(pattern(300))
      const [answer] = bench.sent()
      assert.ok(answer.source.equals(target))
      assert.deepEqual([get16(answer.message, 0), get16(answer.message, 2)], [7, 5000])
      assert.deepEqual(answer.message.slice(8), pattern(300))
    })

    test('answers above the MTU leave in fragments, and come in so', () => {
      for (const size of [1452, 1453, 1472, 1473, 8000, 65507]) {
        const bench = new Bench()
        const frame = udp(v6, pattern(64))
        bench.put(frame)
        bench.flows[0].send(pattern(size))
        const [answer] = bench.sent()
        assert.deepEqual(answer.message.slice(8), pattern(size))
        assert.equal(answer.count > 1, size + 8 + (v6 ? 40 : 20) > 1500)
      }
      const bench = new Bench()
      bench.put(...fragments(udp(v6, pattern(8000)), 1480))
      assert.deepEqual(bench.got, [pattern(8000)])
      bench.flows[0].send(new Uint8Array(65508))
      assert.equal(bench.sent().length, 0, 'more than any packet holds')
    })

    test('fragments in any order, interleaved and repeated, make the datagram', () => {
      fc.assert(
        fc.property(fc.integer(), fc.integer({ min: 1, max: 20 }), (seed, blocks) => {
          const bench = new Bench()
          const random = seeded(seed)
          const first = fragments(udp(v6, pattern(3000)), 8 * blocks * 10, 1)
          const second = fragments(udp(v6, pattern(2000, 77)), 8 * blocks * 10, 2)
          const all = [...first, ...second, ...(first.length > 1 ? [first[0]] : [])]
          for (let i = all.length - 1; i > 0; i--) {
            const j = random() % (i + 1)
            ;[all[i], all[j]] = [all[j], all[i]]
          }
          bench.put(...all)
          assert.deepEqual(bench.got.map((bytes) => bytes.length).sort(), [2000, 3000])
          for (const bytes of bench.got) assert.deepEqual(bytes, pattern(bytes.length, bytes.length === 2000 ? 77 : 0))
        }),
        { numRuns: 40 },
      )
    })

    test('overlapping fragments end the datagram', () => {
      const bench = new Bench()
      const good = fragments(udp(v6, pattern(4000)), 1000)
      const bad = fragments(udp(v6, pattern(4000)), 1200)
      bench.put(good[0], bad[1], ...good.slice(1))
      assert.deepEqual(bench.got, [])
    })

    test('what is not complete is forgotten after 30 s, and holds no more than its budget', () => {
      const bench = new Bench({ limits: { reassemblyBytes: 50_000 } })
      for (let id = 0; id < 500; id++) bench.put(...fragments(udp(v6, pattern(4000)), 1480, id).slice(0, 2))
      bench.put(...fragments(udp(v6, pattern(4000)), 1480, 1000))
      assert.equal(bench.got.length, 1, 'new ones still get through')
      bench.wait(31_000)
      bench.put(...fragments(udp(v6, pattern(4000)), 1480, 499).slice(2))
      assert.equal(bench.got.length, 1)
      bench.wait(200_000)
      assert.equal(bench.stack.nextDeadline(), Infinity)
    })

    test('a flow that is idle for two minutes is closed, for port 53 after 30 s, not before', () => {
      const bench = new Bench()
      bench.put(udp(v6, pattern(1)), udp(v6, pattern(1), { to: 53 }))
      bench.wait(29_000)
      assert.equal(bench.closed, 0)
      bench.wait(2_000)
      assert.equal(bench.closed, 1)
      bench.flows[0].send(pattern(1))
      bench.stack.flush(bench.now)
      bench.wait(119_000)
      assert.equal(bench.closed, 1)
      bench.wait(2_000)
      assert.equal(bench.closed, 2)
      assert.equal(bench.stack.counters.udpFlows, 0)
      bench.sent()
      bench.flows[0].send(pattern(1))
      assert.equal(bench.sent().length, 0)
    })

    test('the flow idle for longest makes room', () => {
      const bench = new Bench({ limits: { udpFlows: 3 } })
      for (const from of [1, 2, 3]) bench.put(udp(v6, pattern(1), { from }))
      bench.put(udp(v6, pattern(1), { from: 1 }), udp(v6, pattern(1), { from: 4 }))
      const ports = [...bench.stack.flows()].map((flow) => flow.remote.port).sort()
      assert.deepEqual(ports, [1, 3, 4])
      assert.equal(bench.closed, 1)
    })

    const codes: [Rejection, number, number][] = [
      ['refused', 3, 4],
      ['host-unreachable', 1, 3],
      ['net-unreachable', 0, 0],
      ['prohibited', 13, 1],
    ]
    for (const [reason, code4, code6] of codes) {
      test(`${reason} is an ICMP error that quotes the datagram`, () => {
        const bench = new Bench()
        bench.put(udp(v6, pattern(11)))
        bench.flows[0].reject(reason)
        const [{ protocol, message }] = bench.sent()
        assert.equal(protocol, v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)
        assert.deepEqual([message[0], message[1]], v6 ? [1, code6] : [3, code4])
        const quoted = message.subarray(8 + (v6 ? 40 : 20))
        assert.deepEqual([get16(quoted, 0), get16(quoted, 2), get16(quoted, 4)], [5000, 7, 19])
        assert.equal(bench.closed, 1)
        assert.equal(bench.stack.counters.udpFlows, 0)
      })
    }

    test('the kernel saying that the program is gone closes the flow, any other error does not', () => {
      const bench = new Bench()
      bench.put(udp(v6, pattern(1)))
      bench.flows[0].send(pattern(5))
      bench.stack.flush(0)
      const quote = cutSegments(bench.frames[0])[0].subarray(VNET_HDR_LEN)
      const error = (code: number, bytes: Uint8Array) => {
        const message = new Uint8Array(8 + bytes.length)
        put32(message, 0, ((v6 ? 1 : 3) << 24) | (code << 16))
        message.set(bytes, 8)
        return frameOf(v6, v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP, message, 2)
      }
      const other = quote.slice()
      put16(other, (v6 ? 40 : 20) + 2, 5001)
      bench.put(error(1, quote), error(v6 ? 4 : 3, other), error(v6 ? 4 : 3, quote.subarray(0, 21)))
      assert.equal(bench.closed, 0)
      bench.put(error(v6 ? 4 : 3, quote))
      assert.equal(bench.closed, 1)
    })

    test('on an own address, a listener answers now or later, other ports are refused', () => {
      const bench = new Bench({ ownAddresses: [target] })
      const later: (() => void)[] = []
      bench.stack.listenUdp({ address: target, port: 53 }, (buffer, start, end, reply) => {
        const question = buffer.slice(start, end)
        if (question.length > 5) reply(question)
        else later.push(() => reply(question))
      })
      bench.put(
        udp(v6, pattern(9), { to: 53 }),
        udp(v6, pattern(3), { to: 53, from: 6000 }),
        udp(v6, pattern(9), { to: 54 }),
      )
      const [answer, error] = bench.sent()
      assert.deepEqual(answer.message.slice(8), pattern(9))
      assert.equal(error.protocol, v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)
      later[0]()
      const [late] = bench.sent()
      assert.equal(get16(late.message, 2), 6000)
      assert.equal(bench.flows.length, 0)
    })

    test('a datagram with a wrong checksum is dropped, one the kernel vouches for is not', () => {
      const bench = new Bench()
      const frame = udp(v6, pattern(9))
      frame[frame.length - 1] ^= 1
      bench.put(frame)
      assert.equal(bench.stack.counters.dropped, 1)
      frame[0] = 1
      bench.put(frame)
      frame[0] = 2
      bench.put(frame)
      assert.equal(bench.got.length, 2)
    })
  })

  describe(`ICMP over IPv${v6 ? 6 : 4}`, () => {
    test('ping of an own address is answered at once', () => {
      const bench = new Bench({ ownAddresses: [target] })
      bench.put(echo(v6, pattern(56)), echo(v6, pattern(4000)))
      const [small, large] = bench.sent()
      assert.equal(small.message[0], v6 ? 129 : 0)
      assert.deepEqual([get16(small.message, 4), get16(small.message, 6)], [77, 3])
      assert.deepEqual(small.message.slice(8), pattern(56))
      assert.deepEqual(large.message.slice(8), pattern(4000))
      assert.equal(bench.echoes.length, 0)
    })

    test('ping of another is for the handler: answered later, or told unreachable', () => {
      const bench = new Bench()
      bench.put(echo(v6, pattern(56)))
      assert.equal(bench.sent().length, 0)
      const [request] = bench.echoes
      assert.ok(request.local.equals(target) && request.remote.equals(program))
      assert.deepEqual([request.id, request.sequence], [77, 3])
      assert.deepEqual(request.payload, pattern(56))
      request.reply()
      assert.deepEqual(bench.sent()[0].message.slice(8), pattern(56))
      request.reject('host-unreachable')
      const [{ message }] = bench.sent()
      assert.deepEqual([message[0], message[1]], v6 ? [1, 3] : [3, 1])
      assert.deepEqual([get16(message, 8 + (v6 ? 40 : 20) + 4)], [77])
    })

    test('errors are limited in rate', () => {
      const bench = new Bench({ ownAddresses: [target] })
      for (let i = 0; i < 5000; i++) bench.put(udp(v6, pattern(1), { to: 9 }))
      assert.equal(bench.sent().length, 1000)
      bench.now += 100
      for (let i = 0; i < 5000; i++) bench.put(udp(v6, pattern(1), { to: 9 }))
      assert.equal(bench.sent().length, 100)
    })

    test('an unknown protocol is answered with an error', () => {
      const bench = new Bench()
      bench.put(frameOf(v6, 132, new Uint8Array(20), 8))
      const [{ message }] = bench.sent()
      assert.deepEqual([message[0], message[1]], v6 ? [4, 1] : [3, 2])
    })
  })
}

describe('sources', () => {
  for (const v6 of [false, true]) {
    test(`only packets of the addresses that are named are taken, IPv${v6 ? 6 : 4}; the rest is counted`, () => {
      const open = new Bench({ sources: [PROGRAM, PROGRAM6] })
      const frames = [udp(v6, pattern(10)), echo(v6, pattern(10)), ...fragments(udp(v6, pattern(2_000)), 1_000)]
      open.put(...frames)
      assert.deepEqual([open.got.length, open.echoes.length, open.stack.counters.foreign], [2, 1, 0])
      for (const sources of [[], [TARGET, TARGET6], [v6 ? PROGRAM : PROGRAM6]]) {
        const closed = new Bench({ sources })
        closed.put(...frames)
        closed.stack.flush(0)
        assert.deepEqual([closed.got.length, closed.echoes.length, closed.frames.length], [0, 0, 0])
        assert.equal(closed.stack.counters.foreign, frames.length)
      }
    })
  }
})

describe('noise', () => {
  test('multicast, broadcast and link-local packets are ignored', () => {
    const bench = new Bench()
    for (const text of ['224.0.0.251', '255.255.255.255', '239.1.2.3']) {
      bench.put(udp(false, pattern(4), { target: IpAddress.parse(text) }))
    }
    for (const text of ['ff02::2', 'ff02::fb', 'fe80::1']) {
      const address = IpAddress.parse(text)
      bench.put(udp(true, pattern(4), { target: address }), echo(true, pattern(4), address))
    }
    assert.equal(bench.sent().length, 0)
    assert.equal(bench.flows.length + bench.echoes.length, 0)
    assert.equal(bench.stack.counters.dropped, 0)
  })

  test('arbitrary bytes in a frame never throw', () => {
    const bench = new Bench({ ownAddresses: [TARGET, TARGET6] })
    bench.stack.listenTcp({ address: TARGET, port: 80 }, (flow) => {
      flow.accept()
      return { onData: (_b, s, e) => e - s, onEnd() {}, onAcked() {}, onClose() {} }
    })
    const seeds = [udp(false, pattern(60)), udp(true, pattern(60)), echo(false, pattern(60)), echo(true, pattern(60))]
    seeds.push(...fragments(seeds[0], 24), ...fragments(seeds[1], 24))
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
        fc.nat(130),
        fc.constantFrom(undefined, 6, 17, 1, 58),
        (seed, changes, length, protocol) => {
          const frame = seed.slice(0, Math.max(1, Math.min(length, seed.length)))
          frame[0] = 1
          if (protocol !== undefined && frame.length > 30) {
            if (frame[10] >> 4 === 4) frame[19] = protocol
            else frame[16] = protocol
          }
          for (const [at, value] of changes) if (at > 0 && at < frame.length) frame[at] = value
          if (frame.length >= 30 && frame[10] >> 4 === 4) {
            put16(frame, 20, 0)
            put16(frame, 20, finish(addBytes(0, frame, 10, Math.min(10 + (frame[10] & 15) * 4, frame.length))))
          }
          bench.now += 1
          bench.put(frame)
          bench.frames = []
        },
      ),
      { numRuns: 4000 },
    )
    bench.wait(400_000)
    assert.equal(bench.stack.counters.udpFlows, 0)
    assert.equal(bench.stack.counters.tcpFlows, 0)
  })
})
