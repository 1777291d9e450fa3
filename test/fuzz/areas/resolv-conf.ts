import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { nameserversInUse, parseResolvConf, resolvConfLines } from '../../../src/base/resolv-conf.ts'
import { visible } from '../../../src/base/visible.ts'
import { markedBy } from '../../../src/host/linux/resolv-conf.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'

const WORDS = [
  ...['nameserver', 'search', 'domain', 'options', 'sortlist', 'NAMESERVER', 'nameserverx', '#', ';', '# kt', 'é'],
  ...['10.96.0.10', '1.2.3', '0x7f.1', '010.0.0.1', '4294967295', '4294967296', '1.2.3.4.5', '256.1.1.1', '::1'],
  ...['fe80::1%eth0', 'fe80::1%', 'fe80::1%a b', '::ffff:1.2.3.4', 'a.example', 'a.example.', '.', '..', 'A.B'],
  ...['\u202e', '\x1b[2J', '\x9b', '\u2028', 'x'.repeat(300), 'ndots:5', '-1', '1e9'],
]
const BLANKS = [' ', ' ', '\t', '  ', '', '\r', '\0', '\v', '\u00a0']
const ENDS = ['\n', '\n', '\n', '\r\n', '', '\r', '\n\n']

function line(random: Random): string {
  const words = Array.from({ length: 1 + random.int(5) }, () => random.pick(WORDS) + random.pick(BLANKS))
  const first = random.chance(70) ? `${random.pick(['nameserver', 'search', 'domain'])} ` : ''
  return first + words.join('') + random.pick(ENDS)
}

function check(text: string): void {
  const { nameservers, search, notes } = parseResolvConf(text)
  assert.ok(nameservers.length <= 3)
  for (const server of nameservers) {
    assert.ok(isIP(server.split('%')[0]) !== 0, server)
    assert.match(server, /^[\w.:%@-]+$/)
  }
  assert.ok(nameserversInUse({ nameservers }).length > 0)
  assert.ok(search.length <= 256)
  for (const domain of search) assert.match(domain, /^[^\s\p{C}]+$/u)
  for (const note of notes) assert.equal(visible(note), note, 'a note that moves the cursor')
  // Reading what was read changes nothing.
  const again = parseResolvConf(
    [...nameservers.map((each) => `nameserver ${each}`), `search ${search.join(' ')}`].join('\n'),
  )
  assert.deepEqual(again.nameservers, nameservers)
  for (const { keyword } of resolvConfLines(text)) assert.match(keyword, /^[a-z]+$/)
  markedBy(text)
}

export default {
  about: 'resolv.conf as other programs may write it: addresses are addresses, and notes move no cursor',
  make: (random) => Buffer.from(Array.from({ length: random.int(12) }, () => line(random)).join('')),
  start: () => ({ attempt: (input) => check(input.toString()) }),
} satisfies Area
