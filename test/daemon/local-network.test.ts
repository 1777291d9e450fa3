// The network on this machine, with a device, a helper and a tunnel that the test plays. Nothing of this machine is changed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connected, Step } from '../../src/connection/connection.ts'
import type { HostClient } from '../../src/daemon/host-client.ts'
import { LocalNetwork } from '../../src/daemon/local-network.ts'
import type { DesiredState } from '../../src/host/desired.ts'
import { withTap } from '../../src/tun/tap.ts'
import { FakeTunnel } from '../support/fake-tunnel.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const connected: Connected = {
  identity: { context: 'k', cluster: 'c', user: 'u', namespace: 'n', server: 's', serverAddresses: ['10.96.0.9'] },
  ranges: { ranges: [{ cidr: '10.96.0.0/28', kind: 'services', source: 'test', guessed: false }], notes: [] },
  names: {
    clusterDomain: 'cluster.local',
    namespace: 'n',
    namespaces: [],
    resolver: undefined,
    notes: ['no resolver'],
  },
}

/** This machine's helper refuses to set it up, unless `undo` is what hangs. */
function bench(undo: () => Promise<void> = async () => {}) {
  const time = new VirtualTime()
  const steps: Step[] = []
  const failures: string[] = []
  let wanted: DesiredState | undefined
  let undone = 0
  let fail: (error: Error) => void = () => {}
  let closed = 0
  const device = {
    ...{ name: 'kt9', mtu: 1500, write: () => 0 },
    start: (_receive: unknown, onError: (error: Error) => void) => {
      fail = onError
    },
    close: () => void closed++,
  }
  const host: Partial<HostClient> = {
    apply: async (state) => {
      wanted = state
      throw Object.assign(new Error('an address is taken'), { code: 'addresses' })
    },
    undo: async () => {
      undone++
      await undo()
    },
  }
  const network = new LocalNetwork({
    config: { include: [], exclude: [], dns: 'none' },
    device: withTap(device as never),
    host: host as HostClient,
    tunnels: { tunnel: () => new FakeTunnel().tunnel, whenConnected: () => () => {} },
    clock: time,
    wall: () => time.now(),
    random: () => 1,
    log: Object.assign(() => {}, { debug: () => {}, trouble: () => undefined }),
    onStep: (step) => void steps.push(step),
    onDeviceFailed: ({ message }) => void failures.push(message),
    onWays: () => {},
  })
  const facts = () => ({ wanted, undone, closed })
  return { network, time, steps, failures, facts, fail: (error: Error) => fail(error) }
}

test('what the cluster has is asked of this machine, without the API server, and a refusal is the caller’s', async () => {
  const { network, steps, facts } = bench()
  await assert.rejects(network.begin(connected), /an address is taken/)
  assert.deepEqual(facts().wanted?.routes, ['10.96.0.0/29', '10.96.0.8/32', '10.96.0.10/31', '10.96.0.12/30'])
  assert.deepEqual(
    steps.map(({ detail }) => detail),
    ['10.96.0.9 (the API server) lies in 10.96.0.0/28 and is left out of it', 'no resolver'],
  )
  await network.close()
  assert.deepEqual([facts().undone, facts().closed], [1, 1])
})

test('a device that fails is told to the caller, and signals nobody', async (t) => {
  const { network, failures, fail } = bench()
  await network.begin(connected).catch(() => {})
  const kill = t.mock.method(process, 'kill', () => true)
  fail(new Error('the device is gone'))
  assert.deepEqual(failures, ['the device is gone'])
  assert.equal(kill.mock.callCount(), 0)
  await network.close()
})

test('a helper that does not answer is not waited for longer than six seconds', async () => {
  const { network, time } = bench(() => new Promise(() => {}))
  await network.begin(connected).catch(() => {})
  let error = ''
  void network.close().catch(({ message }: Error) => {
    error = message
  })
  await time.run(5_999)
  assert.equal(error, '')
  await time.run(1)
  await time.run(0)
  assert.equal(error, 'no answer in time')
})
