// kt's processes hang, or cannot be reached: no command waits for ever, and `kt down` as an ordinary user ends them and puts
// the machine back.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { until } from '../support/until.ts'
import { KtLab } from './kt-fixture.ts'

let kt: KtLab
beforeEach(async () => {
  kt = await KtLab.start()
  await kt.up()
})
afterEach(() => kt?.[Symbol.asyncDispose]())

async function downRestores(): Promise<string> {
  const down = await kt.machine.kt(['down'])
  assert.equal(down.code, 0, down.stderr)
  await kt.noProcesses()
  await kt.assertRestored()
  assert.equal((await kt.machine.run(['ls', '/var/lib/kt'], { user: 'root' })).stdout, '')
  return down.stderr
}

test('the engine is stopped: `kt status` and `kt up` say that it does not answer, `kt down` ends it', async () => {
  process.kill(kt.processes().engine!, 'SIGSTOP')
  for (const command of ['status', 'up']) {
    const { code, stderr } = await kt.machine.kt([command])
    assert.equal(code, 1)
    assert.match(stderr, /does not answer\n.*kt down`/)
  }
  assert.match(await downRestores(), /kt's engine, which did not answer, was killed/)
})

test('the helper is stopped: `kt down` leaves the cluster, ends the helper and undoes what it did', async () => {
  process.kill(kt.processes().helper!, 'SIGSTOP')
  assert.match(await downRestores(), /kt's helper, which did not answer, was killed/)
  await kt.assertClusterClean()
})

test('/run/kt is removed: nothing says "not connected, nothing to do" while kt runs', async () => {
  await kt.machine.run(['rm', '-r', '/run/kt'], { user: 'root' })
  const status = await kt.machine.kt(['status'])
  assert.equal(status.code, 3)
  assert.match(status.stderr, /its settings are still on this machine/)
  const up = await kt.machine.kt(['up'])
  assert.equal(up.code, 1)
  assert.match(up.stderr, /already starting or running .*process \d+/)
  assert.match(await downRestores(), /which still ran/)
  await kt.up()
  await kt.down()
})

test('the way to the cluster is cut: `kt down` ends everything, and tells what stays in the cluster', async () => {
  await kt.lab.api.setFaults({ stallForward: true, delayMs: 60_000 })
  assert.match(await downRestores(), /the shadow kt-\S+ .* could not be removed \(it ends by itself\)/)
})

test('an engine that is still leaving is waited for by the next `kt up`', async () => {
  await kt.lab.api.setFaults({ stallForward: true, delayMs: 60_000 })
  process.kill(kt.processes().engine!, 'SIGTERM')
  await until('it leaves', async () => (await kt.status()).state !== 'connected')
  await kt.lab.api.setFaults()
  const up = await kt.machine.kt(['up'])
  assert.equal(up.code, 0, up.stderr)
  assert.doesNotMatch(up.stderr, /already connected/)
  await kt.works()
  await downRestores()
})

test('flags that a connection in place does not have are named', async () => {
  const same = await kt.machine.kt(['up', '--dns', 'auto'])
  assert.equal(same.code, 0)
  assert.doesNotMatch(same.stderr, /not heeded/)
  const other = await kt.machine.kt(['up', '--include', '10.9.0.0/16', '--dns', 'none'])
  assert.equal(other.code, 0, other.stderr)
  assert.match(other.stderr, /already connected/)
  assert.match(other.stderr, /--include, --dns: not heeded/)
})
