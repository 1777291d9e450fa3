import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { get16, get32 } from '../../src/wire/bytes.ts'
import {
  ACK,
  MAX_SACK_BLOCKS,
  sackOptionLength,
  synOptionsLength,
  TCP_ACKNOWLEDGMENT,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_SEQUENCE,
  TCP_WINDOW,
  TcpOptions,
  tcpHeaderLength,
  writeSackOption,
  writeSynOptions,
  writeTcp,
} from '../../src/wire/tcp.ts'
import { UDP_HEADER, udpEnd, writeUdp } from '../../src/wire/udp.ts'

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const u16 = fc.integer({ min: 0, max: 65535 })

describe('TCP header', () => {
  test('what is written is read', () => {
    fc.assert(
      fc.property(
        word,
        word,
        word,
        u16,
        u16,
        fc.integer({ min: 5, max: 15 }),
        (ports, seq, ack, window, sum, words) => {
          const bytes = new Uint8Array(words * 4)
          writeTcp(bytes, 0, ports, seq, ack, words * 4, ACK, window, sum)
          assert.equal(tcpHeaderLength(bytes, 0, bytes.length), words * 4)
          assert.equal(get32(bytes, 0), ports)
          assert.equal(get32(bytes, TCP_SEQUENCE), seq)
          assert.equal(get32(bytes, TCP_ACKNOWLEDGMENT), ack)
          assert.equal(bytes[TCP_FLAGS], ACK)
          assert.equal(get16(bytes, TCP_WINDOW), window)
          assert.equal(get16(bytes, TCP_CHECKSUM), sum)
        },
      ),
    )
  })

  test('a data offset that does not fit is refused', () => {
    const bytes = new Uint8Array(24)
    writeTcp(bytes, 0, 0, 0, 0, 28, ACK, 0, 0)
    assert.equal(tcpHeaderLength(bytes, 0, 24), 0)
    writeTcp(bytes, 0, 0, 0, 0, 16, ACK, 0, 0)
    assert.equal(tcpHeaderLength(bytes, 0, 24), 0)
    writeTcp(bytes, 0, 0, 0, 0, 20, ACK, 0, 0)
    assert.equal(tcpHeaderLength(bytes, 0, 19), 0)
  })
})

describe('TCP options', () => {
  test('those of a SYN are read as written', () => {
    fc.assert(
      fc.property(u16, fc.integer({ min: -1, max: 14 }), fc.boolean(), (mss, scale, sack) => {
        const bytes = new Uint8Array(synOptionsLength(scale, sack))
        writeSynOptions(bytes, 0, mss, scale, sack)
        const options = new TcpOptions()
        options.read(bytes, 0, bytes.length)
        assert.deepEqual([options.mss, options.windowScale, options.sackPermitted], [mss, scale, sack])
      }),
    )
  })

  test('SACK blocks are read as written', () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), fc.integer({ min: 1, max: 4 }), (edges, count) => {
        const bytes = new Uint8Array(sackOptionLength(count))
        writeSackOption(bytes, 0, Int32Array.from(edges), count)
        const options = new TcpOptions()
        options.read(bytes, 0, bytes.length)
        assert.equal(options.sackCount, count)
        assert.deepEqual([...options.sack.subarray(0, 2 * count)], edges.slice(0, 2 * count))
      }),
    )
  })

  test('timestamps, unknown kinds and padding are passed over', () => {
    const options = new TcpOptions()
    const bytes = Uint8Array.of(254, 4, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 1, 2, 4, 5, 180, 0, 3, 3, 9)
    options.read(bytes, 0, bytes.length)
    assert.deepEqual([options.hasTimestamps, options.timestamp, options.timestampEcho], [true, 7, 9])
    assert.equal(options.mss, 1460)
    assert.equal(options.windowScale, -1, 'what follows the end of the list does not count')
  })

  test('a shift count above 14 counts as 14 (RFC 7323 2.3)', () => {
    const options = new TcpOptions()
    options.read(Uint8Array.of(3, 3, 200), 0, 3)
    assert.equal(options.windowScale, 14)
  })

  test('arbitrary bytes never throw and never yield more than there is', () => {
    const options = new TcpOptions()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        options.read(bytes, 0, bytes.length)
        assert.ok(options.sackCount <= MAX_SACK_BLOCKS && options.sackCount * 8 <= bytes.length)
        assert.ok(options.windowScale <= 14)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('UDP header', () => {
  test('its end is where its length says, and never outside', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: 90 }), (size, length) => {
        const bytes = new Uint8Array(8 + size)
        writeUdp(bytes, 0, 0x00350035, length, 0)
        const end = udpEnd(bytes, 0, bytes.length)
        assert.equal(end, length >= UDP_HEADER && length <= bytes.length ? length : 0)
      }),
    )
  })
})
