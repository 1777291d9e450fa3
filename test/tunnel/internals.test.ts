// kt stands on insides of ssh2: this holds that the pinned version has them, and that another is noticed at start-up.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { describe, it } from 'node:test'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import { type ChannelEvents, ChannelPort } from '../../src/tunnel/ssh/internals.ts'
import { requireCheckedSsh2 } from '../../src/tunnel/ssh/ssh2.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { Probe } from './compliance.ts'
import { startAgent } from './shadows.ts'

const require = createRequire(import.meta.url)
const yes = () => true
type Rekeying = { rekey(): void }
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

  it('exchange keys in mid-transfer', async () => {
    const shadow = await startAgent()
    const tunnel = await connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })
    const { client } = (tunnel as unknown as { session: { client: EventEmitter & { _protocol: Rekeying } } }).session
    const echo = createServer((socket) => socket.pipe(socket))
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    const { port } = echo.address() as AddressInfo
    const probe = new Probe(tunnel, { address: IpAddress.parse('127.0.0.1'), port })
    await probe.event('open')
    const block = Buffer.alloc(1_000_003, 'rekey')
    const expected = createHash('sha256')
    for (let i = 0; i < 24; i++) {
      expected.update(block)
      await probe.send(block)
      if (i % 8 === 3) {
        const exchanged = once(client, 'handshake')
        client._protocol.rekey()
        await exchanged
      }
    }
    probe.stream.end()
    assert.equal(await probe.event('close'), 'close closed')
    assert.equal(probe.received, 24 * block.length)
    assert.equal(probe.hash.digest('hex'), expected.digest('hex'))
    await tunnel.close()
    echo.close()
    await shadow.stop()
  })
})
