// kt stands on insides of ssh2: this holds that the pinned version has them, and that another is noticed at start-up.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { type ChannelEvents, ChannelPort } from '../../src/tunnel/ssh/internals.ts'
import { requireCheckedSsh2 } from '../../src/tunnel/ssh/ssh2.ts'
import { exchangeKeysInMidTransfer } from './key-exchange.ts'

const require = createRequire(import.meta.url)
const yes = () => true
const events: ChannelEvents = {
  onOpenRequest: yes,
  onConfirmed: yes,
  onRefused: yes,
  onData: yes,
  isOurs: yes,
  onWindow: yes,
  onEof: yes,
  onClosed: yes,
  onRequest: yes,
}

describe('insides of ssh2', () => {
  it('are those of the pinned version', () => {
    const version = (name: string) =>
      (JSON.parse(readFileSync(require.resolve(name), 'utf8')) as { version: string }).version
    assert.equal(version('ssh2/package.json'), '1.17.0')
    const ours = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      dependencies: Record<string, string>
    }
    assert.equal(ours.dependencies.ssh2, '1.17.0')
  })

  it('of another version are refused', () => {
    requireCheckedSsh2()
    assert.throws(() => requireCheckedSsh2('1.18.0'), /relies on insides of ssh2 1\.17\.0, and this is ssh2 1\.18\.0/)
  })

  it('are all in the list of ssh2.ts', () => {
    const folder = new URL('../../src/tunnel/ssh/', import.meta.url)
    const list = readFileSync(new URL('ssh2.ts', folder), 'utf8')
    const others = readdirSync(folder).filter((file) => file !== 'ssh2.ts' && file !== 'read-into.ts')
    const used = others.flatMap((file) => readFileSync(new URL(file, folder), 'utf8').match(/\b_[a-z]\w+/gi) ?? [])
    assert.ok(used.length > 50)
    assert.deepEqual(
      [...new Set(used)].filter((name) => !list.includes(name)),
      [],
    )
  })

  it('are missed by name in another version', () => {
    assert.throws(() => new ChannelPort({}, events), /it has no _protocol/)
    assert.throws(
      () => new ChannelPort({ _protocol: { _handlers: {}, _packetRW: { write: {} } } }, events),
      /CHANNEL_DATA.*_packetRW\.write\.alloc.*_cipher\.encrypt/,
    )
  })

  it('queue data during a key exchange, which is encrypted with the new keys', () => {
    const sealed: Buffer[] = []
    const _queue: Buffer[] = []
    const alloc = (length: number) => Buffer.alloc(5 + length)
    const port = new ChannelPort(
      {
        _protocol: {
          _handlers: new Proxy({}, { get: () => yes }),
          _packetRW: { write: { allocStart: 5, alloc, finalize: (packet: Buffer) => packet } },
          _cipher: { encrypt: yes, allocPacket: alloc, seal: (packet: Buffer) => sealed.push(packet) },
          _decipher: {},
          _kexinit: {},
          _destruct: yes,
          _queue,
        },
      },
      events,
    )
    port.data(7, Buffer.alloc(4000, 'x'), 0, 4000)
    assert.equal(sealed.length, 0)
    assert.deepEqual(_queue[0].subarray(14), Buffer.alloc(4000, 'x'))
  })

  it('exchange keys in mid-transfer', exchangeKeysInMidTransfer)
})
