// AES-GCM packets as RFC 5647 makes them, deciphered by node:crypto and by the compiled cipher: cut anywhere, all lengths, none
// forged.
import assert from 'node:assert/strict'
import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadAddon } from '../../src/base/installation.ts'
import { GcmUnpacker } from '../../src/tunnel/ssh/gcm-decipher.ts'
import { loadGcm } from '../../src/tunnel/ssh/native-gcm.ts'
import { countUp, MAX_OWN_DATA, type PacketSource } from '../../src/tunnel/ssh/packet-shape.ts'
import { SLAB_BYTES, type Slab } from '../../src/tunnel/ssh/slab.ts'
import { improveDecipher } from '../../src/tunnel/ssh/unpack.ts'

const KEY = randomBytes(16)
const IV = Buffer.from('00112233ffffffffffffffff', 'hex') // the count goes over
const CHANNEL = 2 ** 20

function sealer() {
  const iv = Buffer.from(IV)
  return (payload: Buffer): Buffer => {
    const padding = 16 - ((payload.length + 1 + 4) % 16) + 4
    const head = Buffer.alloc(4)
    head.writeUInt32BE(1 + payload.length + padding)
    const aes = createCipheriv('aes-128-gcm', KEY, iv).setAAD(head)
    const body = aes.update(Buffer.concat([Buffer.of(padding), payload, Buffer.alloc(padding, 7)]))
    aes.final()
    countUp(iv)
    return Buffer.concat([head, body, aes.getAuthTag()])
  }
}

type Push = (data: Buffer, p: number, end: number) => unknown
const KINDS = ['node:crypto', 'the compiled cipher'] as const

function unpacker(kind: (typeof KINDS)[number], takes: (channel: number) => boolean = () => true) {
  const got: string[] = []
  const tell = (channel: number, data: Buffer) => {
    assert.equal(channel, CHANNEL)
    if (got.at(-1)?.startsWith('data ')) got[got.length - 1] += data.toString('hex')
    else if (data.length > 0) got.push(`data ${data.toString('hex')}`)
  }
  const state = {
    inSeqno: 0,
    _lenBytes: 0,
    _pktLen: 0,
    _decipherSSLName: 'aes-128-gcm',
    _decipherKey: KEY,
    _decipherIV: Buffer.from(IV),
    decrypt: () => assert.fail("ssh2's own"),
    // node:crypto brings data here where the first piece ends within the header, the compiled cipher all data.
    _onPayload: (payload: Buffer) => {
      if (payload[0] === 94 && payload.readUInt32BE(1) === CHANNEL && payload.readUInt32BE(5) === payload.length - 9)
        tell(CHANNEL, payload.subarray(9))
      else got.push(`message ${payload.toString('hex')}`)
      return undefined
    },
  }
  const source: PacketSource = { slab: undefined, takes, tell }
  if (kind === 'node:crypto') {
    const gcm = new GcmUnpacker(state, createSecretKey(KEY), source)
    return { got, state, source, push: (data: Buffer, p: number, end: number) => gcm.push(data, p, end) }
  }
  assert.equal(
    loadGcm(() => loadAddon('kt_gcm.node')),
    undefined,
  )
  assert.ok(improveDecipher(state, source))
  return { got, state, source, push: state.decrypt as Push }
}

function channelData(data: Buffer, channel = CHANNEL): Buffer {
  const head = Buffer.alloc(9)
  head[0] = 94
  head.writeUInt32BE(channel, 1)
  head.writeUInt32BE(data.length, 5)
  return Buffer.concat([head, data])
}

/** Data one after the other is told as one, as in `unpacker`. */
function expected(messages: { data: boolean; bytes: Buffer }[]): string[] {
  const list: string[] = []
  for (const { data, bytes } of messages) {
    if (!data) list.push(`message 62${bytes.toString('hex')}`)
    else if (list.at(-1)?.startsWith('data ')) list[list.length - 1] += bytes.toString('hex')
    else if (bytes.length > 0) list.push(`data ${bytes.toString('hex')}`)
  }
  return list
}

const message = fc.record({
  data: fc.boolean(),
  bytes: fc.oneof(fc.nat(40), fc.constantFrom(MAX_OWN_DATA, MAX_OWN_DATA - 1, 32_768)).map((size) => randomBytes(size)),
})

for (const kind of KINDS) {
  test(`${kind}: packets of all lengths come out whole and in order, however they are cut`, () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 70_000 })),
        (messages, cuts) => {
          const seal = sealer()
          const line = Buffer.concat(
            messages.map(({ data, bytes }) => seal(data ? channelData(bytes) : Buffer.concat([Buffer.of(98), bytes]))),
          )
          const { got, state, push } = unpacker(kind)
          for (let at = 0, i = 0; at < line.length; i++) {
            const end = Math.min(line.length, at + (cuts[i % Math.max(1, cuts.length)] ?? line.length))
            assert.equal(push(line, at, end), undefined)
            line.fill(7, at, end) // a read buffer is used again
            at = end
          }
          assert.deepEqual(got, expected(messages))
          assert.equal(state.inSeqno, messages.length)
        },
      ),
      { numRuns: 100 },
    )
  })

  test(`${kind}: data of a channel that is not ours goes to ssh2 as a message, and so does data whose length is a lie`, () => {
    const seal = sealer()
    const { got, push } = unpacker(kind, (channel) => channel !== 7)
    const other = channelData(Buffer.from('hello'), 7)
    const lie = channelData(Buffer.from('hello'))
    lie.writeUInt32BE(5_000_000, 5)
    for (const payload of [other, lie]) {
      const packet = seal(payload)
      push(packet, 0, packet.length)
    }
    assert.deepEqual(got, [`message ${other.toString('hex')}`, `message ${lie.toString('hex')}`])
  })

  test(`${kind}: a bit that was changed is an error, and nothing of its packet is told`, () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(7), (at, bit) => {
        const packet = sealer()(channelData(Buffer.alloc(160, 1)))
        packet[at % packet.length] ^= 1 << bit
        const { got, push } = unpacker(kind)
        // A length that is larger now waits for what never comes.
        try {
          push(packet, 0, packet.length)
          assert.ok(at % packet.length < 4)
        } catch (error) {
          assert.match((error as Error).message, /authentic|packet length/)
        }
        assert.deepEqual(got, [])
      }),
    )
  })

  test(`${kind}: a packet that is longer than any may be is refused before it is kept`, () => {
    const { push } = unpacker(kind)
    const head = Buffer.alloc(4)
    head.writeUInt32BE(1 << 20)
    assert.throws(() => push(head, 0, 4), /Bad packet length: 1048576/)
  })
}

test('a slab that is filled to its last byte is followed by another, and slabs are used again', () => {
  const seal = sealer()
  const { state, source, push } = unpacker('the compiled cipher')
  const slabs = new Set<Slab>()
  let packets = 0
  state._onPayload = () => {
    slabs.add(source.slab!)
    packets++
    return undefined
  }
  const sizes = [...Array<number>(7).fill(2079), 2077].map((blocks) => 16 * blocks - 21)
  const line = Buffer.concat(sizes.map((size) => seal(Buffer.alloc(size, 98))))
  assert.equal(line.length, SLAB_BYTES)
  push(line, 0, line.length)
  for (let i = 1; i <= 20; i++) {
    const more = Buffer.concat(sizes.map((size) => seal(Buffer.alloc(size, 98))))
    push(more, 0, more.length)
  }
  assert.equal(packets, 21 * sizes.length)
  assert.ok(slabs.size <= 2, `${slabs.size} slabs`)
})
