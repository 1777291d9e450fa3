import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { until } from '../support/until.ts'
import { KtLab } from './kt-fixture.ts'
import { topology } from './lab.ts'
import { contentDigest } from './servers.ts'

const { webAddresses, webPods, nobody, silent } = topology
let kt: KtLab
before(async () => {
  kt = await KtLab.start()
  await kt.up()
})
after(() => kt?.[Symbol.asyncDispose]())

const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host)

test('status says connected, and where to; a second `kt up` says so and does nothing', async () => {
  const { state, namespace, shadow, dns } = await kt.status()
  assert.deepEqual([state, namespace, shadow.kind, dns.mode], ['connected', 'shop', 'agent', 'resolvconf'])
  const again = await kt.machine.kt(['up'], { sudo: true })
  assert.equal(again.code, 0, again.stderr)
  assert.equal((await kt.lab.api.list('jobs')).length, 1)
})

test('the engine runs as dev with dev’s groups, the helper as root', async () => {
  const { engine, helper } = kt.processes()
  const field = (pid: number | undefined, name: string) =>
    new RegExp(`^${name}:\\s*(.*)$`, 'm')
      .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
      .trim()
      .split(/\s+/)
  assert.deepEqual(field(engine, 'Uid'), ['1500', '1500', '1500', '1500'])
  assert.deepEqual(field(engine, 'Groups'), ['1500', '1501'])
  assert.equal(field(helper, 'Uid')?.[0], '0')
})

test('a service answers under each form of its name, and by address over both families', async () => {
  const hosts = ['web', 'web.shop', 'web.shop.svc', 'web.shop.svc.cluster.local', 'web.shop.svc.cluster.local.']
  for (const host of [...hosts, ...webAddresses.map(bracketed)]) {
    const page = await kt.machine.probe('get', { url: `http://${host}/`, keepText: true })
    assert.equal(page.status, 200, `${host}: ${page.error}`)
    assert.match(JSON.parse(page.text!).from, /^web-/, host)
  }
  for (const address of webPods[1].addresses) {
    const page = await kt.machine.probe('get', { url: `http://${bracketed(address)}:8080/`, keepText: true })
    assert.equal(JSON.parse(page.text!).from, webPods[1].name, address)
  }
})

test('headless names, pod names, SRV, PTR, TXT, long answers', async () => {
  const values = async (name: string, type: 'A' | 'AAAA' | 'SRV' | 'PTR' | 'TXT') =>
    (await kt.machine.probe('resolve', { name, type })).values
  assert.deepEqual(await values('db.shop', 'A'), ['10.111.0.20', '10.111.0.21'])
  assert.deepEqual(await values('db-0.db.shop', 'AAAA'), ['fd00:111::14'])
  assert.deepEqual(await values('_http._tcp.web.shop.svc.cluster.local', 'SRV'), ['web.shop.svc.cluster.local:80'])
  assert.deepEqual(await values(webAddresses[1], 'PTR'), ['web.shop.svc.cluster.local'])
  assert.deepEqual(await values('dns-version.cluster.local', 'TXT'), ['1.1.0'])
  assert.equal((await values('crowd.shop.svc.cluster.local', 'A')).length, 60)
  const none = await kt.machine.probe('resolve', { name: 'nosuch.shop.svc.cluster.local', type: 'A' })
  assert.equal(none.error, 'ENOTFOUND')
})

test('public names stay with the laptop’s resolver, the cluster’s names with the cluster’s', async () => {
  await Promise.all([kt.lab.cluster.forgetQuestions(), kt.lab.world.forgetQuestions()])
  for (const name of ['www.example.com', 'intranet.office.test', 'web.shop', 'web', 'nosuch.example.org'])
    await kt.machine.probe('lookup', { name })
  const [inside, outside] = await Promise.all([kt.lab.cluster.questions(), kt.lab.world.questions()])
  assert.deepEqual(
    inside.filter(({ name }) => /example|office/.test(name)).map(({ name }) => name),
    [],
  )
  assert.deepEqual(
    outside.filter(({ name }) => /shop|^web$|cluster/.test(name)).map(({ name }) => name),
    [],
  )
  assert.ok(outside.some(({ name }) => name === 'www.example.com'))
})

