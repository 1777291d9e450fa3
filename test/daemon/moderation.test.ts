// When the engine pauses between turns of the event loop, in virtual time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Moderation, moderated, processPauses } from '../../src/daemon/moderation.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'

/** Turns of `turnMs`, in each of which `pieces` of `bytes` pass. Returns how often each of the last 100 turns paused. */
function pausesPerTurn({ turnMs, pieces, bytes }: { turnMs: number; pieces: number; bytes: number }): number {
  let now = 5_000
  let pauses = 0
  let after: (() => void)[] = []
  const moderation = new Moderation({
    clock: { now: () => now },
    afterTurn: (fire) => void after.push(fire),
    pause: (ms) => {
      assert.ok(ms > 0 && ms < 1)
      pauses++
    },
  })
  for (let turn = 0; turn < 300; turn++) {
    if (turn === 200) pauses = 0
    for (let i = 0; i < pieces; i++) moderation.passed(bytes)
    for (const fire of after.splice(0)) fire()
    after = []
    now += turnMs
  }
  return pauses / 100
}

test('each turn of a fast download ends with one pause, however many pieces it has moved', () => {
  assert.equal(pausesPerTurn({ turnMs: 0.2, pieces: 1, bytes: 16_384 }), 1)
  assert.equal(pausesPerTurn({ turnMs: 0.2, pieces: 8, bytes: 4_096 }), 1)
})

test('nothing waits below 50 MB/s', () => {
  assert.equal(pausesPerTurn({ turnMs: 1, pieces: 1, bytes: 49_000 }), 0)
  assert.equal(pausesPerTurn({ turnMs: 1, pieces: 1, bytes: 51_500 }), 1)
  assert.equal(pausesPerTurn({ turnMs: 100, pieces: 1, bytes: 65_536 }), 0)
})

test('an engine that is the slowest on the way does not pause', () => {
  assert.equal(pausesPerTurn({ turnMs: 0.5, pieces: 2, bytes: 65_536 }), 0)
  assert.equal(pausesPerTurn({ turnMs: 0.5, pieces: 2, bytes: 65_500 }), 1)
})

test('the end of a download ends the pauses with the slice', () => {
  let now = 0
  let fires = 0
  const moderation = new Moderation({ clock: { now: () => now }, afterTurn: () => fires++, pause: () => {} })
  for (; now < 100; now++) moderation.passed(200_000)
  assert.ok(fires > 0)
  const before = fires
  now += 1_000
  moderation.passed(64)
  moderation.passed(64)
  assert.equal(fires, before)
})

test('nothing pauses for 100 ms after a program has sent something', () => {
  let now = 0
  const paused: number[] = []
  let over = () => {}
  const moderation = new Moderation({
    clock: { now: () => now },
    afterTurn: (fire) => {
      over = fire
    },
    pause: () => paused.push(now),
  })
  for (; now < 300; now++) {
    moderation.passed(100_000)
    // Once between two turns, and once within a turn that was to pause.
    if (now === 99 || now === 200) moderation.hurry()
    over()
    over = () => {}
  }
  assert.ok(paused.includes(98))
  assert.deepEqual(
    paused.filter((at) => at >= 99),
    [199],
  )
})

test('what a path brings is told once its owner has it, and its end comes as before', () => {
  const seen: unknown[] = []
  const path = moderated(
    {
      ...{ framing: plainFraming, send() {}, end() {}, destroy() {}, way: 'spdy' },
      start(onData, onClose) {
        onData(Buffer.alloc(7))
        onClose(undefined)
      },
    },
    { passed: (bytes) => void seen.push(bytes) },
  )
  path.start(
    (chunk) => seen.push(chunk),
    (error) => seen.push(error),
  )
  assert.deepEqual(seen, [Buffer.alloc(7), 7, undefined])
  assert.equal(path.way, 'spdy')
})

test('a pause stops the thread for less than a millisecond or so', async () => {
  const began = performance.now()
  for (let i = 0; i < 20; i++) processPauses.pause(0.25)
  const each = (performance.now() - began) / 20
  assert.ok(each >= 0.2, `${each} ms`)
  assert.ok(each < 20, `${each} ms`)
  await new Promise<void>((resolve) => processPauses.afterTurn(resolve))
})
