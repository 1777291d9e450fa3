// D-Bus as bytes, and the client against a bus of the test's own.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { decode, encodeCall } from '../../src/host/linux/resolved/message.ts'
import { readFirst } from '../../src/host/linux/resolved/read.ts'
import { systemResolved } from '../../src/host/linux/resolved/resolve1.ts'
import { splitSignature } from '../../src/host/linux/resolved/signature.ts'

test('a call is what the specification says, byte for byte', () => {
  const bytes = encodeCall(1, {
    destination: 'a.b',
    path: '/p',
    interface: 'i.f',
    member: 'M',
    signature: 'ia(sb)',
    arguments: [7, [['x', true]]],
  })
  const expected = [
    '6c 01 02 01  1c 00 00 00  01 00 00 00  45 00 00 00', // little-endian, call, no auto-start, body 28, serial 1, fields 69
    '01 01 6f 00  02 00 00 00  2f 70 00 00  00 00 00 00', // path
    '02 01 73 00  03 00 00 00  69 2e 66 00  00 00 00 00', // interface
    '03 01 73 00  01 00 00 00  4d 00 00 00  00 00 00 00', // member
    '06 01 73 00  03 00 00 00  61 2e 62 00  00 00 00 00', // destination
    '08 01 67 00  06 69 61 28  73 62 29 00', // signature
  ]
  const header = Buffer.from(expected.join('').replaceAll(' ', ''), 'hex')
  const body = Buffer.from('07000000 0c000000 01000000 78000000 01000000'.replaceAll(' ', ''), 'hex')
  assert.equal(bytes.subarray(0, 4).toString('hex'), '6c010201')
  assert.equal(bytes.readUInt32LE(4), body.length)
  assert.equal(bytes.readUInt32LE(12), header.length - 16)
  assert.equal(bytes.subarray(16, header.length).toString('hex'), header.subarray(16).toString('hex'))
  assert.equal(bytes.length % 4, 0)
  assert.equal(bytes.subarray(-body.length).toString('hex'), body.toString('hex'))
})

test('signatures are split into complete types, others are refused', () => {
  assert.deepEqual(splitSignature('ia(iay)a(sb)as'), ['i', 'a(iay)', 'a(sb)', 'as'])
  assert.throws(() => splitSignature('i?'), RangeError)
  assert.throws(() => splitSignature('a'), RangeError)
})

test('a message that is not all there yet is waited for, an endless one refused', () => {
  const bytes = encodeCall(3, { destination: 'a.b', path: '/', interface: 'i.f', member: 'M' })
  for (let end = 0; end < bytes.length; end++) assert.equal(decode(bytes.subarray(0, end)), undefined)
  assert.equal(decode(Buffer.concat([bytes, bytes]))?.size, bytes.length)
  const endless = Buffer.from(bytes)
  endless.writeUInt32LE(0x7fffffff, 4)
  assert.throws(() => decode(endless), RangeError)
})

/** Replies as a bus would: a return, or an error by name and text. */
function reply(serial: number, error?: [name: string, text: string]): Buffer {
  const text = Buffer.from(error?.[1] ?? '')
  const body = error ? Buffer.alloc(4 + text.length + 1) : Buffer.alloc(0)
  if (error) {
    body.writeUInt32LE(text.length)
    text.copy(body, 4)
  }
  const fields: Buffer[] = [Buffer.from([5, 1, 0x75, 0, serial, 0, 0, 0])]
  if (error) {
    const name = Buffer.from(error[0])
    const field = Buffer.alloc(8 + Math.ceil((name.length + 1) / 8) * 8)
    field.set([4, 1, 0x73, 0, name.length])
    name.copy(field, 8)
    fields.push(field, Buffer.from([8, 1, 0x67, 0, 1, 0x73, 0, 0]))
  }
  const all = Buffer.concat(fields)
  const head = Buffer.alloc(16)
  head.set([0x6c, error ? 3 : 2, 1, 1])
  head.writeUInt32LE(body.length, 4)
  head.writeUInt32LE(99, 8)
  head.writeUInt32LE(error ? all.length - 1 : all.length, 12) // without the padding at the end
  return Buffer.concat([head, all, body])
}

/** A bus that answers each call by its member's name. */
async function withFakeBus(
  answer: (member: string, count: number) => [string, string] | undefined | 'hang up',
  use: (address: string, calls: string[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'kt-bus-'))
  const calls: string[] = []
  const serve = (socket: Socket) => {
    let text = Buffer.alloc(0)
    let signedIn = false
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      text = Buffer.concat([text, chunk])
      if (!signedIn && text.includes('AUTH EXTERNAL') && !text.includes('BEGIN')) {
        socket.write('OK 0123456789abcdef0123456789abcdef\r\n')
        text = Buffer.alloc(0)
        return
      }
      const begin = text.indexOf('BEGIN\r\n')
      if (begin >= 0) {
        signedIn = true
        text = text.subarray(begin + 7)
      }
      for (let found = decode(text); found; found = decode(text)) {
        const raw = text.subarray(0, found.size)
        text = text.subarray(found.size)
        const member = [
          'Hello',
          'GetNameOwner',
          'RevertLink',
          'FlushCaches',
          'SetLinkDNSSEC',
          'SetLinkDNSOverTLS',
          'SetLinkDNS',
          'SetLinkDomains',
          'SetLinkDefaultRoute',
          'SetLinkLLMNR',
          'SetLinkMulticastDNS',
        ].find((name) => raw.includes(`${name}\0`))!
        calls.push(member)
        const result = member === 'Hello' ? undefined : answer(member, calls.filter((name) => name === member).length)
        if (result === 'hang up') socket.destroy()
        else socket.write(reply(raw.readUInt32LE(8), result))
      }
    })
  }
  const server = createServer(serve)
  const address = join(folder, 'bus')
  await new Promise<void>((resolve) => server.listen(address, resolve))
  try {
    await use(address, calls)
  } finally {
    await new Promise((resolve) => server.close(resolve))
    rmSync(folder, { recursive: true })
  }
}

