// The small parts: cache bounds, what is learned of labels, ranges and their reverse zones, a pod's resolv.conf, framing.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import { buildAnswer, questionWire } from '../../src/dns/build.ts'
import { CacheKey, DnsCache, newEntry } from '../../src/dns/cache.ts'
import { routingDomains } from '../../src/dns/domains.ts'
import { Labels } from '../../src/dns/labels.ts'
import { nameWire, newQueryView, readQuery, scanAnswer } from '../../src/dns/message.ts'
import { parsePodResolvConf } from '../../src/dns/pod-resolv-conf.ts'
import { fewerZones, reversePrefix, reverseZones } from '../../src/dns/reverse.ts'
import { DnsTcpSession, frame, TcpFramer } from '../../src/dns/tcp.ts'
import { covers, parsePrefix } from '../../src/wire/prefix.ts'
import { query, VirtualClock } from './support.ts'

function put(cache: DnsCache, key: CacheKey, host: string, now = 0, seconds = 30): void {
  find(cache, key, host)
  const message = buildAnswer(questionWire(nameWire(host)!, 1), 0, [Uint8Array.of(1, 2, 3, 4)], seconds)
  cache.put(newEntry(key.hash, key.bytes.slice(0, key.length), message, scanAnswer(message)!, now, seconds))
}

function find(cache: DnsCache, key: CacheKey, host: string, now = 0) {
  const message = query(host)
  const view = newQueryView()
  readQuery(message, 0, message.length, view)
  key.set(message, view)
  return cache.get(key, now)
}

test('of many namespaces those that programs name come first, and whoever tells systemd-resolved hears of it', () => {
  let told = 0
  const many = Array.from({ length: 300 }, (_, i) => `ns${String(i).padStart(3, '0')}`)
  const labels = new Labels(new VirtualClock(), many, () => told++)
  labels.learn('namespace', 'ns299', true)
  labels.learn('namespace', 'ns299', true)
  labels.learn('namespace', 'ns298', false)
  assert.deepEqual([labels.namespaces()[0], labels.namespaces().length, told], ['ns299', 300, 1])
  const few = new Labels(new VirtualClock(), ['other', 'shop'], () => told++)
  few.learn('namespace', 'shop', true)
  assert.deepEqual([few.namespaces(), told], [['shop', 'other'], 1], 'where there is room for all nothing is told')
})

test('the cache keeps its bounds in entries and octets, and what is used stays longest', () => {
  const key = new CacheKey(7)
  const cache = new DnsCache(100, 1 << 20)
  put(cache, key, 'kept.example')
  for (let i = 0; i < 1000; i++) {
    put(cache, key, `host-${i}.example`)
    assert.ok(find(cache, key, 'kept.example'))
  }
  assert.equal(cache.entries, 100)
  const small = new DnsCache(1000, 5000)
  for (let i = 0; i < 1000; i++) put(small, key, `host-${i}.example`)
  assert.ok(small.bytes <= 5000 && small.entries > 5)
})

test('the cache makes room from where it stood, not from the front over all that went before', () => {
  const key = new CacheKey(7)
  const begun = mock.method(Map.prototype, 'values')
  const cache = new DnsCache(100, 1 << 20)
  for (let i = 0; i < 1000; i++) put(cache, key, `host-${i}.example`)
  begun.mock.restore()
  assert.equal(cache.entries, 100)
  assert.ok(begun.mock.callCount() < 10, `begun ${begun.mock.callCount()} times`)
})

test('putting an answer again replaces it', () => {
  const key = new CacheKey(7)
  const cache = new DnsCache(100, 1 << 20)
  put(cache, key, 'a.example', 0, 30)
  const bytes = cache.bytes
  put(cache, key, 'a.example', 9, 60)
  assert.deepEqual([cache.entries, cache.bytes], [1, bytes])
  assert.equal(find(cache, key, 'a.example')?.storedAt, 9)
})

test('names whose hashes collide are told apart', () => {
  const key = new CacheKey(7)
  const cache = new DnsCache(100, 1 << 20)
  // The same hash for all, as if somebody had found such names.
  Object.defineProperty(key, 'hash', { get: () => 42, set: () => {} })
  for (const host of ['a.example', 'b.example', 'c.example']) put(cache, key, host)
  assert.equal(cache.entries, 3)
  for (const host of ['a.example', 'b.example', 'c.example']) {
    const message = query(host)
    assert.deepEqual(
      Buffer.from(find(cache, key, host)!.message.subarray(12, message.length)),
      Buffer.from(message.subarray(12)),
    )
  }
  put(cache, key, 'b.example', 5)
  assert.equal(cache.entries, 3)
  assert.equal(find(cache, key, 'd.example'), undefined)
})

