// The runner of exchange and mesh with a cluster, shadows and time that the test steers: whatever fails, and whenever it is told
// to end, nothing is left that was not told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Tunnel } from '../../src/tunnel/tunnel.ts'
import { ExchangeBench, takenOver, unreachable } from './exchange-bench.ts'

const END = ['release', 'disconnect', 'removeExchange', 'close']
const refused = async () => {
  throw new Error('no')
}

test('it begins, holds and ends in the order of docs/understand/exchange.md', async () => {
  const bench = new ExchangeBench()
  const { exchange, asked } = bench
  assert.equal(bench.state, 'starting')
  assert.equal(await bench.start(), 'requests to web.shop come here: 80 -> localhost:9000.')
  assert.equal(exchange.status().state, 'active')
  const { notes } = await bench.close()
  assert.deepEqual(notes, [])
  assert.deepEqual(asked, ['beginExchange', 'claim 80', 'switchExchange', 'restoreExchange', ...END])
  assert.equal(bench.workerPatience, 2_500)
})

test('whatever step of the beginning fails is told, and what was made before it is put back', async () => {
  const begun = ['beginExchange', 'claim 80']
  const nothing = ['release', 'disconnect', 'close']
  for (const [step, asked] of [
    ['check', nothing],
    ['beginExchange', ['beginExchange', ...nothing]],
    ['dial', ['beginExchange', 'restoreExchange', ...END]],
    ['claim', [...begun, 'restoreExchange', ...END]],
    ['switchExchange', [...begun, 'switchExchange', 'restoreExchange', ...END]],
  ] as const) {
    const bench = new ExchangeBench()
    bench.answers[step] = refused
    assert.equal(await bench.start(), 'failed: no', step)
    assert.deepEqual((await bench.close()).notes, [], step)
    assert.deepEqual(bench.asked, asked, step)
  }
  const bench = new ExchangeBench({ config: { target: 'node/x' } })
  assert.match(await bench.start(), /^failed: /)
  await bench.close()
  assert.deepEqual(bench.asked, ['release', 'disconnect', 'close'])
})

test('an end during any step waits until that step is over, and undoes it', async () => {
  const begun = ['beginExchange', 'claim 80']
  for (const [step, asked] of [
    ['beginExchange', ['beginExchange', 'release', 'disconnect', 'close']],
    ['dial', ['beginExchange', 'restoreExchange', ...END]],
    ['claim', [...begun, 'restoreExchange', ...END]],
    ['switchExchange', [...begun, 'switchExchange', 'restoreExchange', ...END]],
  ] as const) {
    const bench = new ExchangeBench()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    bench.answers[step] = () => promise
    const started = bench.exchange.start()
    await bench.run(100)
    const closed = bench.exchange.close()
    assert.match(String(await bench.ended(started, 0)), /told to end/, step)
    await bench.run(3_000)
    const before = [...bench.asked]
    const waits = step === 'beginExchange' || step === 'switchExchange'
    assert.equal(before.includes('restoreExchange') || before.includes('close'), !waits, step)
    resolve(undefined)
    assert.deepEqual(await bench.ended(closed, 60_000), [], step)
    assert.deepEqual(bench.asked, asked, step)
  }
})

test('all shadows are lost: it steps aside, and leads here again when one serves', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.asked.length = 0
  bench.crew.onAway()
  assert.equal(bench.state, 'reconnecting')
  bench.crew.onNone()
  bench.crew.onNone()
  await bench.run(10)
  assert.deepEqual(bench.asked, ['restoreExchange'])
  // Two serve at about the same time, and the API server refuses once.
  let refusals = 1
  bench.answers.switchExchange = async () => {
    if (refusals-- > 0) throw new Error('busy')
  }
  bench.crew.onServing()
  bench.crew.onServing()
  await bench.run(900)
  assert.equal(bench.state, 'reconnecting')
  await bench.run(200)
  assert.equal(bench.state, 'active')
  assert.deepEqual(bench.asked, ['restoreExchange', 'switchExchange', 'switchExchange'])
  assert.match(
    bench.notices.join('\n'),
    /is lost; the original pods answer until it is back\. If .*\n.* is back; requests come here again$/,
  )
  await bench.close()
})

test('leading here again waits until stepping aside is done; so does the end', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.asked.length = 0
  const aside = Promise.withResolvers<undefined>()
  bench.answers.restoreExchange = () => aside.promise
  bench.crew.onNone()
  bench.crew.onServing()
  await bench.run(500)
  assert.deepEqual(bench.asked, ['restoreExchange'])
  const closed = bench.exchange.close()
  await bench.run(1_000)
  assert.deepEqual(bench.asked, ['restoreExchange'])
  delete bench.answers.restoreExchange
  aside.resolve(undefined)
  await bench.ended(closed, 60_000)
  assert.deepEqual(bench.asked, ['restoreExchange', 'restoreExchange', ...END])
})

test('a line that is interrupted and goes on changes nothing in the cluster', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.asked.length = 0
  bench.crew.onAway()
  await bench.run(8_000)
  bench.crew.onServing()
  await bench.run(100)
  assert.deepEqual(bench.asked, [])
  assert.equal(bench.state, 'active')
  await bench.close()
})

test('a lease that was taken over is told once, and the Service is left to whoever has it now', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.asked.length = 0
  bench.answers.renewLease = async () => {
    throw takenOver
  }
  await bench.run(12_000)
  assert.deepEqual(bench.failures, [takenOver.message])
  assert.deepEqual((await bench.close()).notes, [])
  assert.deepEqual(bench.asked, END)
})

