import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShadowHandle } from '../../src/cluster/port.ts'
import { Link, type LinkEffects } from '../../src/daemon/link.ts'
import type { Tunnel, TunnelClosed } from '../../src/tunnel/port.ts'

/** A tunnel that tests can lose. */
function fakeTunnel() {
  let lose!: (closed: TunnelClosed) => void
  let probe: () => Promise<number> = async () => 1
  const closed = new Promise<TunnelClosed>((resolve) => {
    lose = resolve
  })
  const tunnel = {
    closed,
    probe: () => probe(),
    close: async () => lose({ expected: true, message: 'closed here' }),
  } as unknown as Tunnel
  return {
    tunnel,
    lose: (message: string) => lose({ expected: false, message }),
    stall: () => {
      probe = async () => Promise.reject(new Error('no answer'))
    },
  }
}

const shadow = (pod: string) => ({ pod, job: pod }) as ShadowHandle
const settle = () => new Promise((resolve) => setImmediate(resolve))

/** Effects whose clock the test turns: every delay waits for `pass`. */
function bench(overrides: Partial<LinkEffects> = {}) {
  const said: string[] = []
  const failed: string[] = []
  let waiting: (() => void)[] = []
  const delays: number[] = []
  const effects: LinkEffects = {
    connectAnew: async () => [shadow('new'), fakeTunnel().tunnel],
    openTunnel: async () => fakeTunnel().tunnel,
    shadowState: async () => 'running',
    discardShadow: async (s) => void said.push(`discard ${s.pod}`),
    delay: (ms, signal) =>
      new Promise((resolve) => {
        delays.push(ms)
        waiting.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      }),
    log: () => {},
    onLost: (why) => void said.push(`lost: ${why}`),
    onFailed: (error) => void failed.push(error.message),
    onConnected: (_, s) => void said.push(`connected ${s.pod}`),
    ...overrides,
  }
  const pass = async () => {
    const now = waiting
    waiting = []
    for (const resolve of now) resolve()
    await settle()
    await settle()
  }
  return { link: new Link(effects), said, failed, delays, pass }
}

test('a lost tunnel is replaced by one to the same shadow, and those who waited are told once', async () => {
  const { link, said } = bench()
  const first = fakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('the API server closed the connection')
  await first.tunnel.closed
  let told = 0
  link.whenConnected(() => told++)
  await settle()
  assert.deepEqual(said, ['connected old', 'lost: the API server closed the connection', 'connected old'])
  assert.equal(told, 1)
  assert.equal(link.reconnects, 1)
  assert.notEqual(link.tunnel(), first.tunnel)
  await link.close()
})

test('a shadow that is gone is replaced, and what is left of it removed', async () => {
  const { link, said, pass } = bench({
    openTunnel: async () => Promise.reject(new Error('pod not found')),
    shadowState: async () => 'gone',
  })
  const first = fakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('gone')
  await settle()
  await pass()
  assert.deepEqual(said, ['connected old', 'lost: gone', 'discard old', 'connected new'])
  assert.equal(link.shadow?.pod, 'new')
  await link.close()
})

test('while the cluster is out of reach it tries again, later and later, up to five seconds', async () => {
  const { link, failed, delays, pass } = bench({
    openTunnel: async () => Promise.reject(new Error('unreachable')),
    shadowState: async () => Promise.reject(new Error('unreachable')),
  })
  const first = fakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('cut')
  await settle()
  for (let i = 0; i < 8; i++) await pass()
  assert.equal(link.shadow?.pod, 'old', 'a shadow that cannot be asked about is kept')
  assert.deepEqual(new Set(failed), new Set(['unreachable']), 'each try says why it failed')
  // The first delay is the heartbeat's.
  assert.deepEqual(delays.slice(1, 8), [200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  await link.close()
})

test('a heartbeat without an answer counts as a loss', async () => {
  const { link, said, pass } = bench()
  const first = fakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.stall()
  await pass()
  assert.deepEqual(said, ['connected old', 'lost: no heartbeat: no answer', 'connected old'])
  assert.notEqual(link.tunnel(), first.tunnel)
  await link.close()
})

test('closing is not a loss', async () => {
  const { link, said } = bench()
  link.start(shadow('old'), fakeTunnel().tunnel)
  await link.close()
  await settle()
  assert.deepEqual(said, ['connected old'])
  assert.equal(link.tunnel(), undefined)
})