const link = {
  servers: ['198.18.53.2', 'fd6b::2'],
  domains: ['cluster.local'],
  searchDomains: ['shop.svc.cluster.local'],
}

test('a link gets all its settings; one that is not known yet is asked for again', async () => {
  const unknown: [string, string] = ['org.freedesktop.resolve1.NoSuchLink', 'Link 7 not known']
  await withFakeBus(
    (member, count) => (member === 'SetLinkDNS' && count === 1 ? unknown : undefined),
    async (address, calls) => {
      await systemResolved(address).setLink(7, link)
      assert.deepEqual(calls, [
        ...['Hello', 'SetLinkDNS', 'SetLinkDNS', 'SetLinkDomains', 'SetLinkDefaultRoute', 'SetLinkLLMNR'],
        ...['SetLinkMulticastDNS', 'SetLinkDNSSEC', 'SetLinkDNSOverTLS', 'FlushCaches'],
      ])
    },
  )
})

test('too many domains: as many as it takes, the first ones', async () => {
  const tooLong: [string, string] = ['System.Error.E2BIG', 'Argument list too long']
  const domains = Array.from({ length: 400 }, (_, i) => `ns${i}`)
  await withFakeBus(
    (member, count) => (member === 'SetLinkDomains' && count < 4 ? tooLong : undefined),
    async (address, calls) => {
      const taken = await systemResolved(address).setLink(7, { ...link, domains })
      assert.deepEqual(taken, { ...link, domains: domains.slice(0, 225) })
      assert.equal(calls.filter((name) => name === 'SetLinkDomains').length, 4)
    },
  )
  await withFakeBus(
    (member, count) => (member === 'SetLinkDomains' && count < 2 ? tooLong : undefined),
    async (address) => {
      const taken = await systemResolved(address).setLink(7, { ...link, domains })
      assert.equal(taken.domains.length, 400, 'refused once since the old ones counted, and taken then')
    },
  )
  await withFakeBus(
    (member) => (member === 'SetLinkDomains' ? tooLong : undefined),
    async (address) =>
      assert.rejects(systemResolved(address).setLink(7, { ...link, domains }), /Argument list too long/),
  )
})

test('values are read from a body as its signature says, in either byte order, and not beyond its end', () => {
  const written = encodeCall(1, {
    destination: 'a.b',
    path: '/p',
    interface: 'i.f',
    member: 'M',
    signature: 'a(iay)',
    arguments: [
      [
        [2, [198, 18, 53, 2]],
        [10, [253]],
      ],
    ],
  })
  const body = written.subarray(-written.readUInt32LE(4))
  assert.deepEqual(readFirst('a(iay)', body, true), [
    [2, [198, 18, 53, 2]],
    [10, [253]],
  ])
  // The signature, the array's length at 8, its first struct at 16.
  const words = ['05 61 28 73 62 29 00 00', '00 00 00 0c 00 00 00 00', '00 00 00 02 63 64 00 00', '00 00 00 01']
  const variant = Buffer.from(words.join('').replaceAll(' ', ''), 'hex')
  assert.deepEqual(readFirst('v', variant, false), [['cd', true]])
  assert.equal(readFirst('', body, true), undefined)
  assert.throws(() => readFirst('a(iay)', body.subarray(0, 20), true), RangeError)
  assert.throws(() => readFirst('s', Buffer.from('ffffff7f61', 'hex'), true), RangeError)
})

test("a refusal is told in the service's words", async () => {
  const busy: [string, string] = ['org.freedesktop.resolve1.LinkBusy', 'Link kt0 is managed.']
  await withFakeBus(
    () => busy,
    async (address) => {
      await assert.rejects(systemResolved(address).setLink(7, link), {
        code: 'resolved',
        message: /Link kt0 is managed\./,
      })
    },
  )
})

test('it answers, it does not, there is no bus, the bus hangs up', async () => {
  const nobody: [string, string] = ['org.freedesktop.DBus.Error.NameHasNoOwner', 'no owner']
  await withFakeBus(
    () => undefined,
    async (address) => assert.equal(await systemResolved(address).answers(), true),
  )
  await withFakeBus(
    () => nobody,
    async (address) => assert.equal(await systemResolved(address).answers(), false),
  )
  await withFakeBus(
    () => 'hang up',
    async (address) => assert.equal(await systemResolved(address).answers(), false),
  )
  assert.equal(await systemResolved('/nonexistent/bus').answers(), false)
})

test('reverting a link that is gone, or without resolved, is no failure', async () => {
  const gone: [string, string] = ['org.freedesktop.resolve1.NoSuchLink', 'Link 7 not known']
  await withFakeBus(
    (member) => (member === 'RevertLink' ? gone : undefined),
    (address) => systemResolved(address).revertLink(7),
  )
  await systemResolved('/nonexistent/bus').revertLink(7)
  const denied: [string, string] = ['org.freedesktop.DBus.Error.AccessDenied', 'no']
  await withFakeBus(
    (member) => (member === 'RevertLink' ? denied : undefined),
    async (address) => assert.rejects(systemResolved(address).revertLink(7), /no/),
  )
})
