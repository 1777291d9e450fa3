// The reader of resolv.conf against what resolv.conf(5) and glibc's res_init.c say: one table, and hostile bytes.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { nameserversInUse, parseResolvConf } from '../../src/base/resolv-conf.ts'
import { readSmallFile } from '../../src/base/small-file.ts'
import { parseServer } from '../../src/dns/local-upstream.ts'
import { IpAddress } from '../../src/wire/address.ts'

interface Row {
  what: string
  text: string
  servers: string[]
  search?: string[]
  /** What the first skipped line is shown as, and how many more there are. */
  skipped?: [string, number?]
}

const table: Row[] = [
  { what: 'an empty file', text: '', servers: ['127.0.0.1'] },
  { what: 'comments alone', text: '# a\n; b\n\n', servers: ['127.0.0.1'] },
  { what: 'no server, but a search list', text: 'search a.test\n', servers: ['127.0.0.1'], search: ['a.test'] },
  { what: 'a server', text: 'nameserver 9.9.9.9', servers: ['9.9.9.9'] },
  { what: 'tabs, blanks, and words behind', text: 'nameserver\t \t9.9.9.9  x y\n', servers: ['9.9.9.9'] },
  {
    what: 'at most three',
    text: [1, 2, 3, 4].map((n) => `nameserver 192.0.2.${n}\n`).join(''),
    servers: ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
  },
  {
    what: 'those that are no address do not count among the three',
    text: 'nameserver a\nnameserver b\nnameserver c\nnameserver 9.9.9.9\n',
    servers: ['9.9.9.9'],
    skipped: ['"nameserver a"', 2],
  },
  ...[
    'dns.office.test',
    'a,b',
    '198.51.100.53#53',
    'localhost',
    '198.51.100.53:53',
    '[::1]',
    '1.2.3.4.5',
    '256.1.1.1',
    '08.1.1.1',
    '1.2.3.',
    '-1',
    '0x',
    '9.9.9.9/24',
    '::1::',
    'fe80:::1',
  ].map(
    (bad): Row => ({
      what: bad,
      text: `nameserver ${bad}\nnameserver 9.9.9.9\n`,
      servers: ['9.9.9.9'],
      skipped: [`"nameserver ${bad}"`],
    }),
  ),
  {
    what: 'nothing behind the keyword',
    text: 'nameserver\nnameserver \n',
    servers: ['127.0.0.1'],
    skipped: ['"nameserver "', 1],
  },
  {
    what: 'the numbers inet_aton(3) takes',
    text: 'nameserver 0x7f.1\nnameserver 010.0.0.1\nnameserver 3232235777\n',
    servers: ['127.0.0.1', '8.0.0.1', '192.168.1.1'],
  },
  {
    what: 'zones',
    text: 'nameserver fe80::1%eth0\nnameserver fe80::2%\nnameserver fe80::3%a"b\n',
    servers: ['fe80::1%eth0', 'fe80::2', 'fe80::3'],
  },
  {
    what: 'IPv6',
    text: 'nameserver 2001:db8::53\nnameserver ::ffff:192.0.2.1\n',
    servers: ['2001:db8::53', '::ffff:192.0.2.1'],
  },
  {
    what: 'a keyword that does not start the line',
    text: ' nameserver 1.1.1.1\n\tsearch a\nnameserver 9.9.9.9\n',
    servers: ['9.9.9.9'],
  },
  {
    what: 'another keyword that begins alike',
    text: 'nameservers 1.1.1.1\nNameserver 1.1.1.1\nnameserver=1.1.1.1\n',
    servers: ['127.0.0.1'],
  },
  { what: 'CR LF', text: 'search a.test\r\nnameserver 9.9.9.9\r\n', servers: ['9.9.9.9'], search: ['a.test'] },
  {
    what: 'NUL ends a line',
    text: 'nameserver 9.9.9.9\0.9\nsearch a.test\0 b.test\n\0nameserver 1.1.1.1\n',
    servers: ['9.9.9.9'],
    search: ['a.test'],
  },
  {
    what: 'the last of search and domain counts',
    text: 'domain a.test\nsearch b.test c.test\n',
    servers: ['127.0.0.1'],
    search: ['b.test', 'c.test'],
  },
  {
    what: 'domain is one',
    text: 'search b.test c.test\ndomain A.Test. x\n',
    servers: ['127.0.0.1'],
    search: ['a.test'],
  },
  {
    what: 'a search without a value does not count',
    text: 'search a.test\nsearch\ndomain \n',
    servers: ['127.0.0.1'],
    search: ['a.test'],
  },
  { what: 'the root is no search domain', text: 'search . a.test.\n', servers: ['127.0.0.1'], search: ['a.test'] },
  {
    what: 'a comment behind the values',
    text: 'search a.test # office\nnameserver 9.9.9.9 # office\n',
    servers: ['9.9.9.9'],
    search: ['a.test'],
  },
  { what: 'options', text: 'options ndots:5 timeout:1\nnameserver 9.9.9.9\noptions rotate', servers: ['9.9.9.9'] },
  {
    what: 'an escape sequence',
    text: 'nameserver \u001b[2J\u009b1m\u202e\n',
    servers: ['127.0.0.1'],
    skipped: ['"nameserver ?[2J?1m?"'],
  },
]

