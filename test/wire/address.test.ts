import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatEndpoint, IpAddress } from '../../src/wire/address.ts'

test('text of any address reads back as the same address', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
      (bytes) => {
        const address = new IpAddress(bytes)
        assert.equal(isIP(address.toString()), address.family)
        assert.ok(IpAddress.parse(address.toString()).equals(address))
      },
    ),
  )
})

test('RFC 5952: the longest run of zeros is left out, the first of equals, never a single group', () => {
  for (const [text, short] of [
    ['2001:0db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['FD00::', 'fd00::'],
  ]) {
    assert.equal(IpAddress.parse(text).toString(), short)
  }
})

test('what is not an address is refused, as the platform does', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9a-f:.]{1,20}$/), (text) => {
      assert.equal(IpAddress.tryParse(text) !== undefined, isIP(text) !== 0, text)
    }),
    { numRuns: 2000 },
  )
  assert.throws(() => IpAddress.parse('10.0.0.256'), RangeError)
  assert.throws(() => new IpAddress(new Uint8Array(5)), RangeError)
})

test('an endpoint of IPv6 has brackets', () => {
  assert.equal(formatEndpoint({ address: IpAddress.parse('fd00::1'), port: 80 }), '[fd00::1]:80')
  assert.equal(formatEndpoint({ address: IpAddress.parse('10.0.0.1'), port: 80 }), '10.0.0.1:80')
})
