// Bodies of requests: read only where somebody asked, only their beginnings, as text, and without what looks secret.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { RequestReport } from '../../src/control/views.ts'
import { bodyWithoutSecrets } from '../../src/daemon/requests/body-secrets.ts'
import { CallerNames } from '../../src/daemon/requests/caller-names.ts'
import { KeptBody } from '../../src/daemon/requests/kept-body.ts'
import { RequestLog } from '../../src/daemon/requests/request-log.ts'
import { HIDDEN } from '../../src/daemon/requests/secrets.ts'
import { IpAddress } from '../../src/wire/address.ts'
import {
  END_HEADERS,
  END_STREAM,
  Frame,
  frame,
  headersFrame,
  PREFACE,
  request as requestHeaders,
  settings,
} from '../support/http2-frames.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const caller = { address: IpAddress.parse('10.244.1.7'), port: 40412 }
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const POST = 'POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nque\r\n5\r\nstion\r\n0\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer'

function bench(options: { bodies?: number; tells?: boolean } = {}) {
  const { bodies, tells = true } = options
  const time = new VirtualTime()
  const told: RequestReport[] = []
  const log = new RequestLog({
    clock: time,
    wall: () => time.now(),
    names: new CallerNames({ ask: async () => null, now: () => time.now() }),
    notice: (line) => assert.fail(line),
    ...(tells && { tell: (report: RequestReport) => void told.push(report) }),
    bodies,
  })
  const pass = async (up: string | Uint8Array, down: string | Uint8Array, step = Number.POSITIVE_INFINITY) => {
    const watch = log.watch(caller, { remote: 80, local: 8080 })
    for (const [side, said] of [
      ['fromCaller', up],
      ['fromProgram', down],
    ] as const) {
      const bytes = typeof said === 'string' ? Buffer.from(said, 'latin1') : said
      for (let at = 0; at < bytes.length; at += step) {
        // The relay uses a chunk's memory again.
        const chunk = Buffer.from(bytes.subarray(at, at + step))
        watch?.[side](chunk)
        chunk.fill(0)
      }
    }
    await turn()
    watch?.closed()
    await turn()
  }
  return { time, log, told, pass }
}

const texts = (report: RequestReport) => [report.requestBody?.text, report.responseBody?.text]
const whole = (text: string) => ({ text, cut: false, why: null })

