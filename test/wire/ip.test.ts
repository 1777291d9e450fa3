import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { get32, put16, put32 } from '../../src/wire/bytes.ts'
import { addBytes, finish, fold, pseudoSum } from '../../src/wire/checksum.ts'
import { IpView, PROTOCOL_TCP, PROTOCOL_UDP } from '../../src/wire/ip.ts'
import { IPV4_HEADER, writeIpv4 } from '../../src/wire/ipv4.ts'
import {
  FRAGMENT_HEADER,
  IPV6_HEADER,
  NEXT_DESTINATION_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
  writeFragmentHeader,
  writeIpv6,
} from '../../src/wire/ipv6.ts'

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

/** An IPv6 packet whose payload is `chain`: extension headers and all. */
function ipv6(first: number, chain: number[]): Uint8Array {
  const bytes = new Uint8Array(IPV6_HEADER + chain.length)
  writeIpv6(bytes, 0, chain.length, first, 1, 2, 3, 4, 5, 6, 7, 8)
  bytes.set(chain, IPV6_HEADER)
  return bytes
}

describe('Internet checksum', () => {
  test('is that of the example in RFC 1071 3', () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)
    assert.equal(addBytes(0, bytes, 0, 8), 0xddf2)
  })

  test('of bytes in parts is that of the whole, and a packet with it sums to all ones', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 40000 }), fc.nat(), (bytes, at) => {
        const cut = (at % bytes.length) & ~1
        const parts = addBytes(addBytes(0, bytes, 0, cut), bytes, cut, bytes.length)
        assert.equal(parts, addBytes(0, bytes, 0, bytes.length))
        put16(bytes, 0, 0)
        put16(bytes, 0, finish(addBytes(0, bytes, 0, bytes.length)))
        assert.equal(fold(addBytes(0, bytes, 0, bytes.length)), 0xffff)
      }),
      { numRuns: 50 },
    )
  })

  test('pseudo header sum counts addresses, protocol and length', () => {
    const bytes = new Uint8Array(IPV4_HEADER)
    writeIpv4(bytes, 0, 20, PROTOCOL_UDP, 0x0a000001, 0x0a000002, 0, 0)
    assert.equal(fold(pseudoSum(bytes, 12, 16, 4, PROTOCOL_UDP, 8)), 0x0a00 + 1 + 0x0a00 + 2 + 17 + 8)
  })
})

describe('IPv4', () => {
  test('what is written is read', () => {
    fc.assert(
      fc.property(
        word,
        word,
        fc.integer({ min: 0, max: 255 }),
        fc.uint8Array({ maxLength: 200 }),
        (s, d, protocol, payload) => {
          const bytes = new Uint8Array(7 + IPV4_HEADER + payload.length + 3)
          writeIpv4(bytes, 7, IPV4_HEADER + payload.length, protocol, s, d, 99, 0x4000)
          bytes.set(payload, 7 + IPV4_HEADER)
          const view = new IpView()
          assert.ok(view.parse(bytes, 7, bytes.length))
          assert.equal(view.version, 4)
          assert.equal(view.protocol, protocol)
          assert.equal(get32(bytes, view.source), s)
          assert.equal(get32(bytes, view.destination), d)
          assert.deepEqual(bytes.slice(view.payload, view.end), payload)
          assert.equal(view.fragmented, false)
        },
      ),
    )
  })

  test('options are skipped', () => {
    const bytes = new Uint8Array(28)
    writeIpv4(bytes, 0, 28, PROTOCOL_TCP, 1, 2, 0, 0)
    bytes[0] = 0x46
    bytes[20] = 1
    put16(bytes, 10, 0)
    put16(bytes, 10, finish(addBytes(0, bytes, 0, 24)))
    const view = new IpView()
    assert.ok(view.parse(bytes, 0, 28))
    assert.equal(view.payload, 24)
  })

  const broken: [string, (bytes: Uint8Array) => void][] = [
    ['a total length beyond the bytes', (b) => put16(b, 2, 41)],
    ['a total length inside the header', (b) => put16(b, 2, 19)],
    ['a header length below five words', (b) => (b[0] = 0x44)],
    ['a header length beyond the packet', (b) => (b[0] = 0x4f)],
    ['a wrong checksum', (b) => (b[10] ^= 1)],
    ['another version', (b) => (b[0] = 0x55)],
  ]
  for (const [name, spoil] of broken) {
    test(`refuses ${name}`, () => {
      const bytes = new Uint8Array(40)
      writeIpv4(bytes, 0, 40, PROTOCOL_TCP, 1, 2, 0, 0)
      spoil(bytes)
      if (name !== 'a wrong checksum') {
        put16(bytes, 10, 0)
        put16(bytes, 10, finish(addBytes(0, bytes, 0, 20)))
      }
      assert.equal(new IpView().parse(bytes, 0, 40), false)
    })
  }

  test('reads a fragment', () => {
    const bytes = new Uint8Array(36)
    writeIpv4(bytes, 0, 36, PROTOCOL_UDP, 1, 2, 0x1234, 0x2000 | 3)
    const view = new IpView()
    assert.ok(view.parse(bytes, 0, 36))
    assert.equal(view.fragmented, true)
    assert.equal(view.fragmentOffset, 24)
    assert.equal(view.moreFragments, true)
  })
})

