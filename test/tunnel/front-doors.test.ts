// What is learned of a front door, in virtual time: which way passes, and how long a connection lives.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DoorNotes, FrontDoors, TunnelError } from '../../src/tunnel/index.ts'
import { LinePath } from '../../src/tunnel/line/line-path.ts'
import { Moves } from '../../src/tunnel/line/moves.ts'
import { doorOf } from '../../src/tunnel/transport/front-doors.ts'
import { Lifetimes } from '../../src/tunnel/transport/lifetimes.ts'
import type { Way } from '../../src/tunnel/transport/path.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import { VirtualTime } from '../support/virtual-time.ts'

/** A door whose connections over `deaf` are opened and bring nothing. */
function world(deaf: { way?: Way }, noted: DoorNotes = {}) {
  const time = new VirtualTime()
  const tried: Way[] = []
  const beside: boolean[] = []
  const network = { up: true }
  const notes: DoorNotes[] = []
  const said: string[] = []
  /** Each ends one path, in the order of their opening, as the other side does. */
  const ends: (() => void)[] = []
  const doors = new FrontDoors({
    memory: { recall: () => noted, note: (_, one) => void notes.push(one) },
    clock: time,
    log: (line) => void said.push(line),
    open: async (_endpoint, _signal, options) => {
      const way = options!.first!
      tried.push(way)
      beside.push(options!.beside!)
      if (!network.up) throw new Error('no answer')
      let over: (error: Error | undefined) => void
      return {
        way,
        framing: plainFraming,
        send: () => {},
        start: (data, onClose) => {
          over = onClose
          ends.push(() => onClose(undefined))
          if (way !== deaf.way) data(Buffer.from('x'))
        },
        end: () => {},
        destroy: (error) => over(error),
      }
    },
  })
  const endpoint = { url: 'wss://api.acme.test/api/v1/namespaces/n/pods/p/portforward', headers: {}, tls: {} as never }
  /** Opens one and gives it up after `ms`. */
  const open = async (ms: number, error?: Error) => {
    const path = await doors.open(endpoint)
    path.start(
      () => {},
      () => {},
    )
    await time.run(ms)
    path.destroy(error)
  }
  return { time, doors, endpoint, tried, beside, network, notes, said, ends, open }
}

test('a way whose connections bring nothing is left for the other one, which is noted', async () => {
  const { tried, notes, open } = world({ way: 'spdy' })
  for (let i = 0; i < 4; i++) await open(2_000)
  assert.deepEqual(tried, ['spdy', 'spdy', 'websocket', 'websocket'])
  assert.deepEqual(notes.at(-1)?.way, 'websocket')
})

test('a way that was noted is left as well when it brings nothing', async () => {
  const { tried, notes, open } = world({ way: 'websocket' }, { way: 'websocket' })
  for (let i = 0; i < 4; i++) await open(2_000)
  assert.deepEqual(tried, ['websocket', 'websocket', 'spdy', 'spdy'])
  assert.deepEqual(notes.at(-1)?.way, 'spdy')
})

test('what was given up at once, or brought the cluster’s own words, says nothing against a way', async () => {
  const { tried, open } = world({ way: 'spdy' })
  for (let i = 0; i < 5; i++) await open(100)
  for (let i = 0; i < 5; i++) await open(2_000, new TunnelError('unreachable', 'nothing listens', ''))
  assert.deepEqual(new Set(tried), new Set(['spdy']))
})

test('the other way is tried beside one that is not known to work, and after a long silence', async () => {
  const { beside, network, open } = world({})
  await open(100)
  network.up = false
  for (let i = 0; i < 25; i++) await open(100).catch(() => {})
  network.up = true
  await open(100)
  await open(100)
  const runs = beside.map((one) => (one ? 'b' : '.')).join('')
  assert.match(runs, /^b\.{20}b{6}\.$/)
})

test('an agent that falls silent does not change what is noted', async () => {
  const deaf: { way?: Way } = {}
  const { notes, open } = world(deaf)
  await open(100)
  deaf.way = 'spdy'
  for (let i = 0; i < 30; i++) await open(5_000)
  assert.deepEqual(
    notes.map(({ way }) => way),
    ['spdy'],
  )
})

