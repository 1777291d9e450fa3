// Two shadows of one exchange: what is lost, told to end or refused costs one of them at most.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import type { ShadowHandle } from '../../src/cluster/calls.ts'
import type { InboundHandle, InboundPort } from '../../src/cluster/inbound-calls.ts'
import { Link } from '../../src/connection/link.ts'
import { Crew } from '../../src/daemon/inbound/crew.ts'
import type { Tunnel, TunnelClosed } from '../../src/tunnel/tunnel.ts'
import { until } from '../support/until.ts'

const shadow = (pod: string): ShadowHandle => ({ pod, job: `job-${pod}` }) as ShadowHandle
const ports = [80, 81].map((port): InboundPort => ({ port, protocol: 'TCP', listen: port, exposed: true }))

class FakeTunnel {
  readonly info = { version: 'fake' }
  readonly closed: Promise<TunnelClosed>
  readonly leaving: Promise<void>
  readonly claimed: number[] = []
  released = 0
  refuse: number[] = []
  tellLeaving: () => void = () => {}
  readonly line = {
    report: { state: 'open' },
    onChange: (_report: { state: string }) => {},
    isAlive: async () => true,
  }
  #end: (closed: TunnelClosed) => void = () => {}

  constructor() {
    this.closed = new Promise((resolve) => (this.#end = resolve))
    this.leaving = new Promise((resolve) => (this.tellLeaving = resolve))
  }

  async listen(port: number) {
    const at = this.refuse.indexOf(port)
    if (at >= 0) {
      this.refuse.splice(at, 1)
      throw new Error(`port ${port} is claimed by another client`)
    }
    this.claimed.push(port)
    return { port, close: async () => {} }
  }

  probe = async () => 1
  release() {
    this.released++
  }
  lose(message: string) {
    this.#end({ expected: false, message })
  }
  async close() {
    this.#end({ expected: true, message: 'closed' })
  }
}

function bench(
  more: { mesh?: InboundHandle['mesh']; redial?: (pod: string) => FakeTunnel; dialable?: boolean; clock?: Clock } = {},
) {
  const said: string[] = []
  const tunnels = new Map<string, FakeTunnel>()
  const closing = new AbortController()
  let made = 0
  const open = (pod: string) => {
    const tunnel = new FakeTunnel()
    tunnels.set(pod, tunnel)
    return tunnel as unknown as Tunnel
  }
  const make = (what: string) => {
    const one = shadow(`new${++made}`)
    said.push(`${what} -> ${one.pod}`)
    return one
  }
  const crew = new Crew({
    cluster: {
      addShadow: async () => make('add'),
      replaceShadow: async (handle) => ({ ...handle, shadow: make(`replace ${handle.shadow.pod}`) }),
      retireShadow: async ({ pod }) => void said.push(`retire ${pod}`),
    },
    dialer: {
      clock: more.clock ?? systemClock,
      shadowState: async () => 'running',
      connect: async (create) => {
        const one = await create(() => {})
        if (more.dialable === false) throw new Error('the end came first')
        return [one, open(one.pod)]
      },
      link: (hooks) =>
        new Link({
          openTunnel: async ({ pod }) => {
            if (!more.redial) throw new Error('nothing listens on that port of the pod')
            return more.redial(pod) as unknown as Tunnel
          },
          shadowState: async () => 'running',
          // Heartbeats and second tries never come.
          clock: { now: () => 0, after: () => () => {} },
          log: () => {},
          ...hooks,
        }),
    },
    closing: closing.signal,
    log: () => {},
    handle: () => ({ mode: 'selector', shadow: shadow('first'), mesh: more.mesh }) as InboundHandle,
    wanted: () => ports.map((port) => ({ port, handler: {} as never, options: {} })),
    onNone: () => said.push('none'),
    onServing: () => {},
    onAway: () => said.push('away'),
    date: () => '2026-01-02T03:04:05.000Z',
  })
  const start = async () => {
    await crew.start(shadow('first'), open('first'))
    await until('the second serves', () => more.mesh || crew.tunnels.length === 2)
  }
  const end = async () => {
    closing.abort()
    await crew.settled()
    await crew.close()
  }
  return { crew, said, tunnels, start, end }
}

test('a second shadow is made beside the first, and claims the same ports', async () => {
  const { crew, said, tunnels, start, end } = bench()
  await start()
  assert.deepEqual(said, ['add -> new1'])
  assert.deepEqual(tunnels.get('new1')!.claimed, [80, 81])
  assert.equal(crew.handle().shadow.pod, 'first')
  assert.equal(crew.handle().second?.pod, 'new1')
  await end()
})

test('a second shadow that was made, and not connected yet when the end came, is known to whoever removes them', async () => {
  const { crew, said, end } = bench({ dialable: false })
  await crew.start(shadow('first'), new FakeTunnel() as unknown as Tunnel)
  await until('it is made', () => said.length > 0)
  await end()
  assert.equal(crew.handle().second?.pod, 'new1')
})

test('of --mode manual there is one, since rules of somebody else say how much it gets', async () => {
  const mesh = { mode: 'manual', header: 'version', value: 'x', prefix: false, others: [] } as const
  const { crew, said, start, end } = bench({ mesh: { ...mesh, others: [] } })
  await start()
  assert.deepEqual(said, [])
  assert.equal(crew.handle().second, undefined)
  await end()
})

test('one that does not answer leaves the Service at once and is replaced, while the other serves', async () => {
  const { crew, said, tunnels, start, end } = bench()
  await start()
  tunnels.get('first')!.lose('reset')
  await until('two serve again', () => tunnels.has('new2') && crew.tunnels.length === 2)
  assert.deepEqual(said, ['add -> new1', 'retire first', 'replace first -> new2'])
  assert.equal(crew.serves, true)
  await end()
})

test('while the way to the cluster comes back, one whose line is a moment later than the other is kept', async () => {
  let now = 0
  const { said, tunnels, start, end } = bench({ clock: { ...systemClock, now: () => now } })
  await start()
  const first = tunnels.get('first')!.line
  const second = tunnels.get('new1')!.line
  for (const line of [first, second]) line.onChange({ state: 'interrupted' })
  second.onChange({ state: 'open' })
  await new Promise((resolve) => setImmediate(resolve))
  now += 4_999
  assert.equal(await first.isAlive(), true)
  assert.deepEqual(said, ['add -> new1', 'away'])
  // The other is back for long now, so it is this one's pod that does not answer.
  now += 1
  assert.equal(await first.isAlive(), false)
  assert.deepEqual(said, ['add -> new1', 'away', 'retire first'])
  await end()
})

test('one that was told to end serves until its successor does, and is then released', async (t) => {
  const { crew, said, tunnels, start, end } = bench()
  await start()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const first = tunnels.get('first')!
  first.tellLeaving()
  while (!tunnels.get('new2')?.claimed.includes(81)) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(said, ['add -> new1', 'retire first', 'replace first -> new2'])
  assert.equal(first.released, 0, 'requests may lead to it still')
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(crew.tunnels.length, 3)
  t.mock.timers.tick(3_000)
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(first.released, 1)
  first.lose('closed by the cluster')
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(crew.tunnels.length, 2)
  assert.deepEqual(
    [crew.handle().shadow.pod, crew.handle().second?.pod],
    ['new1', 'new2'],
    'the one that has gone is nobody to remove',
  )
  assert.equal(said.length, 3, 'it is replaced once')
  t.mock.timers.reset()
  await end()
})

test('only when both are lost is anybody told', async () => {
  const { said, tunnels, start, end, crew } = bench()
  await start()
  for (const one of tunnels.values()) one.lose('cut')
  await until('somebody is told', () => said.includes('away'))
  assert.equal(crew.serves, false)
  assert.equal(said.filter((line) => line === 'away').length, 1)
  await until('it says why, once for both', () => crew.faults[0]?.message.startsWith('reconnecting fails'))
  assert.deepEqual(crew.faults, [
    {
      code: 'lost',
      message: 'reconnecting fails: nothing listens on that port of the pod',
      hint: 'kt goes on trying; `kt logs` may say more',
      since: '2026-01-02T03:04:05.000Z',
    },
  ])
  await end()
})

test('of two ports of which one is refused at first, both come back', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const back = new FakeTunnel()
  back.refuse = [81]
  const { crew, tunnels, end } = bench({
    mesh: { mode: 'manual', header: 'version', value: 'x', prefix: false, others: [] },
    redial: () => back,
  })
  const first = new FakeTunnel()
  await crew.start(shadow('first'), first as unknown as Tunnel)
  assert.equal(tunnels.size, 0)
  first.lose('cut')
  while (!back.claimed.includes(80)) await new Promise((resolve) => setImmediate(resolve))
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(crew.serves, false)
  assert.match(crew.faults[0]!.message, /port 81 is claimed by another client$/)
  t.mock.timers.tick(1_000)
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(back.claimed, [80, 81])
  assert.equal(crew.serves, true)
  assert.deepEqual(crew.faults, [])
  t.mock.timers.reset()
  await end()
})
