import assert from 'node:assert/strict'
import {
  datagramHead,
  type Read,
  readDatagram,
  readGreeting,
  readRequest,
  readRequest4,
} from '../../../src/proxy/socks.ts'
import { IpAddress } from '../../../src/wire/address.ts'
import type { Area } from '../area.ts'
import type { Random } from '../random.ts'

const HOSTS = ['web', 'web.shop', 'a', 'x'.repeat(255), 'a b', 'a\0b', '127.0.0.1', '']

function request(random: Random): Buffer {
  const host = random.pick(HOSTS)
  const target = random.pick([
    [1, random.int(256), 0, 0, 1],
    [3, random.chance(90) ? host.length : random.int(256), ...Buffer.from(host, 'latin1')],
    [4, ...random.bytes(16)],
    [random.int(256)],
  ])
  const version = random.pick([4, 5, 5, 5, random.int(256)])
  if (version === 4)
    return Buffer.from([
      4,
      1,
      0,
      80,
      0,
      0,
      0,
      random.int(2),
      ...Buffer.from('me\0'),
      ...Buffer.from(`${host}\0`, 'latin1'),
    ])
  return Buffer.from([version, random.int(4), 0, ...target, random.int(256), random.int(256)])
}

/** The same however it comes: nothing is decided before it is whole, and then no byte more is needed. */
function asItComes<T>(read: (bytes: Uint8Array) => Read<T>, input: Buffer): void {
  const whole = read(input)
  if (whole.kind === 'read') assert.ok(whole.used <= input.length, 'it takes what is not there')
  let first: Read<T> | undefined
  for (let length = 0; length <= input.length && length < 600; length++) {
    const now = read(input.subarray(0, length))
    if (first && first.kind !== 'more') assert.deepEqual(now, first, `it changes its mind after ${length} bytes`)
    first = now
  }
  if (input.length < 600) assert.deepEqual(first, whole)
}

export default {
  about: 'what SOCKS clients send: read the same however it is cut, within what has come, and never for ever',
  make: (random) => Buffer.concat([request(random), random.bytes(random.int(30))]),
  start: () => ({
    attempt(input) {
      for (const read of [readGreeting, readRequest, readRequest4]) asItComes<unknown>(read, input)
      for (const read of [readRequest, readRequest4]) {
        const one = read(input)
        if (one.kind === 'read') assert.match(one.value.host, /^[\x21-\x7e]{1,255}$/)
        if (input.length > 1024) assert.notEqual(one.kind, 'more', 'it waits for more than a client can have to say')
      }
      const datagram = readDatagram(input)
      if (!datagram) return
      const address = IpAddress.tryParse(datagram.host)
      if (!address || input[3] === 3) return
      const again = Buffer.concat([datagramHead(address, datagram.port), datagram.payload])
      assert.deepEqual(again, Buffer.from(input), 'a datagram is written as it was read')
    },
  }),
} satisfies Area
