import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Lingering, linger } from '../../src/daemon/back/linger.ts'

/** A connection that has rested for so long (never, when a request is under way), and ends when it is told to. */
function connection(restsMs: number, open: Set<Lingering>): Lingering {
  const one = {
    restsFor: (ms: number) => restsMs >= ms,
    endStream: () => open.delete(one),
  }
  open.add(one)
  return one
}

test('quiet connections are ended, and nothing is waited for then', async () => {
  const open = new Set<Lingering>()
  connection(5_000, open)
  connection(60_000, open)
  assert.equal(await linger(() => open, new AbortController().signal), 0)
})

test('a request that is under way is waited for; a second Ctrl-C ends the waiting', async () => {
  const open = new Set<Lingering>()
  connection(-1, open)
  const hurry = new AbortController()
  let over = false
  const lingering = linger(() => open, hurry.signal).then((left) => {
    over = true
    return left
  })
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  assert.equal(over, false)
  hurry.abort()
  assert.equal(await lingering, 1)
})

test('busy connections that have just answered are ended after a while', async () => {
  const open = new Set<Lingering>()
  connection(5, open)
  const began = performance.now()
  assert.equal(await linger(() => open, new AbortController().signal), 0)
  assert.ok(performance.now() - began > 5_000, 'others first get the time to end by themselves')
})
