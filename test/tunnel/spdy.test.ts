import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { SPDY_HEADER, SpdyDecoder, StreamOpener, sealData } from '../../src/tunnel/transport/spdy/frame.ts'

/** What a decoder makes of bytes that come in pieces cut at `cuts`. */
function decode(bytes: Buffer, cuts: number[]) {
  const data = new Map<number, Buffer[]>()
  const events: string[] = []
  const decoder = new SpdyDecoder({
    onData: (stream, piece) => void data.set(stream, [...(data.get(stream) ?? []), Buffer.from(piece)]),
    onFin: (stream) => void events.push(`fin ${stream}`),
    onPing: (frame) => void events.push(`ping ${frame.toString('hex')}`),
    onReset: (stream) => void events.push(`reset ${stream}`),
    onGoAway: () => void events.push('goaway'),
  })
  let at = 0
  for (const cut of [...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    decoder.push(bytes.subarray(at, Math.max(at, cut)))
    at = Math.max(at, cut)
  }
  return {
    data: Object.fromEntries([...data].map(([stream, list]) => [stream, Buffer.concat(list).toString('hex')])),
    events,
  }
}

function dataFrame(stream: number, payload: Uint8Array): Buffer {
  const frame = Buffer.concat([Buffer.alloc(SPDY_HEADER), payload])
  assert.equal(sealData(stream, frame, SPDY_HEADER, frame.length), 0)
  return frame
}

test('data frames arrive whole and in order, however they are cut', () => {
  const frames = fc.array(fc.tuple(fc.constantFrom(1, 3), fc.uint8Array({ maxLength: 300 })), { maxLength: 8 })
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (list, cuts) => {
      const { data } = decode(Buffer.concat(list.map(([stream, payload]) => dataFrame(stream, payload))), cuts)
      for (const stream of [1, 3]) {
        const sent = Buffer.concat(list.filter(([s]) => s === stream).map(([, payload]) => payload))
        assert.equal(data[stream] ?? '', sent.toString('hex'))
      }
    }),
  )
})

test('control frames: ping comes back as it was, resets and ends are told, the rest is passed over', () => {
  const ping = Buffer.from('800300060000000400000002', 'hex')
  const settings = Buffer.from('800300040000000400000000', 'hex')
  const reset = Buffer.from('80030003000000080000000300000005', 'hex')
  const goaway = Buffer.from('80030007000000080000000000000000', 'hex')
  const fin = Buffer.from('0000000301000000', 'hex')
  const all = Buffer.concat([settings, ping, dataFrame(3, Buffer.from('x')), fin, reset, goaway])
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 30 }), (cuts) => {
      const { data, events } = decode(all, cuts)
      assert.deepEqual(data, { 3: '78' })
      assert.deepEqual(events, [`ping ${ping.toString('hex')}`, 'fin 3', 'reset 3', 'goaway'])
    }),
  )
})

test('arbitrary bytes are refused or passed over, never read beyond their end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
      try {
        decode(Buffer.from(bytes), cuts)
      } catch (error) {
        assert.ok(error instanceof RangeError)
      }
    }),
  )
})

test('header blocks are one deflate stream: what is behind the dictionary id inflates to the headers', () => {
  const opener = new StreamOpener()
  const one = opener.open(1, [['streamtype', 'error']], true)
  const two = opener.open(3, [['streamtype', 'data']], false)
  assert.deepEqual([...one.subarray(0, 5)], [0x80, 3, 0, 1, 1])
  assert.equal(two[4], 0)
  assert.equal(two.readUInt32BE(8), 3)
  const blocks = Buffer.concat([one.subarray(18 + 6), two.subarray(18), Buffer.from([3, 0])]) // an empty last block
  const text = inflateRawSync(blocks).toString('latin1')
  assert.match(text, /streamtype.{4}error.*streamtype.{4}data/s)
})
