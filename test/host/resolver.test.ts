// Who is in charge of names: one table.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { composeResolvConf, markedBy } from '../../src/host/linux/resolv-conf.ts'
import { decideResolver, type ResolverFacts, upstreamsOf } from '../../src/host/linux/resolver.ts'

const STUB = '/run/systemd/resolve/stub-resolv.conf'
const UPLINK = '/run/systemd/resolve/resolv.conf'
const stubText = 'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n'
const uplinkText = 'nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch corp.test .\n'

interface Row {
  what: string
  resolvConf?: string
  linkTarget?: string
  answers?: boolean
  uplink?: string
  auto: 'resolved' | 'resolvconf'
  note?: RegExp
  skipped?: RegExp
  upstreams: string[]
  search?: string[]
}

const table: Row[] = [
  {
    what: 'plain file',
    resolvConf: 'nameserver 9.9.9.9\nsearch a.test b.test\n',
    auto: 'resolvconf',
    upstreams: ['9.9.9.9'],
    search: ['a.test', 'b.test'],
  },
  { what: 'no file', auto: 'resolvconf', upstreams: ['127.0.0.1'], skipped: /^\/etc\/resolv\.conf names no server: / },
  {
    what: 'empty file',
    resolvConf: '',
    auto: 'resolvconf',
    upstreams: ['127.0.0.1'],
    skipped: /asked of 127\.0\.0\.1/,
  },
  {
    what: 'a file that names no address',
    resolvConf: 'nameserver dns.office.test\nsearch office.test\n',
    auto: 'resolvconf',
    upstreams: ['127.0.0.1'],
    search: ['office.test'],
    skipped: /^\/etc\/resolv\.conf: the line "nameserver dns\.office\.test" is skipped, since it names no address,/,
  },
  {
    what: "resolved's stub, while resolved has no server",
    resolvConf: stubText,
    linkTarget: STUB,
    answers: true,
    uplink: '# No DNS servers known.\nsearch .\n',
    auto: 'resolved',
    upstreams: [],
  },
  {
    what: "resolved's stub",
    resolvConf: stubText,
    linkTarget: STUB,
    answers: true,
    uplink: uplinkText,
    auto: 'resolved',
    upstreams: ['192.0.2.53', '2001:db8::53'],
    search: ['corp.test'],
  },
  {
    what: 'the stub by the static file',
    resolvConf: stubText,
    linkTarget: '/usr/lib/systemd/resolv.conf',
    answers: true,
    uplink: uplinkText,
    auto: 'resolved',
    upstreams: ['192.0.2.53', '2001:db8::53'],
    search: ['corp.test'],
  },
  {
    what: 'a copy that names the stub',
    resolvConf: 'nameserver 127.0.0.53\n',
    answers: true,
    uplink: uplinkText,
    auto: 'resolved',
    upstreams: ['192.0.2.53', '2001:db8::53'],
    search: ['corp.test'],
  },
  {
    what: 'the stub and another server beside it',
    resolvConf: 'nameserver 127.0.0.53\nnameserver 9.9.9.9\n',
    answers: true,
    uplink: uplinkText,
    auto: 'resolvconf',
    upstreams: ['9.9.9.9'],
  },
  {
    what: "resolved's uplink list: programs do not ask resolved",
    resolvConf: uplinkText,
    linkTarget: UPLINK,
    answers: true,
    uplink: uplinkText,
    auto: 'resolvconf',
    upstreams: ['192.0.2.53', '2001:db8::53'],
    search: ['corp.test'],
  },
  {
    what: 'a stub whose resolved is dead',
    resolvConf: stubText,
    linkTarget: STUB,
    uplink: uplinkText,
    auto: 'resolvconf',
    note: /does not answer/,
    upstreams: ['192.0.2.53', '2001:db8::53'],
    search: ['corp.test'],
  },
  {
    what: 'NetworkManager with dnsmasq',
    resolvConf: 'nameserver 127.0.1.1\n',
    linkTarget: '/run/NetworkManager/resolv.conf',
    auto: 'resolvconf',
    upstreams: ['127.0.1.1'],
  },
  {
    what: 'resolved runs beside a plain file',
    resolvConf: 'domain corp.test\nnameserver 9.9.9.9\n',
    answers: true,
    uplink: uplinkText,
    auto: 'resolvconf',
    upstreams: ['9.9.9.9'],
    search: ['corp.test'],
  },
  {
    what: 'our own server is nobody to ask',
    resolvConf: 'nameserver 198.18.53.2\nnameserver 9.9.9.9\nnameserver 9.9.9.9\n',
    auto: 'resolvconf',
    upstreams: ['9.9.9.9'],
  },
]

for (const row of table) {
  test(`${row.what}: ${row.auto}`, () => {
    const facts: ResolverFacts = {
      resolvConf: row.resolvConf,
      linkTarget: row.linkTarget,
      resolvedAnswers: row.answers ?? false,
      uplink: row.uplink,
    }
    const decision = decideResolver('auto', facts)
    assert.equal(decision.mode, row.auto)
    assert.match(decision.notes.join(), row.note ?? /^$/)
    const found = upstreamsOf(facts, ['198.18.53.2'])
    assert.deepEqual([found.upstreams, found.search], [row.upstreams, row.search ?? []])
    assert.match(found.notes.join(), row.skipped ?? /^$/)
    assert.equal(decideResolver('none', facts).mode, 'none')
    assert.equal(decideResolver('resolvconf', facts).mode, 'resolvconf')
    if (row.answers) assert.equal(decideResolver('resolved', facts).mode, 'resolved')
    else assert.throws(() => decideResolver('resolved', facts), { code: 'resolved' })
  })
}

test('our file is known by its marker, and composing it again changes nothing', () => {
  const once = composeResolvConf('1-2', ['198.18.53.2'], 'search x\nnameserver 9.9.9.9\n')
  assert.equal(markedBy(once), '1-2')
  assert.equal(composeResolvConf('1-2', ['198.18.53.2'], once), once)
  assert.equal(markedBy('nameserver 9.9.9.9\n'), undefined)
})

test('of the file before, what programs heed is kept, and what they skip is not', () => {
  const before =
    'search a.test \r\n options rotate\noptions ndots:2\0x\nsortlist 10.0.0.0\nnameserver 9.9.9.9\nfamily inet4\n'
  assert.deepEqual(composeResolvConf('1-2', ['198.18.53.2'], before).split('\n').slice(1), [
    'nameserver 198.18.53.2',
    'search a.test',
    'options ndots:2',
    'sortlist 10.0.0.0',
    '',
  ])
})
