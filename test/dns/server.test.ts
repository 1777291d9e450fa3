// The server from end to end, between a client's bytes and resolvers made of tables; time is the test's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDnsServer, type DnsServerOptions } from '../../src/dns/dns-server.ts'
import { LOWER } from '../../src/dns/message.ts'
import { UpstreamError } from '../../src/dns/upstream.ts'
import { clusterTable, localTable, parse, query, seeded, settle, TableUpstream, VirtualClock } from './support.ts'

function setUp(options: Partial<DnsServerOptions> = {}) {
  const clock = new VirtualClock()
  const cluster = new TableUpstream('the cluster', 'cluster.local', clusterTable)
  const local = new TableUpstream('the laptop', 'test', localTable)
  const names = {
    clusterDomain: 'cluster.local',
    namespace: 'shop',
    namespaces: [],
    reverseRanges: ['10.96.0.0/16', '10.244.0.0/16'],
    localSearch: ['corp.example'],
  }
  const server = createDnsServer({ names, mode: 'resolvconf', clock, random: seeded(1), local, cluster, ...options })
  const send = (message: Uint8Array, transport: 'udp' | 'tcp' = 'udp') => {
    const replies: Uint8Array[] = []
    server.handle(message, 0, message.length, transport, (answer) => replies.push(answer.slice()))
    return replies
  }
  const get = async (message: Uint8Array, transport: 'udp' | 'tcp' = 'udp') => {
    const replies = send(message, transport)
    for (let i = 0; i < 20 && replies.length === 0; i++) await settle()
    assert.equal(replies.length, 1)
    return replies[0]
  }
  const ask = async (name: string, type = 'A') => parse(await get(query(name, type)))
  return { clock, cluster, local, server, send, get, ask }
}
const addresses = (packet: ReturnType<typeof parse>) =>
  packet.answers.filter((record) => record.type === 1 || record.type === 28).map((record) => record.address)

for (const name of ['web', 'web.shop', 'web.shop.svc', 'web.shop.svc.cluster.local'])
  test(`${name} is answered under the name that was asked`, async () => {
    const { ask, local } = setUp()
    for (const [type, address] of [
      ['A', '10.96.0.10'],
      ['AAAA', 'fd00:10:96::10'],
    ]) {
      const packet = await ask(name, type)
      assert.equal(packet.header.rcode, 0)
      assert.equal(packet.questions[0].name, name)
      assert.deepEqual(addresses(packet), [address])
      assert.equal(packet.answers[0].name, name)
      if (name !== 'web.shop.svc.cluster.local') assert.equal(packet.answers[0].domain, 'web.shop.svc.cluster.local')
    }
    assert.deepEqual(local.asked, [])
  })

test('headless names, pods, SRV, PTR and TXT', async () => {
  const { ask, local } = setUp()
  assert.deepEqual(addresses(await ask('db')), ['10.244.0.7', '10.244.1.7'])
  assert.deepEqual(addresses(await ask('db-0.db.shop')), ['10.244.0.7'])
  assert.deepEqual(addresses(await ask('db-0.db')), ['10.244.0.7'])
  const srv = await ask('_http._tcp.web', 'SRV')
  assert.deepEqual([srv.answers[1].port, srv.answers[1].target], [80, 'web.shop.svc.cluster.local'])
  assert.equal((await ask('10.0.96.10.in-addr.arpa', 'PTR')).answers[0].domain, 'web.shop.svc.cluster.local')
  assert.deepEqual((await ask('web', 'TXT')).answers[1].data, ['hello'])
  assert.deepEqual(local.asked, [])
})

test('a name that exists without such a record is NOERROR and empty, one that does not is NXDOMAIN', async () => {
  const { ask, local } = setUp()
  const nodata = await ask('single.shop', 'AAAA')
  assert.deepEqual([nodata.header.rcode, addresses(nodata), nodata.authorities[0].name], [0, [], 'cluster.local'])
  assert.equal((await ask('nope.shop.svc.cluster.local')).header.rcode, 3)
  assert.equal((await ask('nope.shop.svc')).header.rcode, 3)
  assert.deepEqual(local.asked, [])
  assert.equal((await ask('nope.shop')).header.rcode, 3)
  assert.deepEqual(local.asked, ['nope.shop A'])
})