test('a door is its server, the path it is below, and the proxy, without their secrets', () => {
  const endpoint = (url: string, proxy?: string) => ({ url, proxy, headers: {}, tls: {} as never })
  const pod = '/api/v1/namespaces/n/pods/p/portforward?ports=1'
  assert.equal(doorOf(endpoint(`wss://r.test:8443/k8s/clusters/c-1${pod}`)), 'https://r.test:8443/k8s/clusters/c-1')
  assert.equal(
    doorOf(endpoint(`wss://r.test${pod}`, 'socks5://ann:secret@proxy:1080')),
    'https://r.test through socks5://proxy:1080',
  )
})

test('two ends at the same age are a lifetime; a longer life disproves it', () => {
  const lifetimes = new Lifetimes()
  let now = 0
  const end = (age: number) => lifetimes.ended(age, (now += age))
  for (const age of [7_000, 60_010, 31_000]) end(age)
  assert.equal(lifetimes.known, undefined)
  end(60_200)
  assert.equal(lifetimes.known, 60_010)
  const { moveInMs, endInMs, disprovedInMs } = lifetimes.fate(50_000)!
  assert.equal(endInMs, 10_010)
  // 2 % of 60,010 ms before, and after.
  assert.deepEqual([moveInMs, disprovedInMs].map(Math.round), [8_810, 11_210])
  lifetimes.lived(60_300)
  assert.equal(lifetimes.known, 60_010, 'that is within what clocks differ')
  lifetimes.lived(62_000)
  assert.equal(lifetimes.known, undefined)
})

test('a path that a line has left outlives a wrong lifetime, however long, which is then forgotten', async () => {
  for (const lifetimeMs of [2_000, 60_000, 3_600_000, 86_400_000]) {
    const { time, doors, endpoint, notes } = world({}, { way: 'spdy', lifetimeMs })
    const path = new LinePath(await doors.open(endpoint), time.now())
    path.path.start(
      () => {},
      () => {},
    )
    const moves: Moves = new Moves({
      clock: time,
      attempt: async () => assert.ok(moves.keep(path)),
      timeoutMs: () => 5_000,
      log: () => {},
    })
    await time.run(lifetimeMs - 100)
    moves.look(path)
    await time.run(200)
    assert.ok(path.open, 'it is left, and shows whether it is ended')
    await time.run(0.05 * lifetimeMs + 1_000)
    assert.equal(path.open, false)
    assert.deepEqual(notes.at(-1), { way: 'spdy', lifetimeMs: undefined }, `${lifetimeMs} ms`)
  }
})

test('connections that were open together and end together have a cause in common, not a lifetime', () => {
  const lifetimes = new Lifetimes()
  for (const now of [60_000, 60_010, 60_020]) lifetimes.ended(60_000, now)
  assert.equal(lifetimes.known, undefined)
  lifetimes.ended(60_000, 120_100)
  assert.equal(lifetimes.known, 60_000)
})

test('ends at the same age are no lifetime while a connection is open that is older', async () => {
  const { time, doors, endpoint, notes, said, ends } = world({})
  const openOne = async () => {
    const path = await doors.open(endpoint)
    const nothing = () => {}
    path.start(nothing, nothing)
    return path
  }
  const older = await openOne()
  await time.run(20_000)
  for (let i = 1; i <= 2; i++) {
    await openOne()
    await time.run(10_000)
    ends[i]()
  }
  assert.equal(older.fate?.(), undefined)
  assert.deepEqual(
    notes.filter(({ lifetimeMs }) => lifetimeMs),
    [],
  )
  assert.deepEqual(
    said.filter((line) => /live/.test(line)),
    [],
  )
  // Once that one is gone, the same is a lifetime.
  older.end()
  ends[0]()
  for (let i = 3; i <= 4; i++) {
    await openOne()
    await time.run(10_000)
    ends[i]()
  }
  assert.equal(notes.at(-1)?.lifetimeMs, 10_000)
})

test('connections that end at once have other troubles', () => {
  const lifetimes = new Lifetimes()
  for (let i = 0; i < 5; i++) lifetimes.ended(1_000, i * 1_000)
  assert.equal(lifetimes.known, undefined)
})
