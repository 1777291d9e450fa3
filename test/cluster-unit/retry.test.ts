// When a request is sent again: the rule, and an API server that is busy.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextTry } from '../../src/cluster/retry.ts'
import { ApiDouble } from './api-double.ts'

const busy = (status: number, retryAfter?: string) => ({ status, retryAfter })
const table: [what: string, ...Parameters<typeof nextTry>, wait: number | undefined][] = [
  ['a success', busy(200, '3'), 'GET', 1, 0, undefined],
  ['a refusal', busy(403, '3'), 'GET', 1, 0, undefined],
  ['429 that says when', busy(429, '3'), 'POST', 1, 0, 3000],
  ['429 that says at once', busy(429, '0'), 'POST', 1, 0, 200],
  ['503 that says when', busy(503, '2'), 'PATCH', 1, 0, 2000],
  ['500 that says when', busy(500, '2'), 'GET', 1, 0, 2000],
  ['a date, which client-go does not read either', busy(500, 'Fri, 28 Nov 2026 16:00:00 GMT'), 'GET', 1, 0, undefined],
  ['429 without a word', busy(429), 'POST', 1, 0, 200],
  ['503 without a word, reading', busy(503), 'GET', 2, 0, 400],
  ['503 without a word, writing', busy(503), 'POST', 1, 0, undefined],
  ['500 without a word', busy(500), 'GET', 1, 0, undefined],
  ['longer than a person waits', busy(429, '31'), 'GET', 1, 0, undefined],
  ['longer, together', busy(429, '10'), 'GET', 4, 25_000, undefined],
  ['too often', busy(429, '1'), 'GET', 10, 9_000, undefined],
  ['a connection that was cut, first', 'cut', 'GET', 1, 0, 0],
  ['a connection that was cut, third', 'cut', 'GET', 3, 200, 400],
  ['a connection that was cut, too often', 'cut', 'GET', 5, 1400, undefined],
]
for (const [what, outcome, method, tries, waited, wait] of table)
  test(`another try: ${what}`, () => assert.equal(nextTry(outcome, method, tries, waited), wait))

function patient(double: ApiDouble) {
  const waits: number[] = []
  const sleep = async (ms: number) => void waits.push(ms)
  return { api: double.api(undefined, undefined, { sleep }), waits }
}

test('an API server that is busy is asked again when it said, writing too, and watching', async () => {
  let left = 2
  await using double = await ApiDouble.start(({ query }, response) => {
    if (left-- > 0) response.writeHead(left > 0 ? 429 : 503, { 'retry-after': '1' }).end('{}')
    else if (query.has('watch')) response.end('{"type":"ADDED","object":{}}\n')
    else return [200, { ok: 1 }]
    return undefined
  })
  const { api, waits } = patient(double)
  const { body } = await api.send('POST', '/api/v1/things', { body: { a: 1 } })
  assert.deepEqual([body, waits], [{ ok: 1 }, [1000, 1000]])
  assert.deepEqual(
    double.asked.map((each) => each.body),
    [{ a: 1 }, { a: 1 }, { a: 1 }],
  )
  left = 1
  const events = api.watch('/api/v1/things', {}, new AbortController().signal)
  assert.equal((await events.next()).value?.type, 'ADDED')
})

test('one that stays busy is told as it is, also where the refusal is a value', async () => {
  await using double = await ApiDouble.start((_, response) => {
    response.writeHead(429, { 'retry-after': '9', 'content-type': 'application/json' })
    response.end('{"kind":"Status","message":"too many requests"}')
    return undefined
  })
  const { api, waits } = patient(double)
  await assert.rejects(api.get('/version'), { code: 'unreachable', message: /cannot serve this now \(429\): too many/ })
  assert.deepEqual(waits, [9000, 9000, 9000])
  assert.equal((await api.ask('GET', '/version')).status, 429)
})

test('an answer that is cut in the middle is asked for again', async () => {
  let cut = true
  await using double = await ApiDouble.start((_, response) => {
    if (!cut) return [200, { ok: 1 }]
    cut = false
    response.writeHead(200, { 'content-length': '100' }).write('{', () => response.socket!.destroy())
    return undefined
  })
  assert.deepEqual(await patient(double).api.get('/version'), { ok: 1 })
})

test('waiting ends when it is given up', async () => {
  await using double = await ApiDouble.start((_, response) => {
    response.writeHead(429, { 'retry-after': '20' }).end('{}')
    return undefined
  })
  const abort = new AbortController()
  const sleep = async () => abort.abort()
  const call = double.api(undefined, undefined, { sleep }).get('/version', {}, abort.signal)
  await assert.rejects(call, /given up/)
})