test('public names go to the laptop only, and of other top-level domains the cluster sees no more than the last label', async () => {
  const { ask, cluster } = setUp()
  assert.deepEqual(addresses(await ask('www.example.com')), ['203.0.113.80'])
  assert.deepEqual(cluster.asked, [])
  assert.deepEqual(addresses(await ask('go.dev')), ['203.0.113.81'])
  await ask('other-name.dev')
  assert.deepEqual(cluster.asked, ['dev.svc.cluster.local A', 'dev.shop.svc.cluster.local A'])
})

test('a namespace nobody named is learned by asking, and told', async () => {
  let told = 0
  const { ask, server, local } = setUp({ onDomains: () => told++ })
  assert.ok(!server.domains().includes('other'))
  assert.deepEqual(addresses(await ask('web.other')), ['10.96.1.10'])
  assert.deepEqual([told, server.domains().includes('other'), local.asked], [1, true, []])
  assert.deepEqual(server.searchDomains(), ['shop.svc.cluster.local'])
})

test('a namespace is learned from a full name, and goes when the cluster says so', async () => {
  let told = 0
  const { ask, server, clock, cluster } = setUp({ onDomains: () => told++ })
  await ask('web.other.svc.cluster.local')
  assert.deepEqual([told, server.domains().includes('other')], [1, true])
  cluster.query = async (message) => new TableUpstream('', 'cluster.local', {}).query(message) // everything is gone
  await clock.advance(700_000)
  await ask('web.other')
  assert.deepEqual([told, server.domains().includes('other')], [2, false])
})

test("a real name of the local network wins over the cluster's, with and without the search domain", async () => {
  const { ask, cluster } = setUp()
  assert.deepEqual(addresses(await ask('web.corp.example')), ['192.0.2.1'])
  assert.deepEqual(cluster.asked, [])
  assert.deepEqual(addresses(await ask('nas')), ['192.0.2.9'])
})

test('what glibc asks with a search list: NXDOMAIN under the suffix, then the name alone', async () => {
  const { ask } = setUp()
  assert.equal((await ask('single.corp.example')).header.rcode, 3)
  assert.deepEqual(addresses(await ask('single')), ['10.96.0.11'])
})

test('the second answer comes from the cache at once, with its TTL counted down, the id and the case of its client', async () => {
  const { get, send, clock, cluster } = setUp()
  await get(query('web.shop'))
  await clock.advance(7_400)
  const again = query('wEb.ShOp')
  again[0] = 0xab
  again[1] = 0xcd
  const [answer] = send(again)
  const packet = parse(answer)
  assert.equal(packet.header.id, 0xabcd)
  assert.equal(packet.questions[0].name, 'wEb.ShOp')
  assert.deepEqual(
    packet.answers.map((record) => [record.name, record.ttl]),
    [
      ['wEb.ShOp', 23],
      ['web.shop.svc.cluster.local', 23],
    ],
  )
  assert.equal(cluster.asked.length, 1)
  await clock.advance(22_600)
  await get(query('web.shop'))
  assert.equal(cluster.asked.length, 2)
})

test('HTTPS (65, an upper-case A) and TYPE97 (a lower-case a) are two questions', async () => {
  const { get, cluster } = setUp()
  assert.equal(LOWER[65], 97)
  await get(query('web.shop.svc.cluster.local', 'HTTPS'))
  await get(query('web.shop.svc.cluster.local', 'TYPE97'))
  assert.equal(cluster.asked.length, 2)
})

test('identical questions under way are asked once, and each client gets its own answer', async () => {
  const { send, cluster } = setUp()
  const first = send(query('web.shop'))
  const second = send(query('WEB.shop'))
  for (let i = 0; i < 10; i++) await settle()
  assert.equal(cluster.asked.length, 1)
  assert.equal(parse(first[0]).questions[0].name, 'web.shop')
  assert.equal(parse(second[0]).questions[0].name, 'WEB.shop')
})

test('an answer too large for UDP is cut at a record with TC; over TCP and with EDNS it is whole', async () => {
  const { get } = setUp()
  const cut = parse(await get(query('many.shop')))
  assert.equal(cut.header.tc, 1)
  assert.ok(addresses(cut).length > 10 && addresses(cut).length < 100)
  assert.ok((await get(query('many.shop'))).length <= 512)
  assert.equal(addresses(parse(await get(query('many.shop'), 'tcp'))).length, 100)
  const edns = query('many.shop', 'A', { edns: true })
  edns[edns.length - 8] = 0x10 // 4096 octets
  edns[edns.length - 7] = 0
  const whole = parse(await get(edns))
  assert.deepEqual([whole.header.tc, addresses(whole).length, whole.additionals.length], [0, 100, 1])
})

