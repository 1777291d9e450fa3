import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IpAddress } from '../../src/wire/address.ts'
import {
  applyIncludeExclude,
  around,
  contains,
  isCidr,
  merge,
  overlaps,
  prefixLength,
  subtract,
} from '../../src/wire/cidr.ts'
import { network } from '../../src/wire/prefix.ts'

// A few small neighbourhoods, so that ranges meet, nest and touch often.
const v4 = fc
  .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 26, max: 32 }))
  .map(([host, length]) => network(`10.0.0.${host}/${length}`))
const v6 = fc
  .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 122, max: 128 }))
  .map(([host, length]) => network(`fd00::${host.toString(16)}/${length}`))
const cidr = fc.oneof(v4, v6)
const cidrs = fc.array(cidr, { maxLength: 8 })
const addresses = [...Array(64).keys()].flatMap((i) => [`10.0.0.${i}`, `fd00::${i.toString(16)}`])

// Membership written independently of the code under test: compare the first bits.
function member(address: string, range: string): boolean {
  const [head, length] = range.split('/')
  const a = IpAddress.parse(address)
  const b = IpAddress.parse(head)
  if (a.family !== b.family) return false
  const bits = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
  return bits(a.bytes).slice(0, Number(length)) === bits(b.bytes).slice(0, Number(length))
}
const inAny = (address: string, ranges: readonly string[]) => ranges.some((range) => member(address, range))

test('merge keeps the addresses and leaves no two ranges that are one', () => {
  fc.assert(
    fc.property(cidrs, (input) => {
      const output = merge(input)
      for (const address of addresses) assert.equal(inAny(address, output), inAny(address, input), address)
      for (const a of output) for (const b of output) if (a !== b) assert.ok(!overlaps(a, b), `${a} ${b}`)
      assert.deepEqual(merge(output), output)
      for (const range of output) {
        const parent = around(range.split('/')[0], prefixLength(range) - 1)
        const halves = output.filter((other) => contains(parent, other) && prefixLength(other) === prefixLength(range))
        assert.ok(halves.length < 2, `${halves} could be ${parent}`)
      }
    }),
  )
})

test('subtract takes exactly the holes away', () => {
  fc.assert(
    fc.property(cidrs, cidrs, (input, holes) => {
      const output = subtract(input, holes)
      for (const address of addresses)
        assert.equal(inAny(address, output), inAny(address, input) && !inAny(address, holes), address)
    }),
  )
})

test('of include and exclude the longest prefix wins, exclude where equal, the ranges where neither matches', () => {
  fc.assert(
    fc.property(cidrs, cidrs, cidrs, (ranges, include, exclude) => {
      const output = applyIncludeExclude(ranges, include, exclude)
      for (const address of addresses) {
        const longest = (list: string[]) =>
          Math.max(-1, ...list.filter((range) => member(address, range)).map(prefixLength))
        const [yes, no] = [longest(include), longest(exclude)]
        const expected = yes < 0 && no < 0 ? inAny(address, ranges) : yes > no
        assert.equal(inAny(address, output), expected, address)
      }
    }),
  )
})

test('contains and overlaps agree with membership', () => {
  fc.assert(
    fc.property(cidr, cidr, (a, b) => {
      const inA = addresses.filter((address) => member(address, a))
      const inB = addresses.filter((address) => member(address, b))
      assert.equal(
        contains(a, b),
        inB.every((address) => inA.includes(address)),
      )
      assert.equal(
        overlaps(a, b),
        inB.some((address) => inA.includes(address)),
      )
    }),
  )
})

test('the API server is cut out of a pod range', () => {
  assert.deepEqual(subtract(['10.0.0.0/29'], ['10.0.0.5']), ['10.0.0.0/30', '10.0.0.4/32', '10.0.0.6/31'])
  assert.deepEqual(subtract(['0.0.0.0/0', '::/0'], ['128.0.0.0/1', '::/1']), ['0.0.0.0/1', '8000::/1'])
  assert.equal(subtract(['fd00::/64'], ['fd00::1']).length, 64)
})

test('text: host bits are cleared, IPv6 is RFC 5952, an address gets its full length', () => {
  assert.equal(network('10.1.2.3/8'), '10.0.0.0/8')
  assert.equal(network('FD00:0010:0244:0:0::1/56'), 'fd00:10:244::/56')
  assert.equal(network('::ffff:10.0.0.1'), '::ffff:a00:1/128')
  assert.equal(network('0.0.0.0/0'), '0.0.0.0/0')
  assert.ok(!contains('10.0.0.0/8', '::a00:1'))
  for (const bad of ['', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/-1', 'x'])
    assert.ok(!isCidr(bad), bad)
})
