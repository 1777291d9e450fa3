// Frames for the stack that are nearly right: segments of a few connections with numbers close to where they should be, datagrams,
// fragments, errors of ICMP, and between them what the owner of a flow does and time that passes.
import { put16 } from '../../src/wire/bytes.ts'
import { addBytes, finish, fold } from '../../src/wire/checksum.ts'
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../../src/wire/ip.ts'
import { ACK, FIN, PSH, RST, SYN } from '../../src/wire/tcp.ts'
import { VNET_HDR_LEN } from '../../src/wire/vnet.ts'
import type { Random } from './random.ts'
import { joinSteps, type Step } from './steps.ts'

/** Initial numbers of both sides, close to where they wrap. */
export const STACK_ISS = 0x7ffffff0
const PEER_ISS = -20

/** Kinds of steps. */
export const Act = { frame: 0, twice: 1, wait: 2, accept: 3, reject: 4, send: 5, end: 6, reset: 7, take: 8 } as const
const FLAGS = [SYN, SYN, ACK, ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0, 0xff]
const OPTIONS = [
  [2, 4, 5, 180],
  [2, 4, 0, 0],
  [2, 0],
  [3, 3, 7],
  [3, 3, 255],
  [4, 2],
  [1],
  [0],
  [5, 10, 0x80, 0, 0, 0, 0x80, 0, 0, 9],
  [5, 10, 0x7f, 0xff, 0xff, 0xff, 0x80, 0, 0, 9],
  [5, 255],
  [8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
  [254, 1],
]

/** The address that most packets are for. */
const TARGETS = Array.from({ length: 15 }, () => [10, 0, 0, 2])

const near = (random: Random, base: number): number =>
  (base + random.pick([0, 1, 1, 1, 2, 10, 101, 1000, 4097, 65_535, -1, -100, random.edge()])) | 0

/** Without its checksum. */
function tcp(random: Random): Buffer {
  const options = Buffer.concat(Array.from({ length: random.int(4) }, () => Buffer.from(random.pick(OPTIONS))))
  const padded = Buffer.concat([options, Buffer.alloc((4 - (options.length % 4)) % 4)])
  const head = Buffer.alloc(20)
  head.writeUInt16BE(random.pick([4000, 4000, 4001, 4002, 0]), 0)
  head.writeUInt16BE(random.pick([80, 80, 80, 53, 0]), 2)
  head.writeInt32BE(near(random, PEER_ISS), 4)
  head.writeInt32BE(near(random, STACK_ISS), 8)
  head[12] = random.chance(97) ? ((20 + padded.length) >> 2) << 4 : random.next()
  head[13] = random.pick(FLAGS)
  head.writeUInt16BE(random.pick([65_535, 65_535, 1000, 1, 0]), 14)
  head.writeUInt16BE(random.chance(95) ? 0 : random.int(65_536), 18)
  return Buffer.concat([head, padded, random.bytes(random.pick([0, 0, 20, 1400]))])
}

function udp(random: Random): Buffer {
  const payload = random.bytes(random.pick([0, 100, 1400]))
  const head = Buffer.alloc(8)
  head.writeUInt16BE(random.pick([5000, 5001, 5002, 5003, 5004, 0]), 0)
  head.writeUInt16BE(random.pick([53, 53, 5353, 0]), 2)
  head.writeUInt16BE(random.chance(95) ? 8 + payload.length : random.int(65_536), 4)
  return Buffer.concat([head, payload])
}

function icmp(random: Random, v6: boolean): Buffer {
  const head = Buffer.alloc(8)
  head[0] = random.pick(v6 ? [128, 128, 1, 2, 3, 133, 135] : [8, 8, 3, 5, 11, 0])
  head[1] = random.pick([0, 0, 1, 3, 4])
  head.writeUInt32BE(random.edge(), 4)
  // An error has the beginning of a packet in it.
  const body = head[0] === 3 || head[0] === 1 || head[0] === 2 ? ip(random).subarray(0, 60) : random.bytes(60)
  return Buffer.concat([head, body])
}

/** A packet of IP with every checksum right. */
function ip(random: Random): Buffer {
  const v6 = random.chance(35)
  const protocol = random.pick([PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_UDP, v6 ? 58 : 1, random.int(256)])
  const payload =
    protocol === PROTOCOL_TCP
      ? tcp(random)
      : protocol === PROTOCOL_UDP
        ? udp(random)
        : protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6
          ? icmp(random, v6)
          : random.bytes(60)
  const head = v6 ? header6(random, protocol, payload.length) : header4(random, protocol, payload.length)
  const at = { [PROTOCOL_TCP]: 16, [PROTOCOL_UDP]: 6, [PROTOCOL_ICMP]: 2, [PROTOCOL_ICMPV6]: 2 }[protocol]
  if (at !== undefined && random.chance(97)) {
    const pseudo = protocol === PROTOCOL_ICMP ? 0 : addBytes(protocol + payload.length, head, v6 ? 8 : 12, v6 ? 40 : 20)
    put16(payload, at, 0)
    put16(payload, at, finish(addBytes(pseudo, payload, 0, payload.length)))
  }
  return Buffer.concat([head, payload])
}

function header4(random: Random, protocol: number, length: number): Buffer {
  const head = Buffer.alloc(20)
  head[0] = random.chance(97) ? 0x45 : random.next()
  head.writeUInt16BE(random.chance(95) ? 20 + length : random.int(2000), 2)
  head.writeUInt16BE(random.int(3), 4)
  head.writeUInt16BE(random.chance(85) ? 0x4000 : random.pick([0x2000, 0x2001, 0x0001, 0x0004, 0x3fff, 0x1fff]), 6)
  head[8] = 64
  head[9] = protocol
  head.set(
    random.chance(95)
      ? [10, 0, 0, 1]
      : random.pick([
          [10, 0, 0, 2],
          [224, 0, 0, 1],
          [0, 0, 0, 0],
        ]),
    12,
  )
  head.set(
    random.pick([
      ...TARGETS,
      [10, 0, 0, 9],
      random.pick([
        [10, 0, 0, 1],
        [255, 255, 255, 255],
      ]),
    ]),
    16,
  )
  put16(head, 10, ~fold(addBytes(0, head, 0, 20)) & 0xffff)
  return head
}

function header6(random: Random, protocol: number, length: number): Buffer {
  const fragment = random.chance(15)
  const extension = fragment ? Buffer.from([protocol, 0, 0, random.pick([0, 1, 8, 9]), 0, 0, 0, random.int(3)]) : []
  const head = Buffer.alloc(40)
  head[0] = 0x60
  head.writeUInt16BE(random.chance(95) ? length + extension.length : random.int(2000), 4)
  head[6] = fragment ? 44 : random.chance(95) ? protocol : random.pick([0, 43, 60, 59])
  head[7] = 64
  head.set([0xfd], 8)
  head[23] = random.chance(95) ? 1 : 9
  head.set([0xfd], 24)
  head[39] = random.chance(95) ? 2 : 1
  return Buffer.concat([head, Buffer.from(extension)])
}

function frame(random: Random): Buffer {
  const virtio = Buffer.alloc(VNET_HDR_LEN)
  if (random.chance(20)) virtio[0] = random.int(3)
  return Buffer.concat([virtio, ip(random)])
}

function step(random: Random): Step {
  const kind = random.pick([
    ...[Act.frame, Act.frame, Act.frame, Act.frame, Act.frame, Act.frame, Act.twice],
    ...[Act.wait, Act.accept, Act.accept, Act.reject, Act.send, Act.send, Act.end, Act.reset, Act.take],
  ])
  if (kind === Act.frame || kind === Act.twice) return { kind, body: frame(random) }
  return { kind, body: Buffer.from([random.int(256), random.chance(70) ? 0 : random.int(3)]) }
}

/** A connection that is opened as it should be. */
function opening(): Step[] {
  const segment = (flags: number, seq: number, ack: number): Step => {
    const head = Buffer.alloc(20)
    head.writeUInt16BE(4000, 0)
    head.writeUInt16BE(80, 2)
    head.writeInt32BE(seq | 0, 4)
    head.writeInt32BE(ack | 0, 8)
    head[12] = 0x50
    head[13] = flags
    head.writeUInt16BE(65_535, 14)
    // The virtio header says that the checksum is still to be made.
    const virtio = Buffer.alloc(VNET_HDR_LEN)
    virtio[0] = 1
    const ip = Buffer.from([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, PROTOCOL_TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
    put16(ip, 10, ~fold(addBytes(0, ip, 0, 20)) & 0xffff)
    return { kind: Act.frame, body: Buffer.concat([virtio, ip, head]) }
  }
  return [
    segment(SYN, PEER_ISS, 0),
    { kind: Act.accept, body: Buffer.alloc(2) },
    segment(ACK, PEER_ISS + 1, STACK_ISS + 1),
  ]
}

export function makeFrames(random: Random): Buffer {
  const steps = Array.from({ length: 1 + random.int(30) }, () => step(random))
  return joinSteps(random.chance(60) ? [...opening(), ...steps] : steps)
}
