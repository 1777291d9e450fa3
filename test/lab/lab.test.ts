import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { labMachine } from '../support/machine.ts'
import { networkState, stateDifferences } from '../support/network-state.ts'
import { until } from '../support/until.ts'
import { type Lab, startLab, topology } from './lab.ts'
import { addNamespace, cleanStale, labFolder } from './namespaces.ts'
import { contentDigest } from './servers.ts'

let lab: Lab
before(async () => {
  lab = await startLab()
})
after(() => lab?.close())

const { webAddresses, webPods, lan, nobody, silent, world } = topology
const insideProbe = async (question: object) => {
  const script = join(import.meta.dirname, '../support/probe.ts')
  return JSON.parse(await lab.exec('cluster', [process.execPath, script, JSON.stringify(question)]))
}

test('the laptop reaches the world and the API server, and nothing of the cluster', async () => {
  const machine = labMachine(lab.laptop)
  const page = await machine.probe('get', { url: 'http://www.example.com/', keepText: true })
  assert.deepEqual([page.status, page.text], [200, 'a public page\n'])
  assert.equal((await machine.probe('tcp', { host: lan.node[0], port: topology.apiPort })).error, undefined)
  for (const host of [webAddresses[0], webAddresses[1], ...webPods[0].addresses])
    assert.ok((await machine.probe('tcp', { host, port: 80, timeoutMs: 300 })).error, host)
  assert.equal((await machine.probe('resolve', { name: 'web.shop.svc.cluster.local', type: 'A' })).error, 'ENOTFOUND')
})

test('in the cluster every service answers, over both families', async () => {
  for (const host of [...webAddresses, ...webPods[1].addresses]) {
    const url = host.includes(':') ? `[${host}]` : host
    const isService = (webAddresses as readonly string[]).includes(host)
    const page = await insideProbe({ op: 'get', url: `http://${url}:${isService ? 80 : 8080}/`, keepText: true })
    assert.match(JSON.parse(page.text).from, /^web-/)
    assert.equal((await insideProbe({ op: 'echo', host, port: 7, bytes: 100_000 })).equal, true)
    const { ms } = await insideProbe({ op: 'udp', host, port: 7, sizes: [64, 1400, 8000] })
    assert.ok(ms.every((one: number | null) => one !== null))
    assert.ok((await insideProbe({ op: 'speed', host, port: 19, ms: 500 })).bytes > 0)
  }
})

test('downloads and uploads carry checksums, and a reset in mid-download is one', async () => {
  const base = `http://${webAddresses[0]}`
  const down = await insideProbe({ op: 'get', url: `${base}/bytes?n=5000000` })
  assert.deepEqual([down.bytes, down.sha256], [5_000_000, contentDigest(5_000_000)])
  const up = await insideProbe({ op: 'put', url: `${base}/upload`, bytes: 5_000_000 })
  assert.deepEqual(JSON.parse(up.text), { bytes: 5_000_000, sha256: up.sha256 })
  const cut = await insideProbe({ op: 'get', url: `${base}/reset?after=1000000` })
  assert.deepEqual([cut.error, cut.bytes], ['ECONNRESET', 1_000_000])
})

test('in the cluster nobody is unreachable, the silent are silent, a closed port refuses', async () => {
  for (const host of nobody)
    assert.match((await insideProbe({ op: 'tcp', host, port: 80 })).error, /^E(HOST|NET)UNREACH$/)
  for (const host of silent)
    assert.equal((await insideProbe({ op: 'tcp', host, port: 80, timeoutMs: 300 })).error, 'ETIMEDOUT')
  for (const host of webAddresses)
    assert.equal((await insideProbe({ op: 'tcp', host, port: 81 })).error, 'ECONNREFUSED')
})

test('the cluster’s DNS answers over UDP and, for the long, over TCP, and remembers what it was asked', async () => {
  const server = topology.dnsAddresses[0]
  const resolve = (name: string, type: string) => insideProbe({ op: 'resolve', name, type, server })
  assert.deepEqual((await resolve('db.shop.svc.cluster.local', 'A')).values, ['10.111.0.20', '10.111.0.21'])
  assert.equal((await resolve('crowd.shop.svc.cluster.local', 'AAAA')).values.length, 60)
  assert.deepEqual((await resolve('_http._tcp.web.shop.svc.cluster.local', 'SRV')).values, [
    'web.shop.svc.cluster.local:80',
  ])
  assert.deepEqual((await resolve('10.112.0.20', 'PTR')).values, ['web.shop.svc.cluster.local'])
  assert.equal((await resolve('nosuch.shop.svc.cluster.local', 'A')).error, 'ENOTFOUND')
  assert.equal((await resolve('web.shop.svc.cluster.local', 'TXT')).error, 'ENODATA')
  const asked = await lab.cluster.questions()
  assert.ok(asked.some(({ name, transport }) => name.startsWith('crowd') && transport === 'udp'))
})