for (const { what, text, servers, search, skipped } of table)
  test(what, () => {
    const conf = parseResolvConf(text)
    assert.deepEqual(nameserversInUse(conf), servers)
    assert.deepEqual(conf.search, search ?? [])
    const more = skipped?.[1] ? ` (and ${skipped[1]} more)` : ''
    const note = `/etc/resolv.conf: the line ${skipped?.[0]}${more} is skipped, since it names no address`
    assert.deepEqual(conf.notes, skipped ? [note] : [])
  })

test('whatever the bytes, it never throws, and each server is an address that can be asked', () => {
  const word = fc.constantFrom(
    'nameserver',
    'search',
    'domain',
    'options',
    ' ',
    '\t',
    '\n',
    '\r',
    '\0',
    '#',
    ';',
    '%',
    '.',
    ':',
    '1',
    '0x',
    '9.9.9.9',
    'fe80::1',
  )
  const text = fc.oneof(
    fc.array(word, { maxLength: 40 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary' }),
  )
  fc.assert(
    fc.property(text, (text) => {
      const conf = parseResolvConf(text)
      assert.ok(conf.nameservers.length <= 3)
      for (const server of nameserversInUse(conf)) {
        assert.ok(parseServer(server), server)
        assert.ok(IpAddress.tryParse(server.replace(/%.*/, '')), server)
      }
      assert.ok(conf.search.every((domain) => domain !== '' && !/[\s\0]/.test(domain)))
    }),
    { numRuns: 2000 },
  )
})

test('a huge file: the search list and the notes stay small', () => {
  const text = `search ${'a.test '.repeat(100_000)}\n${`nameserver ${'x'.repeat(5000)}\n`.repeat(200)}nameserver 9.9.9.9\n`
  const conf = parseResolvConf(text)
  assert.deepEqual([conf.nameservers, conf.search.length], [['9.9.9.9'], 256])
  assert.ok(conf.notes.join().length < 300)
})

test('a file that is read for it: a pipe is not waited for, a device not read for ever, a folder no file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kt-small-'))
  try {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    assert.equal(readSmallFile(pipe, 100), undefined)
    assert.equal(readSmallFile('/dev/zero', 100), undefined)
    assert.equal(readSmallFile(folder, 100), undefined)
    writeFileSync(join(folder, 'file'), 'x'.repeat(200_000))
    assert.equal(readSmallFile(join(folder, 'file'), 100_000)?.length, 100_000)
    assert.equal(readSmallFile(join(folder, 'file'), 1 << 20)?.length, 200_000)
    assert.ok(
      readSmallFile('/proc/self/status', 1 << 20)
        ?.toString()
        .startsWith('Name:'),
    )
    assert.throws(() => readSmallFile(join(folder, 'none'), 1), { code: 'ENOENT' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