test('an OPT record comes back exactly if one was sent', async () => {
  const { get } = setUp()
  assert.equal(parse(await get(query('web.shop'))).additionals.length, 0)
  assert.equal(parse(await get(query('web.shop', 'A', { edns: true }))).additionals[0].type, 41)
  assert.equal(parse(await get(query('web.shop'))).additionals.length, 0)
})

test('while the tunnel is away: what is known is served stale, what is not waits for it, then fails and says why', async () => {
  const { get, send, server, clock, cluster } = setUp()
  await get(query('web.shop'))
  server.setClusterUpstream(undefined)
  assert.equal(cluster.closed, true)
  await clock.advance(60_000)
  const stale = parse(await get(query('web.shop', 'A', { edns: true })))
  assert.deepEqual([addresses(stale), stale.answers[0].ttl], [['10.96.0.10'], 30])
  assert.deepEqual(stale.additionals[0].rdata, [{ ednsCode: 15, infoCode: 3, extraText: '' }])
  assert.equal(server.counters.stale, 1)

  const waiting = send(query('db.shop'))
  await clock.advance(1000)
  assert.equal(waiting.length, 0)
  server.setClusterUpstream(new TableUpstream('again', 'cluster.local', clusterTable))
  for (let i = 0; i < 10; i++) await settle()
  assert.equal(addresses(parse(waiting[0])).length, 2)

  server.setClusterUpstream(undefined)
  const failing = send(query('other.shop', 'A', { edns: true }))
  await clock.advance(4_700)
  assert.equal(failing.length, 0, 'a line may be back within 5 s')
  await clock.advance(200)
  const failed = parse(failing[0])
  assert.equal(failed.header.rcode, 2)
  assert.deepEqual(failed.additionals[0].rdata, [
    { ednsCode: 15, infoCode: 23, extraText: 'the tunnel to the cluster is down' },
  ])
})

test('while the tunnel is away public names go on working', async () => {
  const { ask, server } = setUp()
  server.setClusterUpstream(undefined)
  assert.deepEqual(addresses(await ask('www.example.com')), ['203.0.113.80'])
  assert.deepEqual(addresses(await ask('go.dev')), ['203.0.113.81'])
})

test('a cluster that does not say whether a namespace exists holds a public name up for a second, once', async () => {
  const { send, clock, cluster } = setUp()
  cluster.before = () => new Promise(() => {})
  const first = send(query('go.dev'))
  await clock.advance(1100)
  assert.deepEqual(addresses(parse(first[0])), ['203.0.113.81'])
  const second = send(query('other.dev'))
  for (let i = 0; i < 10; i++) await settle()
  assert.equal(parse(second[0]).header.rcode, 3)
})

test('a slow upstream with a stale answer at hand: the stale one after 1.8 s, the new one is kept', async () => {
  const { get, send, clock, cluster } = setUp()
  await get(query('web.shop'))
  await clock.advance(40_000)
  let release = () => {}
  cluster.before = () => new Promise((resolve) => (release = resolve))
  const replies = send(query('web.shop'))
  await clock.advance(1700)
  assert.equal(replies.length, 0)
  await clock.advance(200)
  assert.equal(parse(replies[0]).answers[1].ttl, 30)
  release()
  for (let i = 0; i < 10; i++) await settle()
  assert.equal(send(query('web.shop')).length, 1)
  assert.equal(replies.length, 1)
})

test('who asks for a stale name after the first client has had it waits for nobody', async () => {
  const { get, send, clock, cluster } = setUp()
  await get(query('web.shop'))
  await clock.advance(40_000)
  let release = () => {}
  cluster.before = () => new Promise((resolve) => (release = resolve))
  const first = send(query('web.shop'))
  await clock.advance(1000)
  const second = send(query('web.shop'))
  await clock.advance(700)
  assert.deepEqual([first.length, second.length], [0, 0])
  await clock.advance(200)
  assert.deepEqual([first.length, second.length], [1, 1])
  for (let i = 0; i < 3; i++) {
    const later = send(query('web.shop'))
    assert.deepEqual([addresses(parse(later[0])), parse(later[0]).answers[0].ttl], [['10.96.0.10'], 30])
  }
  assert.equal(cluster.asked.filter((question) => question === 'web.shop.svc.cluster.local A').length, 2)
  release()
  for (let i = 0; i < 10; i++) await settle()
  assert.equal(parse(send(query('web.shop'))[0]).answers[1].ttl, 30)
  assert.deepEqual([first.length, second.length], [1, 1])
})

