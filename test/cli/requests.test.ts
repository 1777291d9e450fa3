import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestLine, requestPrinter } from '../../src/cli/requests.ts'
import type { RequestReport } from '../../src/control/views.ts'

const report: RequestReport = {
  seq: 1,
  at: new Date(2026, 0, 2, 12, 3, 4, 56).toISOString(),
  ms: 12.4,
  caller: '10.244.1.7:40412',
  pod: { name: 'cart-1', namespace: 'shop' },
  remote: 80,
  local: 8080,
  protocol: 'HTTP/1.1',
  method: 'GET',
  host: 'web',
  path: '/price?id=7',
  status: 200,
  grpcStatus: null,
  bytesIn: 0,
  bytesOut: 1234,
  outcome: 'answered',
  requestHeaders: [],
  responseHeaders: [],
}
const plain = { isTTY: false } as NodeJS.WriteStream
const line = (more: Partial<RequestReport>) => requestLine({ ...report, ...more }, plain)

test('a request is a line for people', () => {
  assert.equal(line({}), '12:03:04.056  cart-1.shop  GET /price?id=7  200  12 ms  1.2 kB')
  assert.equal(
    line({ pod: null, method: 'POST', status: 503, bytesIn: 310, bytesOut: 24, ms: 3.06 }),
    '12:03:04.056  10.244.1.7:40412  POST /price?id=7  503  3.1 ms  24 B (sent 310 B)',
  )
  const grpc = { protocol: 'gRPC', method: 'POST', path: '/a.S/Get', bytesOut: 0 } as const
  assert.match(line({ ...grpc, grpcStatus: 5 }), / {2}NOT_FOUND {2}/)
  assert.match(line({ ...grpc, grpcStatus: 99 }), / {2}gRPC 99 {2}/)
  assert.match(line({ ...grpc, status: 503 }), / {2}503 {2}/)
  assert.match(line({ status: null, outcome: 'cut' }), / {2}no answer {2}/)
  assert.match(line({ status: null, outcome: 'cancelled' }), / {2}cancelled {2}/)
  assert.match(line({ outcome: 'cut' }), / {2}200 cut off {2}/)
})

test('what steers a terminal is made visible, in lines and in objects', () => {
  assert.ok(line({ path: '/\x1b[2J\u202e' }).includes('GET /\\x1b[2J\\u202e'))
  const written: string[] = []
  const out = { write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
  requestPrinter('json', out)({ ...report, path: '/\x9b\n' })
  assert.match(written[0], /^\{"seq":1,.*"path":"\/\\u009b\\n".*\}\n$/)
  assert.equal((JSON.parse(written[0]) as RequestReport).path, '/\x9b\n')
})

test('bodies come below their request, a line each, without anything that steers a terminal', () => {
  const written: string[] = []
  const out = { write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
  requestPrinter(
    'text',
    out,
  )({
    ...report,
    requestBody: { text: 'a\r\n\tb\x1b[2J\rc\n', cut: false, why: null },
    responseBody: { text: '{"x":1', cut: true, why: null },
  })
  const [, ...lines] = written.join('').split('\n')
  assert.deepEqual(lines, ['    > a', '    > \tb\\x1b[2J\\rc', '    < {"x":1', '    < (cut: the whole has 1.2 kB)', ''])
  written.length = 0
  requestPrinter('text', out)({ ...report, responseBody: { text: null, cut: true, why: 'not text' } })
  assert.match(written.join(''), /1\.2 kB\n {4}< \(not shown: not text\)\n$/)
})
