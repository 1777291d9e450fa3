import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requireQuestion } from '../../src/daemon/dns-question.ts'

test('what a person may ask: names as they are, with a dot behind, and the root', () => {
  for (const name of ['web', 'web.shop.', '_http._tcp.web.shop', '.', 'a'.repeat(63)]) requireQuestion(name, 'A')
  for (const type of ['AAAA', 'SRV', 'TYPE65535']) requireQuestion('web', type)
})

test('what is no question is a wrong usage, with what a question looks like', () => {
  const long = `${'a'.repeat(60)}.`.repeat(5)
  for (const name of ['', '..', 'a..b', 'ü.shop', 'a b', 'a\u001b[31mb', 'a'.repeat(64), long, 'x'.repeat(100_000)])
    assert.throws(() => requireQuestion(name, 'A'), {
      code: 'usage',
      message: /is not a DNS name$/,
      hint: /63 letters/,
    })
  for (const type of ['', 'A B', 'TYPE99999999', 'x'.repeat(1000)])
    assert.throws(() => requireQuestion('web', type), { code: 'usage', message: /is not a record type$/ })
})
