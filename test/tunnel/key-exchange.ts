// New keys in the middle of a transfer: what was sent before, meanwhile and after comes back unchanged.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { Probe } from './compliance.ts'
import { startAgent } from './shadows.ts'

type Rekeying = { rekey(): void }

/** With the ciphers that are loaded when it begins. */
export async function exchangeKeysInMidTransfer(): Promise<void> {
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
}