test('another network: what its resolvers said is forgotten, fresh or stale, and what the cluster said is not', async () => {
  const { ask, server, clock, cluster, local, send } = setUp()
  await ask('www.example.com')
  await ask('go.dev')
  await ask('web.shop')
  assert.deepEqual(addresses(await ask('www.example.com')), ['203.0.113.80'])
  const before = [cluster.asked.length, local.asked.length]
  server.networkChanged()
  await ask('web.shop')
  await ask('www.example.com')
  await ask('www.example.com')
  assert.deepEqual([cluster.asked.length - before[0], local.asked.length - before[1]], [0, 1])
  // A stale answer of the earlier network is not better than none.
  await clock.advance(400_000)
  server.networkChanged()
  local.before = () => Promise.reject(new UpstreamError('timeout', 'nobody there'))
  assert.equal((await ask('www.example.com')).header.rcode, 2)
  local.before = () => undefined
  await ask('www.example.com')
  await clock.advance(400_000)
  local.before = () => new Promise(() => {})
  const waiting = send(query('www.example.com'))
  server.networkChanged()
  await clock.advance(2000)
  assert.deepEqual(waiting, [])
})

test('another network while a question is under way: its answer is nobody’s, and the new resolvers are asked', async () => {
  const { send, server, local, ask } = setUp()
  const releases: (() => void)[] = []
  local.before = () => new Promise((resolve) => releases.push(resolve))
  const first = send(query('www.example.com'))
  await settle()
  server.networkChanged()
  const second = send(query('www.example.com'))
  local.before = () => undefined
  releases[0]()
  for (let i = 0; i < 10; i++) await settle()
  assert.deepEqual([first.length, second.length, local.asked.length], [1, 1, 2])
  await ask('www.example.com')
  assert.equal(local.asked.length, 2)

  // The same when the earlier one fails, and for `kt dns query`.
  let fail = (_: Error) => {}
  local.before = () => new Promise((_, reject) => (fail = reject))
  const asked = server.ask('nas', 'A')
  await settle()
  server.networkChanged()
  local.before = () => undefined
  fail(new UpstreamError('lost', 'not asked any more'))
  assert.deepEqual(addresses(parse((await asked).answer)), ['192.0.2.9'])
})

test('a network that changes all the time ends in an answer', async () => {
  const { ask, server, local } = setUp()
  local.before = async () => server.networkChanged()
  assert.deepEqual(addresses(await ask('www.example.com')), ['203.0.113.80'])
  assert.equal(local.asked.length, 3)
})

test('a short name that the cluster does not have is asked again after ten seconds, whatever its SOA says', async () => {
  const { ask, clock, cluster, local } = setUp()
  // The SOA of both tables says 30 s.
  for (const [name, who] of [
    ['none.shop', local],
    ['none.shop.svc', cluster],
    ['none', local],
  ] as const) {
    assert.equal((await ask(name)).header.rcode, 3, name)
    const before = who.asked.length
    await clock.advance(9900)
    await ask(name)
    assert.equal(who.asked.length, before, `${name} comes from the cache`)
    await clock.advance(200)
    await ask(name)
    assert.ok(who.asked.length > before, `${name} is asked again`)
  }
  // A name that only the machine's resolvers know has their time.
  await ask('none.example.com')
  const before = local.asked.length
  await clock.advance(29_000)
  await ask('none.example.com')
  assert.equal(local.asked.length, before)
})

