// A laptop that is cut off in the middle of an exchange: the original answers meanwhile, and requests come back when
// the laptop does. The caller asks 50 times a second all the time.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { ExchangeBench } from '../support/exchange-bench.ts'
import { startHolding } from '../support/holding.ts'
import { realCluster } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const NAMESPACE = 'kt-back-cut'
const LAPTOP = 'cut'
const HTTP = 18080
const CUT_MS = 20_000
// The agent waits a second for an answer; the rest is for a slow machine.
const SWITCH_MS = 4_000
// Of the caller's requests (test/support/exchange-programs.ts), and a little for its timers.
const TIMEOUT_MS = 10_500

describe('a laptop cut off during an exchange', { skip }, () => {
  const bench = new ExchangeBench(program, NAMESPACE, LAPTOP)
  let cutOff = false
  const wan = (...args: string[]) => {
    execFileSync(program, ['wan', '--as', LAPTOP, ...args], { stdio: 'ignore' })
    cutOff = args[0] !== 'off'
  }
  let stopLocal: () => void

  before(async () => {
    bench.start()
    stopLocal = await bench.startLocal(HTTP, 18007)
    await until('the original answers', () => bench.firstAnswer('original', 0), 30_000)
  })
  after(() => {
    if (skip) return
    bench.stop()
    stopLocal?.()
    if (cutOff) wan('off')
  })

  test('the original answers while it is away, and it is asked again when it is back', async () => {
    const before = bench.snapshot()
    const began = Date.now()
    const held = await startHolding(program, LAPTOP, ['exchange', 'web', '-n', NAMESPACE, '--expose', `${HTTP}:80`])
    await held.saysSoon(/^requests to web/m)
    await until('served here', () => bench.firstAnswer('here', began), 20_000)

    wan('loss=100')
    const cut = Date.now()
    const { at } = await until('the original answers', () => bench.firstAnswer('original', cut), 20_000)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, cut + CUT_MS - Date.now())))
    const ended = Date.now()
    wan('off')
    const back = await until('served here again', () => bench.firstAnswer('here', ended), 60_000)
    console.log(
      `cut off: answered by the original after ${((at - cut) / 1000).toFixed(2)} s; asked again ${((back.at - ended) / 1000).toFixed(2)} s after the line was back`,
    )
    assert.ok(at - cut < SWITCH_MS, `the original answered after ${at - cut} ms`)
    // A request that the laptop had taken when the line went waits in vain, and fails at the caller's time-out.
    const failed = bench
      .failures(cut + SWITCH_MS)
      .filter(
        ({ lane, at, what }) => lane === 'new' && at < ended && !(what.endsWith('TIMEOUT') && at - TIMEOUT_MS < cut),
      )
    assert.deepEqual(failed, [], JSON.stringify(bench.heard.filter(({ at }) => at > cut)))

    held.signal('SIGINT')
    assert.equal(await held.exit, 0, held.said())
    assert.deepEqual(bench.snapshot(), before)
  })
})
