import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { httpStatus, socksReply } from '../../src/proxy/failure.ts'
import {
  datagramHead,
  greetingReply,
  isSocks,
  REPLY,
  readDatagram,
  readGreeting,
  readRequest,
  readRequest4,
  requestReply,
} from '../../src/proxy/socks.ts'
import { IpAddress } from '../../src/wire/address.ts'

const bytes = (...parts: (number | string)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.of(part))))
const name5 = (name: string, command = 1) => bytes(5, command, 0, 3, name.length, name, 0x1f, 0x90)

describe('SOCKS5', () => {
  test('a greeting is read when all its methods have come, and answered with the one that is known', () => {
    assert.deepEqual(readGreeting(bytes(5, 2, 2)), { kind: 'more' })
    assert.deepEqual(readGreeting(bytes(5, 2, 2, 0, 99)), { kind: 'read', value: true, used: 4 })
    assert.deepEqual(readGreeting(bytes(5, 1, 2)), { kind: 'read', value: false, used: 3 })
    assert.deepEqual(greetingReply(true), new Uint8Array([5, 0]))
    assert.deepEqual(greetingReply(false), new Uint8Array([5, 255]))
  })

  test('a request names a host, an IPv4 or an IPv6 address', () => {
    assert.deepEqual(readRequest(name5('web.shop')), {
      kind: 'read',
      value: { version: 5, command: 'connect', host: 'web.shop', port: 8080 },
      used: 15,
    })
    const four = readRequest(bytes(5, 3, 0, 1, 10, 96, 0, 1, 0, 53))
    assert.deepEqual(four.kind === 'read' && four.value, { version: 5, command: 'udp', host: '10.96.0.1', port: 53 })
    const six = readRequest(bytes(5, 1, 0, 4, ...IpAddress.parse('fd00::1').bytes, 1, 187))
    assert.deepEqual(six.kind === 'read' && six.value, { version: 5, command: 'connect', host: 'fd00::1', port: 443 })
  })

  test('a request that comes byte by byte is read once, when it is whole', () => {
    const whole = name5('web.shop')
    for (let length = 0; length < whole.length; length++)
      assert.equal(readRequest(whole.subarray(0, length)).kind, 'more', `${length} bytes`)
    const more = readRequest(bytes(...whole, 'GET / HTTP/1.1'))
    assert.equal(more.kind === 'read' && more.used, whole.length, 'what follows is the connection')
  })

  test('what is not understood has the reply that says so', () => {
    assert.deepEqual(readRequest(name5('web', 9)), { kind: 'bad', version: 5, reply: REPLY.commandUnknown })
    assert.deepEqual(readRequest(bytes(5, 1, 0, 2, 0, 0)), { kind: 'bad', version: 5, reply: REPLY.addressUnknown })
    assert.deepEqual(readRequest(bytes(4, 1, 0, 1)), { kind: 'bad', version: 5, reply: REPLY.failure })
    for (const name of ['', 'a b', 'a\0b', 'a\nb', 'käse'])
      assert.equal(readRequest(name5(name)).kind, 'bad', JSON.stringify(name))
  })

  test('a reply has the address that datagrams go to', () => {
    const bound = { address: IpAddress.parse('127.0.0.1'), port: 4660 }
    assert.deepEqual(requestReply(5, REPLY.succeeded, bound), new Uint8Array([5, 0, 0, 1, 127, 0, 0, 1, 0x12, 0x34]))
    assert.deepEqual(requestReply(5, REPLY.refused), new Uint8Array([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]))
    const six = requestReply(5, 0, { address: IpAddress.parse('::1'), port: 1 })
    assert.deepEqual([six[3], six.length], [4, 22])
  })

  test('a datagram has its target in its head, and fragments are dropped', () => {
    const address = IpAddress.parse('10.96.0.10')
    const read = readDatagram(bytes(...datagramHead(address, 53), 'query'))
    assert.deepEqual([read?.host, read?.port, Buffer.from(read!.payload).toString()], ['10.96.0.10', 53, 'query'])
    assert.equal(readDatagram(bytes(0, 0, 0, 3, 3, 'web', 0, 7))?.payload.length, 0)
    assert.equal(readDatagram(bytes(0, 0, 1, 1, 1, 2, 3, 4, 0, 7, 'x')), undefined)
    assert.equal(readDatagram(bytes(0, 0, 0, 3, 200, 'web', 0, 7)), undefined, 'longer than it is')
    assert.equal(readDatagram(bytes(0, 0)), undefined)
  })
})

describe('SOCKS4', () => {
  test('an address, and in 4A a name behind the user', () => {
    assert.deepEqual(readRequest4(bytes(4, 1, 0, 80, 10, 96, 0, 1, 'me', 0)), {
      kind: 'read',
      value: { version: 4, command: 'connect', host: '10.96.0.1', port: 80 },
      used: 11,
    })
    const named = bytes(4, 1, 0, 80, 0, 0, 0, 1, 0, 'web.shop', 0)
    for (let length = 0; length < named.length; length++)
      assert.equal(readRequest4(named.subarray(0, length)).kind, 'more')
    const read = readRequest4(named)
    assert.deepEqual(read.kind === 'read' && [read.value.host, read.used], ['web.shop', named.length])
  })

  test('a user or a name without an end is not read for ever', () => {
    assert.equal(readRequest4(bytes(4, 1, 0, 80, 1, 2, 3, 4, 'u'.repeat(256))).kind, 'bad')
    assert.equal(readRequest4(bytes(4, 1, 0, 80, 0, 0, 0, 1, 0, 'n'.repeat(256))).kind, 'bad')
    assert.equal(readRequest4(bytes(4, 2, 0, 80, 1, 2, 3, 4, 0)).kind, 'bad', 'BIND')
  })

  test('its reply says granted or rejected', () => {
    assert.equal(requestReply(4, REPLY.succeeded)[1], 90)
    assert.equal(requestReply(4, REPLY.refused)[1], 91)
  })
})

test('the first byte tells SOCKS from HTTP', () => {
  assert.deepEqual([4, 5, 71, 67, 0].map(isSocks), [true, true, false, false, false])
})

test('each kind of failure keeps its kind', () => {
  const kinds = [
    'ECONNREFUSED',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ETIMEDOUT',
    'EACCES',
    'ENOTFOUND',
    'KT_OUTSIDE',
    'what',
  ]
  assert.deepEqual(kinds.map(socksReply), [5, 4, 3, 6, 2, 4, 2, 1])
  assert.deepEqual(kinds.map(httpStatus), [502, 502, 502, 504, 502, 502, 403, 502])
})