test('a flood of names, and one of the same name, take a bounded room and harm nobody after them', async () => {
  const limits = { cacheEntries: 100, cacheBytes: 1 << 20, inFlight: 50, waiting: 80 }
  const { send, local, clock, server, get } = setUp({ limits })
  const releases: (() => void)[] = []
  local.before = () => new Promise((resolve) => releases.push(resolve))
  const names = Array.from({ length: 60 }, (_, i) => send(query(`x${i}.example.com`)))
  const refused = names.filter(([answer]) => answer && parse(answer).header.rcode === 2)
  assert.equal(refused.length, 10)
  const same = Array.from({ length: 40 }, () => send(query('x0.example.com')))
  assert.equal(same.filter(([answer]) => answer && parse(answer).header.rcode === 2).length, 10)
  await settle()
  local.before = () => undefined
  for (const release of releases) release()
  for (let i = 0; i < 10; i++) await settle()
  assert.ok([...names, ...same].every((replies) => replies.length === 1))
  for (let i = 0; i < 500; i++) await get(query(`y${i}.example.com`))
  assert.equal(server.history.since(0).length, 500)
  assert.deepEqual([parse(await get(query('web.shop'))).header.rcode, clock.pending], [0, 0])
})

test('an upstream that fails: SERVFAIL once, nothing is kept', async () => {
  const { ask, local } = setUp()
  local.before = () => Promise.reject(new UpstreamError('timeout', 'nobody there'))
  assert.equal((await ask('www.example.com')).header.rcode, 2)
  local.before = () => undefined
  assert.deepEqual(addresses(await ask('www.example.com')), ['203.0.113.80'])
})

test('a query lost with its tunnel is asked again through the next one', async () => {
  const { send, server, cluster } = setUp()
  let fail = (_: Error) => {}
  cluster.before = () => new Promise((_, reject) => (fail = reject))
  const replies = send(query('web.shop'))
  await settle()
  server.setClusterUpstream(new TableUpstream('again', 'cluster.local', clusterTable))
  fail(new UpstreamError('lost', 'tunnel closed'))
  for (let i = 0; i < 10; i++) await settle()
  assert.deepEqual(addresses(parse(replies[0])), ['10.96.0.10'])
})

test('a question whose tunnel is lost on the way waits 4.8 s from its beginning', async () => {
  const { send, server, clock, cluster } = setUp()
  let fail = (_: Error) => {}
  cluster.before = () => new Promise((_, reject) => (fail = reject))
  const replies = send(query('web.shop'))
  await clock.advance(2_000)
  server.setClusterUpstream(undefined)
  fail(new UpstreamError('lost', 'tunnel closed'))
  await clock.advance(2_700)
  assert.equal(replies.length, 0)
  await clock.advance(200)
  assert.equal(parse(replies[0]).header.rcode, 2)
})

test('an upstream that does not know EDNS is asked without', async () => {
  const { ask, local } = setUp()
  const query = local.query.bind(local)
  const sizes: number[] = []
  local.query = async (message) => {
    sizes.push(message[11])
    const answer = await query(message)
    if (message[11] === 1) answer[3] = 1 // FORMERR
    return answer
  }
  assert.deepEqual(addresses(await ask('www.example.com')), ['203.0.113.80'])
  assert.deepEqual(sizes, [1, 0])
})

test('an answer to another question is a failure, not an answer', async () => {
  const { ask, local } = setUp()
  local.query = (message) =>
    new TableUpstream('', '', {}).query(query('evil.example', 'A')).then((answer) => {
      answer[0] = message[0]
      answer[1] = message[1]
      return answer
    })
  assert.equal((await ask('www.example.com')).header.rcode, 2)
})

test('names nobody is asked for', async () => {
  const { ask, cluster, local } = setUp()
  assert.deepEqual(addresses(await ask('localhost')), ['127.0.0.1'])
  assert.deepEqual(addresses(await ask('db.localhost', 'AAAA')), ['::1'])
  assert.deepEqual((await ask('localhost', 'TXT')).answers, [])
  assert.equal((await ask('x.invalid')).header.rcode, 3)
  assert.equal((await ask('web.shop.svc.cluster.local.corp.example')).header.rcode, 3)
  assert.deepEqual([cluster.asked, local.asked], [[], []])
})

test('errors: no header, an answer, two questions, another opcode, class, EDNS version, zone transfer', async () => {
  const { send, get } = setUp()
  assert.deepEqual(send(new Uint8Array(11)), [])
  const answer = query('web')
  answer[2] |= 0x80
  assert.deepEqual(send(answer), [])
  const two = query('web')
  two[5] = 2
  assert.equal((await get(two))[3] & 15, 1)
  const notify = query('web')
  notify[2] |= 4 << 3
  const notImplemented = await get(notify)
  assert.deepEqual([notImplemented[3] & 15, notImplemented[2] >> 3], [4, 0x10 | 4])
  const chaos = query('web')
  chaos[chaos.length - 1] = 3
  assert.equal((await get(chaos))[3] & 15, 5)
  const version = query('web', 'A', { edns: true })
  version[version.length - 5] = 1
  assert.equal(parse(await get(version)).header.rcode, 16)
  assert.equal((await get(query('cluster.local', 'TYPE252')))[3] & 15, 5)
})

