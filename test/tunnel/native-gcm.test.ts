// The compiled cipher: the same bytes as node:crypto makes, nothing forged, and a session of the agent that uses it.
import assert from 'node:assert/strict'
import { createCipheriv, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadAddon } from '../../src/base/installation.ts'
import { compiledGcm, type GcmBinding, loadGcm } from '../../src/tunnel/ssh/native-gcm.ts'

const load = () => loadAddon<GcmBinding>('kt_gcm.node')
const from = (path: string) => () => createRequire(import.meta.url)(path) as GcmBinding

/** Decrypts a packet from elsewhere in pieces of these sizes, the rest in one. Undefined where its tag is wrong. */
function openIn(gcm: GcmBinding, cipher: object, iv: Buffer, packet: Buffer, sizes: readonly number[] = []) {
  const [read, memory] = [Buffer.concat([Buffer.alloc(3), packet]), Buffer.alloc(7 + packet.length)]
  const tagAt = packet.length - 16
  packet.copy(memory, 7, 0, 4)
  packet.copy(memory, 7 + tagAt, tagAt)
  for (let at = 4, i = 0; at < tagAt || i === 0; i++) {
    const end = Math.min(tagAt, at + (sizes[i] ?? packet.length))
    assert.ok(gcm.open(cipher, i === 0 ? iv : undefined, memory, 7 + at, read, 3 + at, 3 + end))
    at = end
  }
  assert.ok(read.subarray(3).equals(packet), 'what was read stays as it is')
  return gcm.isAuthentic(cipher, memory, 7 + tagAt) ? memory.subarray(7, 7 + tagAt) : undefined
}

test('what cannot be loaded is told in a line, and nothing is used', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kt-gcm-'))
  const other = join(folder, 'other.node')
  writeFileSync(other, 'no library')
  assert.match(loadGcm(from(other))!, /^[^\n]*(too short|invalid ELF header|Exec format error)/)
  assert.match(loadGcm(from(join(folder, 'none.node')))!, /^Cannot find module[^\n]*$/)
  assert.equal(compiledGcm(), undefined)
  await rm(folder, { recursive: true })
})

test('packets of all lengths are those that node:crypto makes, however they are cut, and a changed bit is seen', () => {
  assert.equal(loadGcm(load), undefined)
  const gcm = compiledGcm()!
  const key = fc.constantFrom(16, 32).map((size) => randomBytes(size))
  const length = fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 60_000, max: 65_000 }))
  fc.assert(
    fc.property(key, length, fc.nat(), fc.nat(7), fc.array(fc.nat(200)), (key, length, at, bit, sizes) => {
      const [seal, open] = [gcm.create(key, true), gcm.create(key, false)]
      for (let i = 0; i < 3; i++) {
        const [iv, packet] = [randomBytes(12), randomBytes(4 + length + 16)]
        const clear = Buffer.from(packet)
        const aes = createCipheriv(`aes-${key.length === 16 ? 128 : 256}-gcm`, key, iv).setAAD(clear.subarray(0, 4))
        const body = aes.update(clear.subarray(4, 4 + length))
        aes.final()
        assert.ok(gcm.encrypt(seal, iv, packet))
        assert.deepEqual(packet, Buffer.concat([clear.subarray(0, 4), body, aes.getAuthTag()]))
        const forged = Buffer.from(packet)
        forged[at % forged.length] ^= 1 << bit
        assert.equal(openIn(gcm, open, iv, forged, sizes), undefined)
        assert.deepEqual(openIn(gcm, open, iv, packet, sizes), clear.subarray(0, -16))
      }
    }),
    { numRuns: 100 },
  )
})

