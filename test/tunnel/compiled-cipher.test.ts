// The tunnel to an agent that uses the compiled cipher, through the same suite as the one that does not.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { loadAddon } from '../../src/base/installation.ts'
import { connectTunnel, openTcp } from '../../src/tunnel/index.ts'
import { loadGcm } from '../../src/tunnel/ssh/native-gcm.ts'
import { tunnelCompliance } from './compliance.ts'
import { exchangeKeysInMidTransfer } from './key-exchange.ts'
import { startAgent } from './shadows.ts'

before(() => {
  assert.equal(
    loadGcm(() => loadAddon('kt_gcm.node')),
    undefined,
  )
})

tunnelCompliance(
  'agent, compiled cipher',
  async () => {
    const shadow = await startAgent()
    const transport = await openTcp('127.0.0.1', shadow.port)
    return {
      tunnel: await connectTunnel({ ...shadow, transport }),
      cut: () => transport.destroy(new Error('cut by the test')),
      farConnections: () => shadow.relays(),
      stop: () => shadow.stop(),
    }
  },
  { udp: true, resets: true },
)

test('the compiled cipher gets new keys in mid-transfer', exchangeKeysInMidTransfer)