test('ask tells the rule and each try', async () => {
  const { server } = setUp()
  const { answer, decision } = await server.ask('web.other', 'a')
  assert.deepEqual(addresses(parse(answer)), ['10.96.1.10'])
  assert.equal(decision.rule, 'other is a namespace')
  assert.deepEqual(
    decision.tries.map((each) => [each.name, each.upstream, each.rcode]),
    [
      ['other.svc.cluster.local', 'the cluster', 'NOERROR'],
      ['other.shop.svc.cluster.local', 'the cluster', 'NXDOMAIN'],
      ['web.other.svc.cluster.local', 'the cluster', 'NOERROR'],
    ],
  )
  const cached = await server.ask('web.other', 'A')
  assert.deepEqual(cached.decision.tries, [{ name: 'web.other', upstream: 'cache', rcode: 'NOERROR', ms: 0 }])
  await assert.rejects(server.ask('bad..name', 'A'), RangeError)
  await assert.rejects(server.ask('web', 'NOSUCH'), RangeError)
})

test('ask under systemd-resolved says what programs see', async () => {
  const { server } = setUp({ mode: 'resolved' })
  assert.match((await server.ask('web', 'A')).decision.rule, /systemd-resolved appends shop\.svc\.cluster\.local$/)
  assert.match((await server.ask('www.example.com', 'A')).decision.rule, /does not bring this name to kt$/)
  assert.doesNotMatch((await server.ask('web.shop', 'A')).decision.rule, /systemd/)
})

test('under systemd-resolved a failed public name does not reach the cluster under its search domain', async () => {
  const { ask, server, cluster, local } = setUp({ mode: 'resolved' })
  const suffix = 'shop.svc.cluster.local'
  assert.equal((await ask(`nope.example.com.${suffix}`)).header.rcode, 3)
  assert.equal((await ask(`nope.com.${suffix}`)).header.rcode, 3)
  assert.deepEqual(cluster.asked, [])
  assert.equal((await ask(`nope.io.${suffix}`)).header.rcode, 3)
  assert.deepEqual(cluster.asked, [`io.${suffix} A`, 'io.svc.cluster.local A'])
  assert.ok(!server.domains().includes('other'))
  assert.equal((await ask(`web.other.${suffix}`)).header.rcode, 3)
  assert.ok(server.domains().includes('other'))
  assert.deepEqual(addresses(await ask(`db-0.db.${suffix}`)), ['10.244.0.7'])
  assert.deepEqual(addresses(await ask(`web.${suffix}`)), ['10.96.0.10'])
  assert.deepEqual(local.asked, [])
})

test('the mode may become known later', async () => {
  let mode: 'resolvconf' | 'resolved' = 'resolvconf'
  const clock = new VirtualClock()
  const cluster = new TableUpstream('the cluster', 'cluster.local', clusterTable)
  const names = {
    clusterDomain: 'cluster.local',
    namespace: 'shop',
    namespaces: [],
    reverseRanges: [],
    localSearch: [],
  }
  const server = createDnsServer({
    names,
    get mode() {
      return mode
    },
    clock,
    random: seeded(1),
    local: undefined,
    cluster,
  })
  const rule = async (name: string) => (await server.ask(name, 'A')).decision.rule
  assert.equal(await rule('a.example.com.shop.svc.cluster.local'), 'full name in the cluster')
  mode = 'resolved'
  assert.equal(await rule('b.example.com.shop.svc.cluster.local'), 'failed name with shop.svc.cluster.local behind it')
})

test('a name that is only perhaps of the cluster is asked of it, not denied, when it cannot be learned', async () => {
  const { send, clock, cluster } = setUp({ mode: 'resolved' })
  cluster.before = (question) =>
    question.startsWith('db.shop') ? Promise.reject(new UpstreamError('timeout', 'silence')) : undefined
  const replies = send(query('db-0.db.shop.svc.cluster.local'))
  await clock.advance(100)
  assert.deepEqual(addresses(parse(replies[0])), ['10.244.0.7'])
})