test('a packet whose data lies elsewhere is the one that is encrypted in place, and the data stays as it is', () => {
  assert.equal(loadGcm(load), undefined)
  const gcm = compiledGcm()!
  const size = fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 60_000, max: 65_000 }))
  fc.assert(
    fc.property(size, fc.integer({ min: 0, max: 40 }), fc.nat(40), fc.nat(40), (size, before, after, skipped) => {
      const aes = gcm.create(Buffer.alloc(16, 'key'), true)
      const [iv, place] = [randomBytes(12), randomBytes(skipped + size + 7)]
      const clear = Buffer.from(place)
      const data = place.subarray(skipped, skipped + size)
      const [head, tail] = [randomBytes(4 + before), randomBytes(after)]
      const inPlace = Buffer.concat([head, data, tail, Buffer.alloc(16)])
      const apart = Buffer.concat([head, randomBytes(size), tail, Buffer.alloc(16)])
      assert.ok(gcm.encrypt(aes, iv, inPlace))
      assert.ok(gcm.seal(aes, iv, apart, head.length, place, skipped, skipped + size))
      assert.ok(apart.equals(inPlace))
      assert.ok(place.equals(clear))
    }),
    { numRuns: 300 },
  )
})

test('what is no cipher, key or packet is a TypeError', () => {
  assert.equal(loadGcm(load), undefined)
  const gcm = compiledGcm()!
  const aes = gcm.create(randomBytes(16), true)
  assert.throws(() => gcm.create(randomBytes(17), true), TypeError)
  assert.throws(() => gcm.create('key' as never, true), TypeError)
  assert.throws(() => gcm.encrypt({}, randomBytes(12), randomBytes(64)), TypeError)
  assert.throws(() => gcm.encrypt(aes, randomBytes(11), randomBytes(64)), TypeError)
  assert.throws(() => gcm.encrypt(aes, randomBytes(12), randomBytes(19)), TypeError)
  const seal = (at: number, start: number, end: number, cipher = aes) =>
    gcm.seal(cipher, randomBytes(12), Buffer.alloc(64), at, Buffer.alloc(40), start, end)
  assert.ok(seal(14, 0, 34))
  assert.throws(() => seal(14, 0, 35), /fit into the packet/)
  assert.throws(() => seal(3, 0, 1), /fit into the packet/)
  assert.throws(() => seal(49, 0, 0), /fit into the packet/)
  assert.throws(() => seal(14, 2, 1), /range of a buffer/)
  assert.throws(() => seal(14, 20, 41), /range of a buffer/)
  assert.throws(() => seal(-1, 0, 1), TypeError)
  const decipher = gcm.create(randomBytes(16), false)
  assert.throws(() => seal(14, 0, 1, decipher), /one that encrypts/)
  assert.throws(() => gcm.encrypt(decipher, randomBytes(12), randomBytes(64)), /one that encrypts/)
  const open = (iv: unknown, at: number, start: number, end: number, cipher = decipher) =>
    gcm.open(cipher, iv as Buffer, Buffer.alloc(64), at, Buffer.alloc(40), start, end)
  assert.ok(open(randomBytes(12), 24, 0, 40))
  assert.ok(open(undefined, 0, 0, 40))
  assert.throws(() => open(randomBytes(12), 3, 0, 1), /fit into the memory/)
  assert.throws(() => open(undefined, 25, 0, 40), /fit into the memory/)
  assert.throws(() => open(undefined, 65, 0, 0), /fit into the memory/)
  assert.throws(() => open(undefined, 0, 2, 1), /range of a buffer/)
  assert.throws(() => open(undefined, 0, 20, 41), /range of a buffer/)
  assert.throws(() => open(null, 4, 0, 1), /iv must be 12 bytes/)
  assert.throws(() => open(randomBytes(12), -1, 0, 1), TypeError)
  assert.throws(() => open(undefined, 4, 0, 1, aes), /one that decrypts/)
  assert.throws(() => open(undefined, 4, 0, 1, {}), /must come from create/)
  assert.throws(() => gcm.isAuthentic(decipher, Buffer.alloc(20), 5), /tag must lie/)
  assert.throws(() => gcm.isAuthentic(aes, Buffer.alloc(20), 0), /one that decrypts/)
  assert.equal(gcm.isAuthentic(gcm.create(randomBytes(16), false), Buffer.alloc(20), 0), false, 'nothing was opened')
})
