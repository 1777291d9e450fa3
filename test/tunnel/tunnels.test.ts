// Each tunnel through the compliance suite, and what is particular to those over SSH.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { connectTunnel, createLoopbackTunnel, openTcp, TunnelError } from '../../src/tunnel/index.ts'
import { type Subject, tunnelCompliance } from './compliance.ts'
import { type Shadow, sshdMissing, startAgent, startSshd } from './shadows.ts'

async function overSsh(start: () => Promise<Shadow>): Promise<Subject> {
  const shadow = await start()
  const transport = await openTcp('127.0.0.1', shadow.port)
  const tunnel = await connectTunnel({ ...shadow, transport })
  return {
    tunnel,
    cut: () => transport.destroy(new Error('cut by the test')),
    farConnections: () => shadow.relays(),
    stop: () => shadow.stop(),
  }
}

tunnelCompliance('agent', () => overSsh(startAgent), { udp: true, resets: true })
tunnelCompliance('sshd', () => overSsh(startSshd), { udp: false, resets: false }, sshdMissing())
tunnelCompliance(
  'loopback',
  async () => {
    const tunnel = createLoopbackTunnel()
    return { tunnel, cut: () => tunnel.lose('cut by the test'), farConnections: () => 0, stop: async () => {} }
  },
  { udp: true, resets: true },
)

describe('SSH session', () => {
  it('refuses another host key than the pinned one', async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    const hostKey = generateSshKeyPair('another').publicKey
    await assert.rejects(
      connectTunnel({ ...shadow, hostKey, transport }),
      (error) => error instanceof TunnelError && error.code === 'host-key',
    )
    await shadow.stop()
  })

  it('tells the host key it took when none was pinned', async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    const tunnel = await connectTunnel({ ...shadow, hostKey: undefined, transport })
    assert.equal(tunnel.hostKey, shadow.hostKey)
    await tunnel.close()
    assert.deepEqual(await tunnel.closed, { expected: true, message: 'closed' })
    await shadow.stop()
  })

  it('says when our key is not the one', async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    const clientKey = generateSshKeyPair('stranger').privateKey
    await assert.rejects(
      connectTunnel({ ...shadow, clientKey, transport }),
      (error) => error instanceof TunnelError && error.code === 'auth',
    )
    await shadow.stop()
  })

  it('gives up on a server that says nothing', async () => {
    const { createServer } = await import('node:net')
    const mute = createServer(() => {})
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as { port: number }
    const transport = await openTcp('127.0.0.1', port)
    const keys = generateSshKeyPair('client')
    await assert.rejects(
      connectTunnel({
        kind: 'agent',
        username: 'kt',
        clientKey: keys.privateKey,
        hostKey: undefined,
        timeoutMs: 50,
        transport,
      }),
      (error) => error instanceof TunnelError && error.code === 'timeout',
    )
    mute.close()
  })

  it('knows the agent’s addresses and resolver, and serves two clients at once', async () => {
    const shadow = await startAgent({ resolvConfPath: import.meta.filename })
    const tunnels = await Promise.all(
      [1, 2].map(async () => connectTunnel({ ...shadow, transport: await openTcp('127.0.0.1', shadow.port) })),
    )
    for (const { info } of tunnels) {
      assert.equal(info.kind, 'agent')
      assert.deepEqual(info.capabilities, { udp: true, ping: false, reset: true })
      assert.match(info.resolvConf ?? '', /^\/\/ Each tunnel/)
    }
    for (const tunnel of tunnels) {
      assert.ok((await tunnel.probe(5000)) >= 0)
      await tunnel.close()
    }
    await shadow.stop()
  })
})