test('the link can be cut, unplugged and mended, and leaves the laptop’s state as it was', async () => {
  const machine = labMachine(lab.laptop)
  const first = await machine.state()
  const open = async () => (await machine.probe('tcp', { host: world.page[1], port: 80, timeoutMs: 1500 })).error
  assert.equal(await open(), undefined)
  for (const harm of ['cut', 'unplug'] as const) {
    lab.link[harm]()
    assert.ok(await open(), harm)
    lab.link.restore()
    await until(`mended after ${harm}`, async () => (await open()) === undefined)
  }
  assert.deepEqual(stateDifferences(first, await machine.state()), [])
})

test('a change of address, route, rule, resolv.conf or hosts shows in the comparison', async () => {
  const machine = labMachine(lab.laptop)
  const first = await machine.state()
  const changes: [string, string, RegExp][] = [
    ['ip addr add 192.0.2.1/32 dev lo', 'ip addr del 192.0.2.1/32 dev lo', /addresses: new: lo 192\.0\.2\.1/],
    ['ip -6 route add 2001:db8:9::/48 dev eth0', 'ip -6 route del 2001:db8:9::/48 dev eth0', /IPv6 routes: new/],
    ['ip rule add table 9', 'ip rule del table 9', /IPv4 rules: new/],
    ['cp -p /etc/resolv.conf /run/r; echo >>/etc/resolv.conf', 'cp -p /run/r /etc/resolv.conf', /resolv\.conf/],
    ['chmod 600 /etc/resolv.conf', 'chmod 644 /etc/resolv.conf', /kind of .*: new: regular file 600/],
    ['cp -p /etc/hosts /run/h; echo x >>/etc/hosts', 'cp -p /run/h /etc/hosts', /hosts: new: x/],
  ]
  for (const [doing, undoing, expected] of changes) {
    await machine.run(['sh', '-c', doing], { user: 'root' })
    assert.match(stateDifferences(first, await machine.state()).join('\n'), expected)
    await machine.run(['sh', '-c', undoing], { user: 'root' })
    assert.deepEqual(stateDifferences(first, await machine.state()), [], undoing)
  }
})

test('the slow way to the API server is as slow as asked', async () => {
  const { slowApiPort } = topology
  const trip = async () => {
    const code = `const t=performance.now();require('https').get({host:'${lan.gateway[0]}',port:${slowApiPort},path:'/version',
      rejectUnauthorized:false},r=>r.on('end',()=>console.log(performance.now()-t)).resume())`
    return Number((await lab.laptop.run([lab.laptop.node, '-e', code])).stdout)
  }
  const quick = await trip()
  await lab.world.setProxy({ delayMs: 60 })
  const slow = await trip()
  await lab.world.setProxy({ delayMs: 0 })
  assert.ok(slow >= quick / 4 + 240, `${slow} ms, without delay ${quick} ms`) // two round trips of 120 ms for TLS and request
})

test('user dev is an ordinary person with a second group; a command that hangs is ended', async () => {
  const { stdout } = await lab.laptop.run(['sh', '-c', 'id -u; id -Gn; echo $HOME; cat ~/.kube/config'])
  assert.match(stdout, /^1500\ndev kt-lab-extra\n.*\/home\n\{/)
  assert.equal((await lab.laptop.run(['sleep', '100'], { timeoutMs: 100 })).code, undefined)
  assert.equal((await lab.laptop.run(['sh', '-c', 'sleep 5 & echo x'])).heldOpen, true)
})

test('closing removes namespaces, folder and processes; what a killed lab left goes with the next', async () => {
  const second = await startLab()
  await second.close()
  assert.deepEqual(
    readdirSync('/run/netns').filter((name) => name.startsWith(`${second.name}-`)),
    [],
  )
  assert.equal(existsSync(labFolder(second.name)), false)
  // Process ids end at 4194304 (proc(5), pid_max), so this one never was.
  const dead = 'kt-lab-4194399'
  addNamespace(`${dead}-laptop`)
  mkdirSync(labFolder(dead))
  writeFileSync(join(labFolder(dead), 'owner'), '4194399 1')
  assert.ok(cleanStale().includes(dead))
  assert.equal(existsSync(labFolder(dead)), false)
  assert.ok(!readdirSync('/run/netns').includes(`${dead}-laptop`))
  // Ours lives on.
  const state = await networkState(async (command) => (await lab.laptop.run(command, { user: 'root' })).stdout)
  assert.match(state['addresses'], /172\.30\.99\.100/)
})
