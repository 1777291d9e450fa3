// DNS messages that are nearly right: names of the cluster and others, records of every shape, pointers to anywhere, counts that lie.
import type { Random } from './random.ts'

const NAMES = [
  ...['web', 'web.shop', 'web.shop.svc.cluster.local', 'nope.shop', 'db.shop.svc', 'www.example.com', 'a.dev', ''],
  ...['_http._tcp.web.shop', '10.0.96.10.in-addr.arpa', 'x.other', 'nas.corp.example', 'cluster.local', 'svc'],
]
const TYPES = [1, 28, 5, 6, 12, 33, 16, 15, 2, 41, 39, 255, 252, 251, 46, 0]

const number16 = (value: number) => Buffer.from([(value >>> 8) & 255, value & 255])

function name(random: Random): Buffer {
  if (random.chance(25)) return Buffer.from([0xc0 | random.int(64), random.pick([12, 12, 12, random.int(256)])])
  const labels = random
    .pick(NAMES)
    .split('.')
    .filter((label) => label !== '')
  if (random.chance(10)) labels.unshift(random.bytes(63).toString('latin1'))
  if (random.chance(3)) labels.unshift(...Array.from({ length: 130 }, () => 'a'))
  const wire = labels.flatMap((label) => [Buffer.from([Math.min(63, label.length)]), Buffer.from(label, 'latin1')])
  return Buffer.concat([...wire, Buffer.from(random.chance(90) ? [0] : [0xc0, random.int(64)])])
}

function rdata(random: Random, type: number): Buffer {
  if (random.chance(15)) return random.bytes(40)
  if (type === 1) return Buffer.from([10, 96, 0, random.int(256)])
  if (type === 28) return Buffer.alloc(16, random.int(256))
  if (type === 33) return Buffer.concat([Buffer.alloc(6), name(random)])
  if (type === 15) return Buffer.concat([Buffer.alloc(2), name(random)])
  if (type === 6) return Buffer.concat([name(random), name(random), Buffer.alloc(20, random.int(3))])
  if (type === 16) return Buffer.concat([Buffer.from([5]), Buffer.from('hello')])
  return [5, 12, 2, 39].includes(type) ? name(random) : random.bytes(20)
}

function record(random: Random): Buffer {
  const type = random.pick(TYPES)
  const data = rdata(random, type)
  const ttl = Buffer.alloc(4)
  ttl.writeUInt32BE(random.pick([0, 1, 30, 300, 0x7fffffff, 0x80000000, 0xffffffff]))
  const length = random.chance(95) ? data.length : random.edge() & 0xffff
  const kind = Buffer.concat([number16(type), number16(random.pick([1, 1, 1, 1232, 255]))])
  return Buffer.concat([type === 41 ? Buffer.alloc(1) : name(random), kind, ttl, number16(length), data])
}

/** `question` with type and class, if it is to be that one. */
export function message(random: Random, answer: boolean, question?: Buffer): Buffer {
  const counts = answer ? [1, random.int(5), random.int(3), random.int(3)] : [1, 0, 0, random.chance(50) ? 1 : 0]
  const flags = Buffer.from([
    (answer ? 0x80 : 0) | random.pick([1, 1, 1, 3, 5, random.int(128)]),
    random.pick([0, 0, 0x80, 2, 3, 5, random.int(256)]),
  ])
  const asked =
    question ?? Buffer.concat([name(random), number16(random.pick(TYPES)), number16(random.chance(95) ? 1 : 3)])
  const records = Array.from({ length: counts[1] + counts[2] + counts[3] }, () => record(random))
  const told = counts.map((count) => (random.chance(97) ? count : random.edge() & 0xffff))
  return Buffer.concat([number16(random.int(65_536)), flags, ...told.map(number16), asked, ...records])
}