test('an answer is gone after a day, and stale before', () => {
  const key = new CacheKey(7)
  const cache = new DnsCache(100, 1 << 20)
  put(cache, key, 'a.example')
  assert.ok(find(cache, key, 'a.example', 86_000_000))
  assert.equal(find(cache, key, 'a.example', 86_430_000), undefined)
})

test('what is learned of labels: how long it holds, who is told, and that made-up ones cannot push out real ones', async () => {
  const clock = new VirtualClock()
  let told = 0
  const labels = new Labels(clock, ['shop'], () => told++)
  assert.equal(labels.has('namespace', 'shop'), true)
  assert.equal(labels.has('namespace', 'com'), undefined)
  labels.learn('namespace', 'com', false)
  labels.learn('namespace', 'other', true)
  assert.deepEqual([labels.has('namespace', 'com'), labels.namespaces(), told], [false, ['other', 'shop'], 1])
  await clock.advance(61_000)
  assert.deepEqual([labels.has('namespace', 'com'), labels.has('namespace', 'com', true)], [undefined, false])
  assert.equal(labels.has('namespace', 'other'), true)
  await clock.advance(600_000)
  labels.failed('namespace', 'other')
  assert.deepEqual([labels.has('namespace', 'other'), told], [true, 1])
  for (let i = 0; i < 10_000; i++) labels.learn('namespace', `made-up-${i}`, false)
  assert.deepEqual(labels.namespaces(), ['other', 'shop'])
  labels.learn('namespace', 'other', false)
  assert.deepEqual([labels.namespaces(), told], [['shop'], 2])
})

test('reverse zones of ranges', () => {
  const zones = (cidr: string) => reverseZones(parsePrefix(cidr))
  assert.deepEqual(zones('10.244.0.0/16'), ['244.10.in-addr.arpa'])
  assert.deepEqual(zones('10.96.0.0/12').length, 16)
  assert.deepEqual(zones('10.96.0.0/12').slice(-1), ['111.10.in-addr.arpa'])
  assert.deepEqual(zones('192.0.2.64/26'), ['2.0.192.in-addr.arpa'])
  assert.deepEqual(zones('192.0.2.1/32'), ['2.0.192.in-addr.arpa'])
  assert.deepEqual(zones('fd00:10:244::/56'), ['0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa'])
  assert.deepEqual(zones('fd00:10:244::/62').length, 4)
})

test('an address is in the zones of exactly the ranges that hold it', () => {
  const octet = fc.nat(255)
  fc.assert(
    fc.property(
      fc.tuple(octet, octet, octet, octet),
      fc.tuple(octet, octet, octet, octet),
      fc.integer({ min: 1, max: 24 }),
      (a, b, bits) => {
        const range = parsePrefix(`${a.join('.')}/${bits}`)
        const reverse = `${[...b].reverse().join('.')}.in-addr.arpa`
        const inside = covers(range, { family: 4, bytes: Uint8Array.from(b), length: 32 })
        assert.equal(covers(range, reversePrefix(reverse)!), inside)
        assert.equal(
          reverseZones(range).some((zone) => reverse.endsWith(`.${zone}`)),
          inside,
        )
      },
    ),
  )
})

test('what systemd-resolved is told', () => {
  const names = {
    clusterDomain: 'cluster.local',
    namespace: 'shop',
    namespaces: [],
    reverseRanges: [],
    localSearch: [],
  }
  assert.deepEqual(routingDomains(names, ['other', 'shop'], [parsePrefix('10.96.0.0/16')]).domains, [
    'cluster.local',
    'svc',
    'pod',
    'shop',
    'other',
    '96.10.in-addr.arpa',
  ])
})

const names = { clusterDomain: 'cluster.local', namespace: 'shop', namespaces: [], reverseRanges: [], localSearch: [] }

test('systemd-resolved is told 256 domains at most: namespaces before reverse zones, the rest named', () => {
  const namespaces = Array.from({ length: 300 }, (_, i) => `ns${i}`)
  const { domains, leftOut } = routingDomains(names, namespaces, ['10.96.0.0/16', '10.244.0.0/16'].map(parsePrefix))
  assert.equal(domains.length, 255, 'one search domain counts')
  assert.deepEqual(domains.slice(0, 5), ['cluster.local', 'svc', 'pod', 'shop', 'ns0'])
  assert.deepEqual(domains.slice(-2), ['96.10.in-addr.arpa', '244.10.in-addr.arpa'])
  assert.deepEqual(leftOut, namespaces.slice(249))
  assert.deepEqual(routingDomains(names, namespaces.slice(0, 200), []).leftOut, [])
})

