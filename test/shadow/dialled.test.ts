// Connections that were dialled for a request: a reset at a moment when nobody listens is theirs alone. An exception that nobody
// handles fails the test in which it happens.
import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { it } from 'node:test'
import type { Claimant } from '../../src/shadow/claimant.ts'
import { dialClaimant } from '../../src/shadow/duplex.ts'
import { dialOriginal } from '../../src/shadow/passing.ts'
import type { Channel, ChannelHandler } from '../../src/tunnel/ssh/channel.ts'
import { IpAddress } from '../../src/wire/address.ts'

const endpoint = (port: number) => ({ address: IpAddress.parse('127.0.0.1'), port })

it('a client that resets its connection before and after anybody listens', async () => {
  for (const how of ['reset', 'lost'] as const) {
    let handler: ChannelHandler | undefined
    const channel = { consumed() {}, write: () => 0, end() {}, reset() {} } as unknown as Channel
    const claimant = {
      ask(_port, _origin, _patience, answers) {
        handler = answers.taken(channel)
      },
    } as Pick<Claimant, 'ask'> as Claimant
    const stream = await dialClaimant({ claimant, patience: 1000 }, endpoint(80), endpoint(4567))
    const closed = new Promise((resolve) => stream.once('close', resolve))
    handler!.onClose(how)
    await closed
    assert.ok(stream.destroyed)
  }
})

it('an original that resets its connection before anybody listens', async () => {
  let accepted: Socket | undefined
  const server = createServer((socket) => {
    accepted = socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = await dialOriginal(endpoint((server.address() as { port: number }).port))
  while (!accepted) await new Promise((resolve) => setImmediate(resolve))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  accepted.resetAndDestroy()
  socket.resume()
  await closed
  server.close()
})