test('UDP comes back, small and in fragments, over both families', async () => {
  for (const host of webAddresses) {
    const { ms } = await kt.machine.probe('udp', { host, port: 7, sizes: [64, 1400, 8000] })
    assert.ok(
      ms.every((one) => one !== null),
      `${host}: ${ms}`,
    )
  }
})

test('downloads and uploads arrive whole, one and four at a time', async () => {
  const bytes = 30_000_000
  const digest = contentDigest(bytes)
  const down = () => kt.machine.probe('get', { url: `http://web.shop/bytes?n=${bytes}` })
  const up = () => kt.machine.probe('put', { url: `http://${bracketed(webAddresses[1])}/upload`, bytes })
  for (const one of [await down(), ...(await Promise.all([down(), down(), down(), down()]))])
    assert.deepEqual([one.error, one.bytes, one.sha256], [undefined, bytes, digest])
  for (const one of [await up(), ...(await Promise.all([up(), up(), up(), up()]))])
    assert.deepEqual(JSON.parse(one.text), { bytes, sha256: one.sha256 })
})

test('half-close: what was sent before FIN comes back after it', async () => {
  for (const host of webAddresses)
    for (const bytes of [1, 3_000_000]) {
      const answer = await kt.machine.probe('echo', { host, port: 7, bytes })
      assert.equal(answer.equal, true, `${host} ${bytes}: ${answer.error}`)
    }
})

test('a server’s reset in mid-download is a reset, not an end', async () => {
  const cut = await kt.machine.probe('get', { url: 'http://web.shop/reset?after=1000000' })
  assert.equal(cut.error, 'ECONNRESET')
  assert.ok(cut.bytes <= 1_000_000)
})

test('a closed port refuses, nobody is unreachable, the silent are silent: as inside the cluster', async () => {
  for (const host of webAddresses) {
    const { error, ms } = await kt.machine.probe('tcp', { host, port: 81 })
    assert.equal(error, 'ECONNREFUSED')
    assert.ok(ms < 1000, `${ms} ms`)
  }
  for (const host of nobody)
    assert.match((await kt.machine.probe('tcp', { host, port: 80 })).error ?? '', /^E(HOST|NET)UNREACH$/)
  for (const host of silent)
    assert.equal((await kt.machine.probe('tcp', { host, port: 80, timeoutMs: 700 })).error, 'ETIMEDOUT')
})

test('2,000 connections at once and 4,000 one after the other leave no flow behind', async () => {
  // The dials to the silent addresses are still being tried in the cluster.
  const { flows } = await kt.status()
  const many = await kt.machine.probe('many', { host: webAddresses[0], port: 7, count: 2000, timeoutMs: 60_000 })
  assert.deepEqual([many.echoed, many.errors], [2000, {}])
  const series = await kt.machine.probe('series', { host: webAddresses[0], port: 7, count: 4000, lanes: 20 })
  assert.deepEqual([series.echoed, series.errors], [4000, {}])
  await until('no flow is left', async () => (await kt.status()).flows.tcp <= flows.tcp, 20_000)
})

test('`kt dns status` and `kt dns query` say how names go', async () => {
  const query = JSON.parse((await kt.machine.kt(['dns', 'query', 'web.shop', 'A', '--json'])).stdout)
  assert.equal(query.rcode, 'NOERROR')
  assert.equal(query.records.at(-1).data, webAddresses[0])
  const status = JSON.parse((await kt.machine.kt(['dns', 'status', '--json'])).stdout)
  assert.deepEqual([status.mode, status.clusterDomain], ['resolvconf', 'cluster.local'])
})

test('`kt down` puts everything back, byte for byte, and leaves nothing in the cluster', async () => {
  await kt.down()
  await kt.noProcesses()
  assert.equal((await kt.machine.kt(['status'])).code, 3)
  assert.equal((await kt.machine.kt(['down'])).code, 0, 'down with nothing running')
})