test('a range with a hole, and nodes with a range each, give few zones that still cover them', () => {
  const hole = ['198.51.0.0/17', '198.51.128.0/18', '198.51.192.0/24', '198.51.194.0/23', '198.51.200.0/22']
  const nodes = Array.from({ length: 200 }, (_, i) => `10.244.${i}.0/24`)
  const six = Array.from({ length: 100 }, (_, i) => `fd00:10:244:${i.toString(16)}::/64`)
  for (const cidrs of [hole, nodes, six, [...hole, ...nodes, ...six]]) {
    const exact = cidrs.map(parsePrefix).flatMap(reverseZones)
    const zones = fewerZones(exact, 8)
    assert.ok(zones.length <= 8, String(zones.length))
    for (const zone of exact)
      assert.ok(
        zones.some((wide) => zone === wide || zone.endsWith(`.${wide}`)),
        zone,
      )
  }
  assert.deepEqual(fewerZones(hole.map(parsePrefix).flatMap(reverseZones), 8), ['51.198.in-addr.arpa'])
  const apart = Array.from({ length: 12 }, (_, i) => `${i + 1}.in-addr.arpa`)
  assert.deepEqual(fewerZones(apart, 8), apart.slice(0, 8), 'never all reverse names there are')
  assert.deepEqual(fewerZones(apart, 12), apart)
})

test("a pod's resolv.conf", () => {
  const conf = parsePodResolvConf(
    'search shop.svc.Cluster.Local svc.cluster.local cluster.local office.test\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5 timeout:1\n# nameserver 1.2.3.4\n',
  )
  assert.deepEqual([String(conf.resolver), conf.clusterDomain], ['10.96.0.10', 'cluster.local'])
  const odd = parsePodResolvConf(
    'nameserver 10.0.0.10\nsearch team.svc.k8s.corp.example svc.k8s.corp.example k8s.corp.example\n',
  )
  assert.equal(odd.clusterDomain, 'k8s.corp.example')
  assert.equal(parsePodResolvConf('search svc.k8s.test\n').clusterDomain, 'k8s.test')
  const host = parsePodResolvConf('nameserver fe80::1%eth0\nsearch corp.example\n')
  assert.deepEqual([String(host.resolver), host.clusterDomain], ['fe80::1', undefined])
  assert.equal(parsePodResolvConf('nameserver dns.example\n').resolver, undefined)
})

test('a stream cut anywhere gives the same messages', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 })
  fc.assert(
    fc.property(messages, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, sizes) => {
      const stream = Buffer.concat(sent.map(frame))
      const framer = new TcpFramer()
      const got: Uint8Array[] = []
      for (let at = 0, i = 0; at < stream.length; i++) {
        const end = Math.min(at + sizes[i % sizes.length], stream.length)
        framer.push(stream, at, end, (buffer, from, to) => got.push(new Uint8Array(buffer.subarray(from, to))))
        at = end
      }
      assert.deepEqual(got, sent)
    }),
  )
})

test("a client's connection: answers as they come, its FIN is answered when all is said, too many queries wait", () => {
  const open: ((answer: Uint8Array) => void)[] = []
  const server = {
    handle: (_b: Uint8Array, start: number, end: number, _t: 'udp' | 'tcp', reply: (answer: Uint8Array) => void) => {
      if (end - start >= 12) open.push(reply)
    },
  }
  const events: string[] = []
  const connection = {
    send: (chunk: Uint8Array) => void events.push(`send ${chunk.length}`),
    end: () => void events.push('end'),
    resume: () => void events.push('resume'),
  }
  const session = new DnsTcpSession(server, connection)
  const one = frame(query('web'))
  const many = Buffer.concat(Array.from({ length: 1000 }, () => one))
  const taken = session.receive(many, 0, many.length)
  assert.ok(taken < many.length && open.length >= 128 && open.length < 400)
  for (const reply of open.splice(0)) {
    reply(Uint8Array.of(1))
    reply(Uint8Array.of(1))
  }
  assert.equal(events.filter((event) => event === 'resume').length, 1)
  events.length = 0
  const rest = new DnsTcpSession(server, connection)
  rest.receive(one, 0, one.length)
  rest.receive(frame(new Uint8Array(3)), 0, 5)
  rest.end()
  assert.deepEqual(events, [])
  open[0](new Uint8Array(20))
  assert.deepEqual(events, ['send 22', 'end'])
})
