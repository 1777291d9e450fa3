// The end of an exchange's connections, in virtual time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Lingering, linger } from '../../src/daemon/inbound/linger.ts'

/** A connection that has rested for so long (never, when a request is under way), and ends when it is told to. */
function connection(restsMs: number, open: Set<Lingering>): Lingering {
  const one = {
    restsFor: (ms: number) => restsMs >= ms,
    endStream: () => open.delete(one),
  }
  open.add(one)
  return one
}

/** Time passes as it is waited for; `at` is called when it is `atMs`. */
function clock(atMs = Number.POSITIVE_INFINITY, at = () => {}) {
  return {
    passed: 0,
    now(): number {
      return this.passed
    },
    async delay(ms: number): Promise<void> {
      this.passed += ms
      if (this.passed >= atMs) at()
    },
  }
}
const never = new AbortController().signal
/** `cutOff`: nothing gets to the cluster; `told` gets how many are waited for. */
const events = ({ cutOff = false, told = [] as number[] } = {}) => ({
  reaches: () => !cutOff,
  onWait: (count: number) => void told.push(count),
})

test('quiet connections are ended as soon as no new ones can come, and nothing is waited for then', async () => {
  const open = new Set<Lingering>()
  connection(5_000, open)
  connection(60_000, open)
  const time = clock()
  assert.equal(await linger(() => open, never, time, events()), 0)
  assert.ok(time.passed > 1_500 && time.passed < 1_600, String(time.passed))
})

test('a request that is under way is waited for; a second Ctrl-C ends the waiting', async () => {
  const open = new Set<Lingering>()
  connection(-1, open)
  const hurry = new AbortController()
  const time = clock(9_000, () => hurry.abort())
  assert.equal(await linger(() => open, hurry.signal, time, events()), 1)
  assert.equal(time.passed, 9_000)
})

test('a request that does not end is not waited for longer than 20 s', async () => {
  const open = new Set<Lingering>()
  connection(-1, open)
  const time = clock()
  assert.equal(await linger(() => open, never, time, events()), 1)
  assert.equal(time.passed, 20_000)
})

test('busy connections that have just answered are ended after 6 s: until then others can end by themselves', async () => {
  const open = new Set<Lingering>()
  connection(5, open)
  const time = clock()
  assert.equal(await linger(() => open, never, time, events()), 0)
  assert.ok(time.passed >= 6_000 && time.passed < 6_100, String(time.passed))
})

test('who waits is told once that there is a request, and nobody who does not wait', async () => {
  const open = new Set<Lingering>()
  const told: number[] = []
  await linger(() => open, never, clock(), events({ told }))
  assert.deepEqual(told, [])
  connection(-1, open)
  await linger(() => open, never, clock(), events({ told }))
  assert.deepEqual(told, [1])
})

test('connections to a cluster out of reach are given up after 4 s', async () => {
  const open = new Set<Lingering>()
  connection(-1, open)
  const time = clock()
  assert.equal(await linger(() => open, never, time, events({ cutOff: true })), 1)
  assert.equal(time.passed, 4_000)
})
