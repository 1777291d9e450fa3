// HTTP/2 as it passes by: frames and compressed headers, held against what Node's own HTTP/2 says and hears.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:http2'
import { type AddressInfo, createServer as createTcp, connect as dial } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { HTTP2_PREFACE } from '../../src/wire/http/detect.ts'
import { FrameReader } from '../../src/wire/http/frames.ts'
import { type HeaderField, HpackReader } from '../../src/wire/http/hpack.ts'
import { huffmanText } from '../../src/wire/http/huffman.ts'

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

describe('compressed headers', () => {
  test('the examples of RFC 7541 C.4: requests with Huffman codes and a table that grows', () => {
    const reader = new HpackReader()
    assert.deepEqual(reader.read(bytes('8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff')), [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ])
    assert.deepEqual(reader.read(bytes('8286 84be 5886 a8eb 1064 9cbf')).at(-1), ['cache-control', 'no-cache'])
    assert.deepEqual(reader.read(bytes('8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf')), [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ])
  })

  test('the example of RFC 7541 C.6: a table of 256 bytes forgets the oldest entries', () => {
    const reader = new HpackReader()
    reader.read(bytes('3fe1 01')) // 256
    const first = reader.read(
      bytes(
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      ),
    )
    assert.deepEqual(first[0], [':status', '302'])
    assert.deepEqual(first[3], ['location', 'https://www.example.com'])
    assert.deepEqual(reader.read(bytes('4883 640e ffc1 c0bf'))[0], [':status', '307'])
    // Of the first block's entries `:status: 302` has gone, and nothing stands at its index any more.
    assert.throws(() => reader.read(bytes('c2')), RangeError)
  })

  for (const [what, hex] of [
    ['an index of nothing', 'ff80 8080 8001'],
    ['an index of 0', '80'],
    ['a text that is longer than its block', '0005 61'],
    ['a number without an end', 'ffff ffff ffff ffff'],
    ['a table of 16 MB', '3fe1 ffff 07'],
    ['a block that ends after a name', '0001 61'],
  ])
    test(`${what} is refused`, () => assert.throws(() => new HpackReader().read(bytes(hex)), RangeError))

  test('padding of a Huffman code that is not all ones, or a whole byte, is refused', () => {
    assert.equal(huffmanText(bytes('1f'), 9), 'a') // 00011, then 111
    assert.throws(() => huffmanText(bytes('1e'), 9), RangeError)
    assert.throws(() => huffmanText(bytes('1fff'), 9), RangeError)
    assert.throws(() => huffmanText(bytes('1f1f'), 1), RangeError)
  })

  test('a short block that stands for very long headers is refused', () => {
    const reader = new HpackReader()
    reader.read(Buffer.concat([bytes('4001 617f c11e'), Buffer.alloc(4032, 'x')]))
    assert.throws(() => reader.read(Buffer.alloc(100, 0xbe)), /too long/)
  })
})

describe('a connection of Node’s', () => {
  const server = createServer()
  const proxy = createTcp()
  const up = new FrameReader({
    onHeaders: (stream, block, end) => seen.push(['request', stream, up2.read(block), end]),
    onData: (stream, content, end) => count('request', stream, content.length, end),
    onReset: () => {},
  })
  const up2 = new HpackReader()
  const down2 = new HpackReader()
  const down = new FrameReader({
    onHeaders: (stream, block, end) => seen.push(['answer', stream, down2.read(block), end]),
    onData: (stream, content, end) => count('answer', stream, content.length, end),
    onReset: () => {},
  })
  const seen: ['request' | 'answer', number, HeaderField[], boolean][] = []
  const bodies: Record<string, [bytes: number, ended: boolean]> = {}
  const count = (side: string, stream: number, bytes: number, end: boolean) => {
    const [before] = bodies[`${side} ${stream}`] ?? [0]
    bodies[`${side} ${stream}`] = [before + bytes, end]
  }
  let left = HTTP2_PREFACE.length

  before(async () => {
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-echo': headers['x-value'] }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '5' }))
      stream.pipe(stream)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    proxy.on('connection', (socket) => {
      const there = dial((server.address() as AddressInfo).port, '127.0.0.1')
      socket.on('data', (chunk: Buffer) => {
        const skipped = Math.min(left, chunk.length)
        left -= skipped
        // A byte at a time now and then.
        if (seen.length % 2) for (const byte of chunk.subarray(skipped)) up.push(Uint8Array.of(byte))
        else up.push(chunk.subarray(skipped))
        there.write(chunk)
      })
      there.on('data', (chunk: Buffer) => {
        down.push(chunk)
        socket.write(chunk)
      })
      socket.on('close', () => there.destroy())
      there.on('error', () => {})
      socket.on('error', () => {})
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
  })
  after(() => {
    proxy.close()
    server.close()
  })

  test('headers with every printable character, bodies and trailers are read as they were meant', async () => {
    const session = connect(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`)
    const all = Array.from({ length: 256 - 33 }, (_, i) => String.fromCharCode(33 + i))
      .filter((character) => character !== '\x7f')
      .join('')
    // Few at a time: nghttp2 uses the Huffman code only where that is shorter.
    const values = [...all.match(/.{1,3}/gsu)!, ...Array.from(all, (one) => `aaaaaaaaaaaaaaaaaaaaaaaa${one}`)]
    for (const value of values) {
      const stream = session.request({ ':method': 'POST', ':path': '/pkg.Service/Call', 'x-value': value })
      stream.end(value.repeat(1000), 'latin1')
      stream.resume()
      await once(stream, 'close')
    }
    session.close()
    await once(session, 'close')
    const requests = seen.filter(([side, , , end]) => side === 'request' && !end)
    const answers = seen.filter(([side, , , end]) => side === 'answer' && !end)
    const headerOf = (headers: HeaderField[], name: string) => headers.find(([one]) => one === name)?.[1]
    assert.deepEqual(
      requests.map(([, , headers]) => headerOf(headers, 'x-value')),
      values,
    )
    assert.deepEqual(
      answers.map(([, , headers]) => headerOf(headers, 'x-echo')),
      values,
    )
    assert.equal(headerOf(requests[0][2], ':path'), '/pkg.Service/Call')
    for (const [i, [, stream]] of requests.entries()) {
      assert.deepEqual(bodies[`request ${stream}`], [values[i].length * 1000, true])
      assert.deepEqual(bodies[`answer ${stream}`]?.[0], values[i].length * 1000)
    }
    const trailers = seen.filter(([side, , , end]) => side === 'answer' && end)
    assert.equal(trailers.length, values.length)
    assert.deepEqual(trailers[0][2], [['grpc-status', '5']])
  })
})
