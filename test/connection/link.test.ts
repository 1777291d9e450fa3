// The link between a client and its shadow, in virtual time: what is done when the tunnel is lost, stalls or is interrupted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShadowHandle } from '../../src/cluster/calls.ts'
import { Link, type LinkEffects } from '../../src/connection/link.ts'
import { FakeTunnel } from '../support/fake-tunnel.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const shadow = (pod: string) => ({ pod, job: pod }) as ShadowHandle

function bench(overrides: Partial<LinkEffects> = {}) {
  const time = new VirtualTime()
  const said: string[] = []
  const failed: { message: string; at: number }[] = []
  const effects: LinkEffects = {
    connectAnew: async () => [shadow('new'), new FakeTunnel().tunnel],
    openTunnel: async () => new FakeTunnel().tunnel,
    shadowState: async () => 'running',
    discardShadow: async (s) => void said.push(`discard ${s.pod}`),
    clock: time,
    log: () => {},
    onLost: (why) => void said.push(`lost: ${why}`),
    onFailed: ({ message }) => void failed.push({ message, at: time.now() }),
    onConnected: (_, s) => void said.push(`connected ${s.pod}`),
    onInterrupted: (why) => void said.push(`interrupted: ${why}`),
    onResumed: () => void said.push('resumed'),
    ...overrides,
  }
  return { link: new Link(effects), said, failed, time }
}

test('a lost tunnel is replaced by one to the same shadow, and those who waited are told once', async () => {
  const { link, said, time } = bench()
  const first = new FakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('the API server closed the connection')
  await first.tunnel.closed
  let told = 0
  link.whenConnected(() => told++)
  await time.run(0)
  assert.deepEqual(said, ['connected old', 'lost: the API server closed the connection', 'connected old'])
  assert.equal(told, 1)
  assert.equal(link.reconnects, 1)
  assert.notEqual(link.tunnel(), first.tunnel)
  await link.close()
  await time.run(0)
  assert.equal(time.pending, 0, 'nothing is left of the heartbeats')
})

test('a shadow that is gone is replaced, and what is left of it removed', async () => {
  const { link, said, time } = bench({
    openTunnel: async () => Promise.reject(new Error('pod not found')),
    shadowState: async () => 'gone',
  })
  const first = new FakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('gone')
  await time.run(0)
  assert.deepEqual(said, ['connected old', 'lost: gone', 'discard old', 'connected new'])
  assert.equal(link.shadow?.pod, 'new')
  await link.close()
})

test('while the cluster is out of reach it tries again, later and later, up to five seconds', async () => {
  const { link, failed, time } = bench({
    openTunnel: async () => Promise.reject(new Error('unreachable')),
    shadowState: async () => Promise.reject(new Error('unreachable')),
  })
  const first = new FakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('cut')
  await time.run(16_200)
  assert.equal(link.shadow?.pod, 'old', 'a shadow that cannot be asked about is kept')
  assert.deepEqual(
    new Set(failed.map(({ message }) => message)),
    new Set(['unreachable']),
    'each try says why it failed',
  )
  assert.deepEqual(
    failed.map(({ at }) => at),
    [0, 200, 600, 1_400, 3_000, 6_200, 11_200, 16_200],
  )
  await link.close()
  await time.run(0)
  assert.equal(time.pending, 0)
})

test('a heartbeat without an answer counts as a loss', async () => {
  const { link, said, time } = bench()
  const first = new FakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.stall()
  await time.run(4_999)
  assert.deepEqual(said, ['connected old'])
  await time.run(1)
  assert.deepEqual(said, ['connected old', 'lost: no heartbeat: no answer', 'connected old'])
  assert.ok(first.over, 'a tunnel that does not answer is closed')
  await link.close()
})

test('a line that is interrupted keeps its tunnel, whatever its heartbeats come to, and is resumed', async () => {
  const { link, said, time } = bench()
  const first = new FakeTunnel({ line: true })
  link.start(shadow('old'), first.tunnel)
  first.stall()
  first.tell('interrupted', 'the port-forward ended')
  await time.run(30_000)
  assert.equal(link.tunnel(), first.tunnel)
  first.tell('open')
  assert.deepEqual(said, ['connected old', 'interrupted: the port-forward ended', 'resumed'])
  await link.close()
})

test('what an open line says of itself is no resumption, and an interruption is told once', async () => {
  const { link, said } = bench()
  const first = new FakeTunnel({ line: true })
  link.start(shadow('old'), first.tunnel)
  // A report comes with each answered probe.
  for (let i = 0; i < 3; i++) first.tell('open')
  // Nothing above the line was told of a suspicion, so nothing is told of its end.
  first.tell('suspected', 'the network changed')
  first.tell('open')
  assert.deepEqual(said, ['connected old'])
  first.tell('interrupted', 'the port-forward ended')
  first.tell('interrupted', 'the port-forward ended')
  first.tell('suspected', 'the port-forward ended')
  first.tell('open')
  first.tell('open')
  assert.deepEqual(said, ['connected old', 'interrupted: the port-forward ended', 'resumed'])
  await link.close()
})

test('closing is not a loss', async () => {
  const { link, said, time } = bench()
  link.start(shadow('old'), new FakeTunnel().tunnel)
  await link.close()
  await time.run(0)
  assert.deepEqual(said, ['connected old'])
  assert.equal(link.tunnel(), undefined)
})

test('a tunnel that comes after the link was closed is closed too', async () => {
  const late = new FakeTunnel()
  const { promise, resolve } = Promise.withResolvers<typeof late.tunnel>()
  const { link, time } = bench({ openTunnel: () => promise })
  const first = new FakeTunnel()
  link.start(shadow('old'), first.tunnel)
  first.lose('cut')
  await time.run(0)
  await link.close()
  resolve(late.tunnel)
  await time.run(0)
  assert.ok(late.over)
  assert.equal(link.tunnel(), undefined)
})
