// Reading and reshaping of messages against dns2, and against bytes that nobody sane would send.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import DNS from 'dns2'
import fc from 'fast-check'
import { buildQuery, questionWire, truncate, withCname, withoutOpt } from '../../src/dns/build.ts'
import { createDnsServer } from '../../src/dns/dns-server.ts'
import { HEADER_LEN, nameText, nameWire, newQueryView, readQuery, scanAnswer, u16 } from '../../src/dns/message.ts'
import { describeAnswer } from '../../src/dns/records.ts'
import { clusterTable, parse, seeded, settle, TableUpstream, VirtualClock } from './support.ts'

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/)
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const full = 'web.shop.svc.cluster.local'

// Records whose names share suffixes with the question, so that dns2 compresses them in every place it can.
const record = fc.oneof(
  fc.record({ name: fc.oneof(name, fc.constant(full)), type: fc.constant(1), address: fc.ipV4() }),
  fc.record({ name: fc.constant(full), type: fc.constant(5), domain: name.map((n) => `${n}.${full}`) }),
  fc.record({
    name: fc.constant(`_http._tcp.${full}`),
    type: fc.constant(33),
    priority: fc.nat(9),
    weight: fc.nat(9),
    port: fc.nat(65535),
    target: fc.oneof(fc.constant(full), fc.constant('svc.cluster.local'), name),
  }),
  fc.record({
    name: fc.constant(full),
    type: fc.constant(15),
    priority: fc.nat(9),
    exchange: fc.constant(`mx.${full}`),
  }),
  fc.record({
    name: fc.constant(full),
    type: fc.constant(16),
    data: fc.array(fc.stringMatching(/^[ -~]{0,20}$/), { minLength: 1 }),
  }),
  fc.record({
    name: fc.constant('cluster.local'),
    type: fc.constant(6),
    primary: fc.constant('ns.dns.cluster.local'),
    admin: fc.constant('hostmaster.cluster.local'),
    serial: fc.nat(),
    refresh: fc.constant(1),
    retry: fc.constant(2),
    expiration: fc.constant(3),
    minimum: fc.constant(4),
  }),
)
const records = fc.array(record, { maxLength: 6 })

function answer(sections: [unknown[], unknown[], unknown[]], opt = false): Uint8Array {
  const packet = new DNS.Packet()
  packet.header = new DNS.Packet.Header({ qr: 1 })
  packet.questions.push(new DNS.Packet.Question(full, 1, 1))
  const complete = (list: unknown[]) =>
    list.map((each) => ({ class: 1, ttl: 30, ...(each as object) })) as DNS.Packet.Resource[]
  packet.answers = complete(sections[0])
  packet.authorities = complete(sections[1])
  packet.additionals = complete(sections[2])
  if (opt) packet.additionals.push(DNS.Packet.Resource.EDNS([]))
  return new Uint8Array(packet.toBuffer())
}
const fullQuestion = questionWire(nameWire(full)!, 1)

test('an answer for the full name becomes one for the short name with every record as it was', () => {
  fc.assert(
    fc.property(records, records, records, fc.boolean(), name, (a, b, c, opt, short) => {
      const original = answer([a, b, c], opt)
      const before = parse(original)
      const bare = withoutOpt(original, scanAnswer(original)!)
      const after = parse(withCname(bare, fullQuestion.length, questionWire(nameWire(short)!, 1), 17)!)
      assert.equal(after.questions[0].name, short)
      const [cname, ...rest] = after.answers
      assert.deepEqual([cname.name, cname.type, cname.ttl, cname.domain], [short, 5, 17, full])
      assert.deepEqual(rest, before.answers)
      assert.deepEqual(after.authorities, before.authorities)
      assert.deepEqual(
        after.additionals,
        before.additionals.filter((each) => each.type !== 41),
      )
    }),
  )
})

test('a cut answer holds whole records from the front, fits, and says TC if one of them was asked for', () => {
  fc.assert(
    fc.property(records, records, records, fc.integer({ min: 60, max: 400 }), (a, b, c, room) => {
      const original = answer([a, b, c])
      const before = parse(original)
      const copy = original.slice()
      const length = truncate(copy, copy.length, room)
      assert.ok(length <= Math.max(room, HEADER_LEN + fullQuestion.length))
      const after = parse(copy.subarray(0, length))
      const all = (packet: DNS.Packet) => [...packet.answers, ...packet.authorities, ...packet.additionals]
      assert.deepEqual(all(after), all(before).slice(0, all(after).length))
      const lost = after.answers.length < before.answers.length || after.authorities.length < before.authorities.length
      assert.equal(after.header.tc, lost ? 1 : 0)
      if (original.length <= room) assert.equal(length, original.length)
    }),
  )
})

test('names: text to octets and back', () => {
  const plain = fc.constantFrom(...Buffer.from('abcXYZ019-_'))
  const octet = fc.oneof({ weight: 9, arbitrary: plain }, { weight: 1, arbitrary: fc.nat(255) }, fc.constant(0))
  fc.assert(
    fc.property(fc.array(fc.array(octet, { minLength: 1, maxLength: 20 }), { maxLength: 8 }), (labels) => {
      const wire = Uint8Array.from([...labels.flatMap((bytes) => [bytes.length, ...bytes]), 0])
      const text = nameText(wire)
      const lower = wire.map((c) => (c >= 65 && c <= 90 ? c + 32 : c))
      assert.deepEqual(nameWire(text), lower)
    }),
  )
})