describe('who asks', () => {
  test('without the wish for bodies nothing of a body is told', async () => {
    const { told, pass } = bench()
    await pass(POST, OK)
    assert.equal(told.length, 1)
    assert.ok(!('requestBody' in told[0]) && !('responseBody' in told[0]))
  })

  test('the content of bodies is told without the framing of chunks, whole or byte by byte', async () => {
    for (const step of [Number.POSITIVE_INFINITY, 1]) {
      const { told, pass } = bench({ bodies: 100 })
      await pass(POST, OK, step)
      assert.deepEqual([told[0].requestBody, told[0].responseBody], [whole('question'), whole('answer')])
      assert.deepEqual([told[0].bytesIn, told[0].bytesOut], [27, 6])
    }
  })

  test('only the beginning of a long body is told, and that it is one', async () => {
    const { told, pass } = bench({ bodies: 4 })
    await pass(POST, OK)
    assert.deepEqual(told[0].requestBody, { text: 'ques', cut: true, why: null })
    assert.deepEqual(told[0].responseBody, { text: 'answ', cut: true, why: null })
  })

  test('a request without a body has none', async () => {
    const { told, pass } = bench({ bodies: 4 })
    await pass('GET /a HTTP/1.1\r\n\r\n', 'HTTP/1.1 204 None\r\n\r\n')
    assert.ok(!('requestBody' in told[0]) && !('responseBody' in told[0]))
  })

  test('a view is told bodies while it asks for them, and the terminal is not', async () => {
    const { log, told, pass, time } = bench()
    log.since(0, 0)
    await pass(POST, OK)
    log.since(0, 0, true)
    await pass(POST, OK)
    assert.deepEqual(log.since(0, 0, true).entries.map(texts), [
      [undefined, undefined],
      ['question', 'answer'],
    ])
    assert.ok(!JSON.stringify(told).includes('question'))
    log.since(0, 0)
    await pass(POST, OK)
    log.since(0, 0, true)
    await time.run(31_000)
    await pass(POST, OK)
    assert.deepEqual(log.since(2, 0).entries.map(texts), [
      [undefined, undefined],
      [undefined, undefined],
    ])
  })

  test('bodies that are kept for views have a bound together', async () => {
    const { log, pass } = bench({ bodies: 65_536 })
    const body = 'x'.repeat(65_536)
    for (let i = 0; i < 200; i++)
      await pass('GET /a HTTP/1.1\r\n\r\n', `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const seen: RequestReport[] = []
    for (let more = log.since(0, 0).entries; more.length > 0; more = log.since(seen.at(-1)!.seq, 0).entries)
      seen.push(...more)
    assert.equal(seen.at(-1)!.seq, 200)
    assert.equal(seen.length, (8 << 20) / body.length)
  })

  test('HTTP/2: the content of DATA frames without their padding, whole or byte by byte', async () => {
    const up = Buffer.concat([
      Buffer.from(PREFACE),
      settings,
      headersFrame(1, requestHeaders('POST', '/a'), END_HEADERS),
      frame(Frame.data, 8, 1, Buffer.from('\x03quexxx')),
      frame(Frame.data, 8, 1, Buffer.from('\x02xx')),
      frame(Frame.data, END_STREAM, 1, Buffer.from('stion')),
    ])
    const down = Buffer.concat([
      settings,
      headersFrame(1, [[':status', '200']], END_HEADERS),
      frame(Frame.data, 8 | END_STREAM, 1, Buffer.from('\0answer')),
    ])
    for (const step of [Number.POSITIVE_INFINITY, 1]) {
      const { told, pass } = bench({ bodies: 100 })
      await pass(up, down, step)
      assert.deepEqual(texts(told[0]), ['question', 'answer'])
      assert.deepEqual([told[0].bytesIn, told[0].bytesOut], [8, 6])
    }
  })
})

describe('what is text', () => {
  const told = (bytes: Uint8Array, headers: [string, string][] = [], most = 1000) => {
    const body = new KeptBody(most)
    body.add(bytes)
    return body.told(headers)
  }

  test('a character that the limit cuts is left out', () => {
    assert.deepEqual(told(Buffer.from('aä€'), [], 5), { text: 'aä', cut: true, why: null })
  })

  test('bytes that are no text are not shown', () => {
    for (const bytes of [Buffer.from([0xff, 0xd8, 0xff]), Buffer.from('a\0b')])
      assert.deepEqual(told(bytes), { text: null, cut: false, why: 'not text' })
  })

  test('the charset of the content type counts', () => {
    assert.equal(told(Buffer.of(0xe4), [['Content-Type', 'text/plain; charset="iso-8859-1"']])?.text, 'ä')
    assert.equal(
      told(Buffer.of(0xe4), [['content-type', 'text/plain; charset=x-y']])?.why,
      'text in x-y, which kt does not know',
    )
  })

  test('compressed bodies are expanded, also where only the beginning is there', () => {
    const text = Array.from({ length: 400 }, (_, i) => `line ${(i * 7919) % 1009}\n`).join('')
    for (const [encoding, bytes] of [
      ['gzip', gzipSync(text)],
      ['br', brotliCompressSync(text)],
    ] as const) {
      assert.deepEqual(told(bytes, [['content-encoding', encoding]], 10_000), whole(text))
      const beginning = told(bytes, [['content-encoding', encoding]], 300)
      assert.ok(beginning!.text!.length > 100 && text.startsWith(beginning!.text!), encoding)
      assert.equal(beginning!.cut, true)
    }
  })

  test('what expands to more than a megabyte, is broken, or is encoded otherwise is not shown', () => {
    const headers = (encoding: string): [string, string][] => [['content-encoding', encoding]]
    assert.match(told(gzipSync(Buffer.alloc(8 << 20)), headers('gzip'), 65_536)!.why!, /too much/)
    assert.match(told(Buffer.from('no gzip'), headers('gzip'))!.why!, /cannot be expanded/)
    assert.equal(told(Buffer.from('x'), headers('zstd'))!.why, 'encoded as zstd')
    assert.equal(told(Buffer.from('x'), headers('constructor'))!.why, 'encoded as constructor')
  })

  test('whatever bytes come in whatever pieces, it neither throws nor tells more than its limit', () => {
    const headers = fc
      .constantFrom('', 'gzip', 'br', 'deflate')
      .map((e): [string, string][] => [['content-encoding', e]])
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 30 })),
        headers,
        fc.integer({ min: 1, max: 50 }),
        (parts, of, most) => {
          const body = new KeptBody(most)
          for (const part of parts) body.add(part)
          assert.ok((body.told(of)?.text ?? '').length <= most)
        },
      ),
    )
  })
})

describe('secrets in bodies', () => {
  const cases: [what: string, type: string, text: string, shown: string][] = [
    [
      'JSON',
      'application/json',
      '{"user":"ada","password":"p\\"q","n":1}',
      `{"user":"ada","password":"${HIDDEN}","n":1}`,
    ],
    [
      'numbers, lists and objects',
      '',
      '{"pin": 1234, "tokens": ["a", {"b":"]"}], "x":1}',
      `{"pin": "${HIDDEN}", "tokens": "${HIDDEN}", "x":1}`,
    ],
    ['what is cut within a value', '', '{"client_secret":"abc', `{"client_secret":"${HIDDEN}"`],
    ['an object that is cut', '', '{"credentials":{"a":"b","c":', `{"credentials":"${HIDDEN}"`],
    ['in the depth', '', '[{"a":{"apiKey":"k"}}]', `[{"a":{"apiKey":"${HIDDEN}"}}]`],
    [
      'forms',
      'application/x-www-form-urlencoded',
      'user=ada&password=x%26y&code=4&a',
      `user=ada&password=${HIDDEN}&code=${HIDDEN}&a`,
    ],
    [
      'XML',
      'application/xml',
      '<a><ns:password kind="x">p</ns:password><b>c</b></a>',
      `<a><ns:password kind="x">${HIDDEN}</ns:password><b>c</b></a>`,
    ],
    [
      'parts of forms',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="password"\r\nX: y\r\n\r\nq\r\nr\r\n--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--',
      `--x\r\nContent-Disposition: form-data; name="password"\r\nX: y\r\n\r\n${HIDDEN}\r\n--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--`,
    ],
    ['shapes', 'text/plain', 'x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig y', `x ${HIDDEN} y`],
    ['a private key that is cut', '', 'a -----BEGIN PRIVATE KEY-----\nMIIE\nabc', `a ${HIDDEN}`],
  ]
  for (const [what, type, text, shown] of cases)
    test(`hidden: ${what}`, () => assert.equal(bodyWithoutSecrets(text, type), shown))

  test('what is no secret stays', () => {
    for (const text of [
      '{"author":"ada","authors":[1],"code":404,"has_password":true,"token":null}',
      '<author>ada</author>',
    ])
      assert.equal(bodyWithoutSecrets(text, 'application/json'), text)
  })

  test('JSON within strings of JSON, three times over', () => {
    let value: unknown = { password: 'S3"\\S3\\', pin: 3, x: 'kept', cookies: ['S3'] }
    for (let depth = 0; depth < 4; depth++) {
      const text = JSON.stringify(value)
      const shown = bodyWithoutSecrets(text, 'application/json')
      assert.ok(!shown.includes('S3'), shown)
      assert.ok(shown.includes('kept') && shown.split(HIDDEN).length === 4, shown)
      JSON.parse(shown)
      value = { echo: text }
    }
  })

  test('wherever a body is cut, nothing of a secret stays', () => {
    const json = JSON.stringify({
      a: [1, { session: 'S3', password: 'S3"\\S3' }],
      auth: { x: 'S3', y: ['S3'] },
      pwd: 'S3',
    })
    for (let end = 0; end <= json.length; end++)
      assert.ok(!bodyWithoutSecrets(json.slice(0, end), '').includes('S3'), json.slice(0, end))
  })

  test('hostile text costs no more than its length', () => {
    for (const hostile of [
      '"'.repeat(65_536),
      '"a":'.repeat(16_384),
      '<a '.repeat(20_000),
      `${'name="a"\n'.repeat(7000)}`,
      '{"auth":'.repeat(8000),
      'eyJ'.repeat(20_000),
      '-----BEGIN '.repeat(6000),
      'basic '.repeat(10_000),
      '\\\\'.repeat(65_536),
      `"auth":"${'\\\\'.repeat(65_536)}`,
    ]) {
      const began = process.cpuUsage()
      for (const type of ['', 'multipart/form-data', 'application/x-www-form-urlencoded'])
        bodyWithoutSecrets(hostile, type)
      const { user } = process.cpuUsage(began)
      assert.ok(user < 1e6, `${hostile.slice(0, 12)} took ${user} µs`)
    }
  })
})