test('closing ends what is under way without a word, and leaves no timer', async () => {
  const { send, server, clock, cluster, local } = setUp()
  cluster.before = () => Promise.reject(new UpstreamError('lost', 'closed'))
  const replies = send(query('web.shop'))
  server.close()
  for (let i = 0; i < 10; i++) await settle()
  assert.deepEqual([replies, clock.pending, cluster.closed, local.closed], [[], 0, true, true])
})

test('what programs asked is kept with its decision, 500 questions at most', async () => {
  const { ask, server, cluster } = setUp()
  await ask('Web.shop')
  await ask('web.shop')
  await ask('www.example.com')
  await ask('localhost')
  cluster.before = () => Promise.reject(new UpstreamError('timeout', 'no answer'))
  await ask('db.shop')
  await server.ask('web.shop.svc', 'A') // kt's own question
  assert.deepEqual(
    server.history.since(0).map(({ seq, name, type, upstream, rcode }) => [seq, name, type, upstream, rcode]),
    [
      [1, 'web.shop', 'A', 'the cluster', 'NOERROR'],
      [2, 'web.shop', 'A', 'cache', 'NOERROR'],
      [3, 'www.example.com', 'A', 'the laptop', 'NOERROR'],
      [4, 'localhost', 'A', 'kt', 'NOERROR'],
      [5, 'db.shop', 'A', 'the cluster', 'SERVFAIL'],
    ],
  )
  const [first, second] = server.history.since(0)
  assert.equal(first.rule, 'shop is a namespace')
  assert.equal(second.rule, first.rule)
  assert.deepEqual(
    server.history.since(4).map(({ seq }) => seq),
    [5],
  )
  for (let i = 0; i < 600; i++) await ask('localhost')
  const kept = server.history.since(3)
  assert.deepEqual([kept.length, kept[0].seq, kept.at(-1)!.seq], [500, 106, 605])
})

test('new answers for addresses are told, those of the cache are not', async () => {
  const told: Uint8Array[] = []
  const { ask } = setUp({ onAddresses: (message) => told.push(message.slice()) })
  await ask('web.shop')
  await ask('web.shop')
  await ask('web.shop', 'AAAA')
  await ask('_http._tcp.web', 'SRV')
  assert.deepEqual(
    told.map((message) => addresses(parse(message))),
    [['10.96.0.10'], ['fd00:10:96::10']],
  )
})

test('a trace asks past the cache and tells what was planned, learned and asked', async () => {
  const { clock, server, cluster, ask } = setUp()
  const first = await server.trace('web.shop', 'A')
  assert.equal(first.cache.state, 'none')
  assert.deepEqual(
    first.decision.plans!.map(({ rule, cluster }) => [rule, cluster]),
    [['shop is a namespace', ['svc.cluster.local', 'shop.svc.cluster.local']]],
  )
  assert.deepEqual(
    first.decision.tries.map(({ name, rcode, probe }) => [name, rcode, probe]),
    [['web.shop.svc.cluster.local', 'NOERROR', undefined]],
  )
  assert.deepEqual(addresses(parse(first.answer)), ['10.96.0.10'])
  await ask('web.shop')
  await clock.advance(2000)
  const questions = cluster.asked.length
  const again = await server.trace('web.shop', 'A')
  assert.deepEqual([again.cache.state, again.cache.rcode, again.cache.ageS], ['fresh', 'NOERROR', 2])
  assert.equal(cluster.asked.length, questions + 1)

  const learned = await server.trace('web.other', 'A')
  assert.equal(learned.decision.plans!.length, 2)
  assert.deepEqual(
    learned.decision.plans![0].unknown!.map(({ kind, label }) => `${kind} ${label}`),
    ['namespace other', 'service other'],
  )
  assert.equal(learned.decision.tries.filter(({ probe }) => probe).length, 2)
  assert.equal(learned.decision.rule, learned.decision.plans![1].rule)

  cluster.before = () => Promise.reject(new UpstreamError('timeout', 'no answer'))
  const failed = await server.trace('db.shop', 'A')
  assert.deepEqual([parse(failed.answer).header.rcode, failed.decision.tries[0].rcode], [2, 'timeout'])
  assert.equal((await server.trace('localhost', 'A')).decision.tries.length, 0)
})
