// The router's parts that know only bytes: detection, heads, ends of bodies, matching.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { matches } from '../../src/shadow/http/route.ts'
import { detect, HTTP2_PREFACE } from '../../src/wire/http/detect.ts'
import { bodyEnd } from '../../src/wire/http/framing.ts'
import { forwardedHead, HttpError, parseRequestHead, parseResponseHead } from '../../src/wire/http/head.ts'

describe('detection', () => {
  const cases: [string, string | undefined][] = [
    ['', undefined],
    ['G', undefined],
    ['GET /a', undefined],
    ['GET /a HTTP/1.1', undefined],
    ['GET /a HTTP/1.1\r', undefined],
    ['GET /a HTTP/1.1\r\n', 'http1'],
    ['PROPFIND /a HTTP/1.0\r\nHost', 'http1'],
    ['P', undefined],
    ['PRI * HTTP/2.0\r\n\r\nSM', undefined],
    [HTTP2_PREFACE, 'http2'],
    [`${HTTP2_PREFACE}\0\0`, 'http2'],
    ['PRI * HTTP/2.0\r\nX', 'other'],
    ['PING\r\n', 'other'],
    ['*1\r\n$4\r\nPING\r\n', 'other'],
    ['GET key\r\n', 'other'],
    ['GET /a HTTP/1.1\n', 'other'],
    ['GET /a HTTP/1.1\rX', 'other'],
    ['GET /a HTTP/3', 'other'],
    ['GET  /a', 'other'],
    ['GET  /a HTTP/1.1', 'other'],
    ['\x16\x03\x01', 'other'],
    ['\0\0\0\x08', 'other'],
    [`${'A'.repeat(33)}`, 'other'],
    [`GET /${'a'.repeat(20_000)}`, 'other'],
  ]
  for (const [bytes, protocol] of cases)
    it(`${JSON.stringify(bytes.slice(0, 30))} is ${protocol ?? 'undecided'}`, () =>
      assert.equal(detect(bytes), protocol))

  it('does not depend on how the bytes come: a decision holds for all that follows', () => {
    const beginnings = cases.filter(([, protocol]) => protocol).map(([bytes]) => bytes)
    fc.assert(
      fc.property(fc.constantFrom(...beginnings), fc.string(), (bytes, more) => {
        const decided = detect(bytes)
        for (let i = 0; i < Math.min(bytes.length, 200); i++) {
          const earlier = detect(bytes.slice(0, i))
          assert.ok(earlier === undefined || earlier === decided, JSON.stringify(bytes.slice(0, i)))
        }
        assert.equal(detect(bytes + more), decided)
      }),
    )
  })
})