test('text that is no name', () => {
  for (const text of ['a..b', '.a', `${'a'.repeat(64)}.b`, `${'abcdefg.'.repeat(32)}x`, 'a b', 'ü', '\\300', '\\1'])
    assert.equal(nameWire(text), undefined, text)
  assert.deepEqual(nameWire(''), Uint8Array.of(0))
  assert.deepEqual(nameWire('a.'), nameWire('a'))
})

test('queries as dns2 writes them are read', () => {
  fc.assert(
    fc.property(
      name,
      fc.integer({ min: 1, max: 65535 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 65535 }),
      (host, id, edns, size) => {
        const packet = new DNS.Packet()
        packet.header = new DNS.Packet.Header({ id, rd: 1 })
        packet.questions.push(new DNS.Packet.Question(host, 28, 1))
        if (edns) packet.additionals.push(DNS.Packet.Resource.EDNS([], { udpPayloadSize: size, doFlag: true }))
        const view = newQueryView()
        assert.equal(readQuery(packet.toBuffer(), 0, packet.toBuffer().length, view), 'ok')
        assert.deepEqual(
          [view.id, view.type, view.class, view.edns, view.udpSize, view.dnssecOk],
          [id, 28, 1, edns, edns ? size : 512, edns],
        )
        assert.equal(nameText(packet.toBuffer(), view.nameStart), host)
      },
    ),
  )
})

test('hostile bytes: nothing throws, loops or reads outside', () => {
  const view = newQueryView()
  const answers = fc.uint8Array({ minLength: 12, maxLength: 200 }).map((bytes) => {
    bytes[2] |= 0x80
    bytes[4] = 0
    bytes[5] = 1
    for (const at of [6, 8, 10]) bytes[at] = 0
    return bytes
  })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), answers, (anything, reply) => {
      if (readQuery(anything, 0, anything.length, view) === 'ok') assert.ok(view.questionEnd <= anything.length)
      scanAnswer(anything)
      const scan = scanAnswer(reply)
      if (!scan) return
      const bare = withoutOpt(reply, scan)
      assert.ok(bare.length <= reply.length)
      withCname(bare, scan.questionEnd - HEADER_LEN, questionWire(nameWire('web')!, 1), 1)
      const copy = bare.slice()
      assert.ok(truncate(copy, copy.length, 100) <= copy.length)
    }),
    { numRuns: 2000 },
  )
})

test('a true answer with octets changed or cut off never harms the server: one reply, readable', async () => {
  const good = answer([[{ name: full, type: 1, address: '10.0.0.1' }], [], []], true)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
      fc.nat(good.length),
      async (changes, cut) => {
        const bad = good.slice(0, cut > 12 ? cut : good.length)
        for (const [at, value] of changes) if (at < bad.length) bad[at] = value
        const clock = new VirtualClock()
        const cluster = { name: 'bad', query: async () => bad, close() {} }
        const local = new TableUpstream('', '', {})
        const names = {
          clusterDomain: 'cluster.local',
          namespace: 'shop',
          namespaces: [],
          reverseRanges: [],
          localSearch: [],
        }
        const server = createDnsServer({ names, mode: 'none', clock, random: seeded(3), local, cluster })
        const replies: Uint8Array[] = []
        const message = buildQuery(questionWire(nameWire('web.shop')!, 1))
        server.handle(message, 0, message.length, 'udp', (bytes) => replies.push(bytes.slice()))
        for (let i = 0; i < 10 && replies.length === 0; i++) await settle()
        assert.equal(replies.length, 1)
        const scan = scanAnswer(replies[0])
        assert.ok(scan && scan.end === replies[0].length)
        assert.equal(u16(replies[0], 4), 1)
      },
    ),
    { numRuns: 300 },
  )
})

test('hostile queries: at most one reply, under the id that was sent', async () => {
  const clock = new VirtualClock()
  const cluster = new TableUpstream('', 'cluster.local', clusterTable)
  const names = {
    clusterDomain: 'cluster.local',
    namespace: 'shop',
    namespaces: [],
    reverseRanges: [],
    localSearch: [],
  }
  const server = createDnsServer({ names, mode: 'none', clock, random: seeded(3), local: cluster, cluster })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
      const replies: Uint8Array[] = []
      server.handle(bytes, 0, bytes.length, 'udp', (reply) => replies.push(reply.slice()))
      for (let i = 0; i < 10; i++) await settle()
      assert.ok(replies.length <= 1)
      if (replies[0]) assert.deepEqual(replies[0].subarray(0, 2), bytes.subarray(0, 2))
    }),
    { numRuns: 300 },
  )
})

test('answers as people read them', async () => {
  const bytes = answer([
    [
      { name: full, type: 1, address: '10.0.0.1' },
      { name: full, type: 33, priority: 0, weight: 5, port: 80, target: full },
      { name: full, type: 16, data: ['a "b"'] },
      { name: full, type: 65280, data: Buffer.of(1, 2) },
    ],
    [],
    [],
  ])
  const described = await describeAnswer(bytes)
  assert.equal(described.rcode, 'NOERROR')
  assert.deepEqual(
    described.answers.map((each) => [each.type, each.data]),
    [
      ['A', '10.0.0.1'],
      ['SRV', `0 5 80 ${full}`],
      ['TXT', '"a \\"b\\""'],
      ['TYPE65280', '\\# 2 0102'],
    ],
  )
})
