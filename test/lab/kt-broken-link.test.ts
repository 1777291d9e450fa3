// The way to the cluster breaks in each way it can, and kt comes back by itself.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../support/until.ts'
import { KtLab } from './kt-fixture.ts'
import { topology } from './lab.ts'

let kt: KtLab
before(async () => {
  kt = await KtLab.start()
  await kt.up()
})
after(() => kt?.[Symbol.asyncDispose]())

test('the port-forward is dropped: a new one, the same shadow', async () => {
  const { shadow } = await kt.status()
  await kt.lab.api.dropForwards()
  await kt.works()
  assert.equal((await kt.status()).shadow.pod, shadow.pod)
})

test('the port-forward is cut again and again in mid-download: the download goes on, and is whole', async () => {
  const url = 'http://web.shop/bytes?n=50000000'
  const whole = await kt.machine.probe('get', { url })
  await kt.lab.api.setFaults({ cutForwardAfter: 4_000_000 })
  const cut = await kt.machine.probe('get', { url })
  await kt.lab.api.setFaults()
  assert.deepEqual([cut.error, cut.bytes, cut.sha256], [undefined, 50_000_000, whole.sha256])
  const { line } = await kt.status()
  assert.ok(line!.resumptions >= 5, `${line!.resumptions} resumptions`)
  await kt.works()
})

test('the shadow is killed in mid-download: the download is a reset, never a whole file', async () => {
  const { shadow, bytes: before } = await kt.status()
  const cut = kt.machine.probe('get', { url: 'http://web.shop/bytes?n=2000000000' })
  await until('it flows', async () => (await kt.status()).bytes.in > before.in + 60_000_000)
  await kt.lab.api.killPod(shadow.pod)
  const { error, bytes } = await cut
  assert.equal(error, 'ECONNRESET')
  assert.ok(bytes < 2_000_000_000)
  await kt.works(60_000)
})

test('a connection opened while the tunnel is away waits for it instead of failing', async () => {
  await kt.lab.api.stop()
  const waiting = kt.machine.probe('tcp', { host: topology.webAddresses[0], port: 80, timeoutMs: 60_000 })
  await until('kt has noticed', async () => (await kt.status()).state !== 'connected')
  await kt.lab.api.start()
  assert.equal((await waiting).error, undefined)
  await kt.works()
})

test('while the tunnel is away, names are still known', async () => {
  await kt.machine.probe('lookup', { name: 'web.shop' })
  await kt.lab.api.stop()
  await until('kt has noticed', async () => (await kt.status()).state !== 'connected')
  const { values } = await kt.machine.probe('resolve', { name: 'web.shop', type: 'A' })
  await kt.lab.api.start()
  assert.deepEqual(values, [topology.webAddresses[0]])
  await kt.works()
})

test('the shadow is killed: kt makes another', async () => {
  const { shadow } = await kt.status()
  await kt.lab.api.killPod(shadow.pod)
  await kt.works(60_000)
  const now = (await kt.status()).shadow
  assert.notEqual(now.pod, shadow.pod)
})

test('the forward stalls without a word: the heartbeat notices, and kt is back when it flows again', async () => {
  await kt.lab.api.setFaults({ stallForward: true })
  await until('kt has noticed', async () => (await kt.status()).state !== 'connected', 40_000)
  await kt.lab.api.setFaults()
  await kt.works(60_000)
})

test('the network is away for a while, silently and by unplugging: kt comes back', async () => {
  for (const harm of ['cut', 'unplug'] as const) {
    kt.lab.link[harm]()
    await until('kt has noticed', async () => (await kt.status()).state !== 'connected', 40_000)
    kt.lab.link.restore()
    await kt.works(60_000)
  }
})

test('after all that, `kt down` leads back to the beginning', async () => {
  await kt.down()
})