describe('heads of requests', () => {
  const refused: [string, string, number][] = [
    ['both lengths', 'POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n', 400],
    ['a list of lengths', 'POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n', 400],
    ['a signed length', 'POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n', 400],
    ['a hexadecimal length', 'POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n', 400],
    ['an empty length', 'POST / HTTP/1.1\r\nContent-Length:\r\n\r\n', 400],
    ['a length no number can hold', 'POST / HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n', 400],
    ['a folded header', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n', 400],
    ['a bare CR in a header', 'GET / HTTP/1.1\r\nA: b\rContent-Length: 3\r\n\r\n', 400],
    ['a bare LF in a header', 'GET / HTTP/1.1\r\nA: b\nContent-Length: 3\r\n\r\n', 400],
    ['NUL in a header', 'GET / HTTP/1.1\r\nA: \0\r\n\r\n', 400],
    ['space before the colon', 'GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n', 400],
    ['a header without a name', 'GET / HTTP/1.1\r\n: a\r\n\r\n', 400],
    ['a header without a colon', 'GET / HTTP/1.1\r\nabc\r\n\r\n', 400],
    ['chunked in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['another coding', 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
    ['a coding hidden by a tab', 'POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n', 400],
    ['chunked twice', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n', 501],
    ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['another version', 'GET / HTTP/2.0\r\n\r\n', 400],
    ['two spaces', 'GET  / HTTP/1.1\r\n\r\n', 400],
  ]
  for (const [what, text, status] of refused)
    it(`refuses ${what}`, () =>
      assert.throws(
        () => parseRequestHead(text),
        (error: HttpError) => error instanceof HttpError && error.status === status,
      ))

  it('finds method, length and whether the connection goes on', () => {
    const post = parseRequestHead('POST /a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 12\r\n\r\n')
    assert.deepEqual([post.method, post.framing, post.close], ['POST', { kind: 'length', bytes: 12 }, false])
    const chunked = parseRequestHead('PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nConnection: x, Close\r\n\r\n')
    assert.deepEqual([chunked.framing, chunked.close], [{ kind: 'chunked' }, true])
    assert.equal(parseRequestHead('GET / HTTP/1.0\r\n\r\n').close, true)
    assert.equal(parseRequestHead('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').close, false)
  })

  it('adds the caller to X-Forwarded-For and changes nothing else', () => {
    const text = 'GET /ü HTTP/1.1\r\nHoSt:  a \r\nX-A: é\r\n\r\n'
    assert.equal(
      forwardedHead(parseRequestHead(text), '10.0.0.9'),
      'GET /ü HTTP/1.1\r\nHoSt:  a \r\nX-A: é\r\nX-Forwarded-For: 10.0.0.9\r\n\r\n',
    )
    const before = 'GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2 \r\nA: b\r\n\r\n'
    assert.equal(
      forwardedHead(parseRequestHead(before), 'fd00::1'),
      'GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, fd00::1\r\nA: b\r\n\r\n',
    )
  })

  it('does not pass the offer of HTTP/2 on, but that of a WebSocket', () => {
    const offer = 'GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n'
    assert.equal(
      forwardedHead(parseRequestHead(offer), '1.2.3.4'),
      'GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n',
    )
    for (const [offered, passed] of [
      ['Upgrade: h2c,', ''],
      ['upgrade: h2c, x', 'Upgrade: x'],
      ['Upgrade: x,H2C', 'Upgrade: x'],
      ['Upgrade: , ,h2c/1', ''],
      ['Upgrade: a\r\nUpgrade: h2c, b/2', 'Upgrade: a\r\nUpgrade: b/2'],
      ['Upgrade: websocket,', 'Upgrade: websocket,'],
      ['Upgrade: h2conly', 'Upgrade: h2conly'],
    ]) {
      const head = forwardedHead(parseRequestHead(`GET / HTTP/1.1\r\n${offered}\r\n\r\n`), 'a')
      assert.equal(head, `GET / HTTP/1.1\r\n${passed && `${passed}\r\n`}X-Forwarded-For: a\r\n\r\n`, offered)
    }
  })
})

describe('heads of answers', () => {
  const framing = (text: string, method = 'GET') => parseResponseHead(`${text}\r\n\r\n`, method).framing.kind
  it('know how their body ends', () => {
    assert.equal(framing('HTTP/1.1 200 OK\r\nContent-Length: 5'), 'length')
    assert.equal(framing('HTTP/1.1 200 OK\r\nContent-Length: 5', 'HEAD'), 'none')
    assert.equal(framing('HTTP/1.1 304 Not Modified\r\nContent-Length: 5'), 'none')
    assert.equal(framing('HTTP/1.1 204 No Content'), 'none')
    assert.equal(framing('HTTP/1.1 200'), 'close')
    assert.equal(framing('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked'), 'chunked')
    assert.equal(framing('HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip'), 'close')
  })
  it('are refused when they are none', () => {
    for (const text of ['SSH-2.0-x', 'HTTP/2 200', 'HTTP/1.1 20', 'HTTP/1.1 200 OK\r\nContent-Length: 1, 2'])
      assert.throws(() => framing(text), HttpError)
  })
})

describe('the end of a chunked body', () => {
  const consume = (body: Buffer, cuts: number[]) => {
    const end = bodyEnd({ kind: 'chunked' })
    let taken = 0
    let at = 0
    for (const cut of [...cuts, body.length].sort((a, b) => a - b)) {
      if (cut <= at || cut > body.length) continue
      taken += end.take(body.subarray(at, cut))
      at = cut
      if (end.done) break
    }
    return { taken, done: end.done }
  }
  it('is found however the bytes are cut', () => {
    const chunk = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.constantFrom('', ';a=b', ' ;c', ';q="x"'))
    fc.assert(
      fc.property(
        fc.array(chunk),
        fc.array(fc.constantFrom('A: b', 'Grpc-Status: 0')),
        fc.uint8Array(),
        fc.array(fc.nat(900)),
        (chunks, trailers, rest, cuts) => {
          const encoded = Buffer.concat([
            ...chunks.flatMap(([data, extension]) => [
              Buffer.from(`${data.length.toString(16)}${extension}\r\n`),
              data,
              Buffer.from('\r\n'),
            ]),
            Buffer.from(`0\r\n${trailers.map((t) => `${t}\r\n`).join('')}\r\n`),
          ])
          const { taken, done } = consume(Buffer.concat([encoded, rest]), cuts)
          assert.deepEqual({ taken, done }, { taken: encoded.length, done: true })
        },
      ),
    )
  })
  for (const body of [
    '5\nhello\r\n0\r\n\r\n',
    '5\r\nhello0\r\n\r\n',
    '-1\r\n',
    'g\r\n',
    '5 5\r\n',
    '0x5\r\n',
    '\r\n',
    '1\r\n\r\n\r\n\r\n',
    '0\r\n folded\r\n\r\n',
    '0\r\nA: b\rC: d\r\n\r\n',
    `${'0'.repeat(13)}\r\n`,
  ])
    it(`refuses ${JSON.stringify(body)} however it is cut`, () => {
      fc.assert(
        fc.property(fc.array(fc.nat(30)), (cuts) => {
          assert.throws(() => consume(Buffer.from(body), cuts), HttpError)
        }),
      )
    })
})

describe('matching', () => {
  const lookup = (name: string) => ({ 'kt-version': 'abc', 'x-list': 'a, b' })[name]
  it('ignores the case of names, not of values', () => {
    const match = (header: string, value: string, prefix = false) => matches({ header, value, prefix }, lookup)
    assert.ok(match('KT-Version', 'abc'))
    assert.ok(!match('kt-version', 'ABC'))
    assert.ok(!match('kt-version', 'ab'))
    assert.ok(match('kt-version', 'ab', true))
    assert.ok(!match('other', '', true))
    assert.ok(match('x-list', 'a, b'))
  })
  it('finds a cookie at any position, and nothing that only looks like it', () => {
    const match = (cookies: string, value = 'kt=ann', prefix = false) =>
      matches({ header: 'Cookie', value, prefix }, (name) => (name === 'cookie' ? cookies : undefined))
    for (const cookies of ['kt=ann', 'kt=ann; theme=dark', 'id=1; kt=ann; theme=dark', 'id=1;kt=ann', 'id=1, kt=ann'])
      assert.ok(match(cookies), cookies)
    for (const cookies of ['kt=anne', 'mykt=ann', 'id=1; kt=bob', 'id=kt=ann']) assert.ok(!match(cookies), cookies)
    assert.ok(match('id=1; kt=ann-7', 'kt=ann', true))
    assert.ok(match('id=1; kt=ann', 'id=1; kt=ann'), 'the whole header, as it was')
  })
})