test('a Service that somebody else takes away is told, and is a fault until it leads here again', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.others({ type: 'reverted', manager: 'argocd', message: 'web was changed by argocd' })
  assert.deepEqual(bench.notices, ['web was changed by argocd'])
  const [fault, ...more] = bench.exchange.status().faults
  assert.deepEqual(more, [])
  assert.equal(fault.message, 'web was changed by argocd')
  assert.match(fault.hint, /^`kt leave web -n shop` ends this/)
  bench.others({ type: 'returned', manager: undefined, message: 'web leads here again' })
  assert.deepEqual(bench.exchange.status().faults, [])
  await bench.close()
})

test('a lease is renewed every 5 s, and one that cannot be renewed for a while costs nothing', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  let asked = 0
  bench.answers.renewLease = async () => {
    asked++
    throw unreachable
  }
  await bench.run(30_000)
  assert.equal(asked, 6)
  assert.deepEqual(bench.failures, [])
  assert.equal(bench.state, 'active')
  await bench.close()
})

test('an API server out of reach at the end is asked for 8 s; then the shadows stay, and the command that helps is named', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.asked.length = 0
  const dead = async () => {
    throw unreachable
  }
  Object.assign(bench.answers, { identify: dead, restoreExchange: dead })
  const { notes, ms } = await bench.close()
  assert.equal(notes.length, 1)
  assert.match(notes[0], /^web could not be put back: .*; `kt recover web -n shop` does it later$/)
  assert.ok(ms >= 8_000 && ms < 11_000, String(ms))
  assert.deepEqual([...new Set(bench.asked)], ['restoreExchange', 'disconnect', 'close'])
})

test('a process that speaks to the API server and ends in the middle is not the end: the next one puts everything back', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  let deaths = 1
  bench.answers.restoreExchange = async () => {
    if (deaths-- > 0) throw Object.assign(new Error('the process ended'), { code: 'internal' })
  }
  assert.deepEqual((await bench.close()).notes, [])
  assert.deepEqual(bench.asked.slice(-6), ['restoreExchange', 'restoreExchange', ...END])
  const other = new ExchangeBench()
  await other.start()
  other.answers.restoreExchange = async () => {
    throw Object.assign(new Error('the process ended'), { code: 'internal' })
  }
  assert.match((await other.close()).notes[0], /could not be put back: the process ended/)
})

test('a cut line that comes back while it ends is enough to put everything back', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  const dead = async () => {
    throw unreachable
  }
  Object.assign(bench.answers, { identify: dead, restoreExchange: dead })
  const closed = bench.exchange.close()
  await bench.run(5_000)
  delete bench.answers.identify
  delete bench.answers.restoreExchange
  assert.deepEqual(await bench.ended(closed, 60_000), [])
  assert.deepEqual(bench.asked.slice(-4), END)
})

test('told to end a second time it waits no longer: neither for the API server nor for open connections', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  bench.answers.restoreExchange = async () => {
    throw unreachable
  }
  const closed = bench.exchange.close()
  await bench.run(2_500)
  bench.exchange.hurry()
  const began = bench.time.now()
  const notes = (await bench.ended(closed, 60_000)) as string[]
  assert.match(notes[0], /could not be put back/)
  assert.ok(bench.time.now() - began < 100, String(bench.time.now() - began))
  // Without trouble: the 1.5 s until no new connection can come are left out.
  const other = new ExchangeBench()
  await other.start()
  const ended = other.exchange.close()
  other.exchange.hurry()
  const from = other.time.now()
  await other.ended(ended, 60_000)
  assert.ok(other.time.now() - from < 100, String(other.time.now() - from))
  assert.deepEqual(other.asked.slice(-4), END)
})

test('who joins a mesh says that requests come here when both routers know of it, or the second does not come', async () => {
  const mesh = { mode: 'auto', header: 'kt-version', value: 'ann', prefix: false } as const
  for (const [afterMs, tookMs] of [
    [700, 700],
    [60_000, 5_000],
  ]) {
    const config = { kind: 'mesh', mesh } as const
    const bench = new ExchangeBench({ config, handle: { mesh: { ...mesh, others: [] }, joined: true } })
    bench.tunnels.push({} as Tunnel)
    bench.time.after(afterMs, () => bench.tunnels.push({} as Tunnel))
    await bench.start()
    assert.deepEqual(bench.checked, [afterMs === 700 ? 2 : 1])
    assert.ok(bench.time.now() >= tookMs && bench.time.now() < tookMs + 100, String(bench.time.now()))
    await bench.close()
  }
})

test('who leaves a mesh gives up the claims first, since the routers serve others', async () => {
  const mesh = { mode: 'auto', header: 'kt-version', value: 'ann', prefix: false } as const
  const bench = new ExchangeBench({ config: { kind: 'mesh', mesh }, handle: { mesh: { ...mesh, others: [] } } })
  assert.match(await bench.start(), /^requests to web\.shop with the header "kt-version: ann" come here/)
  bench.asked.length = 0
  await bench.close()
  assert.deepEqual(bench.asked, ['unclaim', 'restoreExchange', ...END])
})

test('a person is told after 10 s without a request why that may be', async () => {
  const bench = new ExchangeBench()
  await bench.start()
  await bench.run(9_000)
  assert.deepEqual(bench.notices, [])
  await bench.run(2_000)
  assert.match(bench.notices[0], /^no request has come in 10 s: callers with open connections stay/)
  await bench.close()
})