describe('IPv6', () => {
  test('walks hop-by-hop, destination options and routing to the payload', () => {
    const bytes = ipv6(NEXT_HOP_BY_HOP, [
      ...[NEXT_DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0],
      ...[NEXT_ROUTING, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[PROTOCOL_UDP, 0, 4, 0, 0, 0, 0, 0],
      ...[9, 9, 9],
    ])
    const view = new IpView()
    assert.ok(view.parse(bytes, 0, bytes.length))
    assert.equal(view.protocol, PROTOCOL_UDP)
    assert.equal(view.payload, IPV6_HEADER + 32)
    assert.equal(view.end - view.payload, 3)
  })

  test('a routing header with segments left is refused (RFC 8200 4.4)', () => {
    assert.equal(new IpView().parse(ipv6(NEXT_ROUTING, [PROTOCOL_UDP, 0, 4, 1, 0, 0, 0, 0]), 0, 48), false)
  })

  test('a chain that does not end is refused', () => {
    const chain = Array.from({ length: 40 }, () => [NEXT_DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0]).flat()
    const bytes = ipv6(NEXT_DESTINATION_OPTIONS, chain)
    assert.equal(new IpView().parse(bytes, 0, bytes.length), false)
  })

  test('an extension header longer than the packet is refused', () => {
    assert.equal(new IpView().parse(ipv6(NEXT_DESTINATION_OPTIONS, [PROTOCOL_UDP, 9, 1, 4, 0, 0, 0, 0]), 0, 48), false)
  })

  test('reads a fragment, and takes an atomic one (RFC 6946) as a whole packet', () => {
    const bytes = ipv6(NEXT_FRAGMENT, new Array(FRAGMENT_HEADER + 8).fill(7))
    writeFragmentHeader(bytes, IPV6_HEADER, PROTOCOL_UDP, 1480, true, 77)
    const view = new IpView()
    assert.ok(view.parse(bytes, 0, bytes.length))
    assert.deepEqual([view.fragmented, view.fragmentOffset, view.moreFragments], [true, 1480, true])
    assert.equal(get32(bytes, view.fragmentId), 77)
    writeFragmentHeader(bytes, IPV6_HEADER, PROTOCOL_UDP, 0, false, 77)
    assert.ok(view.parse(bytes, 0, bytes.length))
    assert.deepEqual([view.fragmented, view.protocol], [false, PROTOCOL_UDP])
  })
})

test('arbitrary bytes never make the view point outside of them', () => {
  const view = new IpView()
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 160 }),
      fc.constantFrom(0x45, 0x46, 0x60),
      fc.constantFrom(0, 43, 44, 60, 6, 17),
      fc.nat(160),
      (bytes, version, next, length) => {
        if (bytes.length > 8) {
          bytes[0] = version
          bytes[6] = version === 0x60 ? next : bytes[6]
          put16(bytes, version === 0x60 ? 4 : 2, length)
          if (version !== 0x60 && bytes.length >= 20) {
            put16(bytes, 10, 0)
            put16(bytes, 10, finish(addBytes(0, bytes, 0, Math.min((version & 15) * 4, bytes.length))))
          }
        }
        // Bytes before and behind belong to somebody else.
        const around = new Uint8Array(bytes.length + 64).fill(0xee)
        around.set(bytes, 32)
        if (!view.parse(around, 32, 32 + bytes.length)) return
        assert.ok(view.payload >= 32 + 20 && view.payload <= view.end && view.end <= 32 + bytes.length)
        assert.ok(view.source >= 32 && view.destination + view.addressLength <= view.payload)
        assert.ok(view.protocolField >= 32 && view.protocolField < view.payload)
        if (view.fragmented) assert.ok(view.fragmentId >= 32 && view.fragmentId + 2 <= view.payload)
      },
    ),
    { numRuns: 3000 },
  )
})

test('32-bit words survive', () => {
  fc.assert(
    fc.property(word, (value) => {
      const bytes = new Uint8Array(6)
      put32(bytes, 1, value)
      assert.equal(get32(bytes, 1), value)
    }),
  )
})
