// The main job on a real cluster, as an ordinary user of a laptop: once with a plain resolv.conf, once with
// systemd-resolved in charge.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { type Machine, realCluster, realMachine } from '../support/machine.ts'
import { stateDifferences } from '../support/network-state.ts'
import { until } from '../support/until.ts'
import { NAMESPACE, startPeer, stopPeer } from './peer.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const kubectl = (...args: string[]) =>
  execFileSync(program, ['kubectl', ...args], { encoding: 'utf8', maxBuffer: 64 << 20 }).trim()

before(() => {
  if (!skip) startPeer(program)
})
after(() => {
  if (!skip) stopPeer(program)
})

// The cluster makes a device `v-laptop-NAME` of it, so six characters at most.
for (const [resolver, laptopName] of [
  ['plain', 'e2e'],
  ['resolved', 'e2er'],
] as const) {
  describe(`connected, ${resolver} resolver`, { skip }, () => {
    let laptop: Machine
    let before_: Awaited<ReturnType<Machine['state']>>
    let peer: { pods: string[]; services: string[] }

    before(async () => {
      laptop = realMachine(program, laptopName)
      if (resolver === 'resolved') {
        const { code } = await laptop.run(['test', '-S', '/run/dbus/system_bus_socket'])
        if (code !== 0) execFileSync(program, ['resolved', '--as', 'e2er'], { stdio: 'ignore' })
      }
      await laptop.kt(['down'], { sudo: true })
      // A laptop that was made a moment ago is still checking its own addresses (RFC 4862 5.4), which adds routes.
      await until(
        'no address is tentative',
        async () => (await laptop.run(['ip', '-6', 'addr', 'show', 'tentative'])).stdout === '',
      )
      before_ = await laptop.state()
      const up = await laptop.kt(['up', '-n', NAMESPACE], { sudo: true })
      assert.equal(up.code, 0, up.stderr)
      assert.match(up.stderr, /shadow .*kt-shadow-/)
      peer = {
        pods: kubectl('-n', NAMESPACE, 'get', 'pod', 'peer', '-o', 'jsonpath={.status.podIPs[*].ip}').split(' '),
        services: kubectl('-n', NAMESPACE, 'get', 'svc', 'peer', '-o', 'jsonpath={.spec.clusterIPs[*]}').split(' '),
      }
    })

    test('status says connected, and the engine runs as the user', async () => {
      const { code, stdout } = await laptop.kt(['status', '--json'])
      assert.equal(code, 0)
      const status = JSON.parse(stdout)
      assert.equal(status.state, 'connected')
      assert.equal(status.namespace, NAMESPACE)
      assert.equal(status.dns.mode, resolver === 'plain' ? 'resolvconf' : 'resolved')
      const owner = execFileSync('stat', ['-c', '%u', `/proc/${status.pid}`], { encoding: 'utf8' }).trim()
      assert.equal(owner, '1500')
    })

    test('kt up again says so and succeeds; in another namespace it names where it is', async () => {
      const again = await laptop.kt(['up', '-n', NAMESPACE], { sudo: true })
      assert.equal(again.code, 0, again.stderr)
      assert.match(again.stderr, /already connected/)
      const other = await laptop.kt(['up', '-n', 'shop'], { sudo: true })
      assert.equal(other.code, 1)
      assert.match(other.stderr, new RegExp(`already connected to .*namespace ${NAMESPACE}`))
    })

    test('pods and services answer by address, over both families', async () => {
      for (const host of peer.pods)
        assert.equal((await laptop.probe('get', { url: `http://${bracket(host)}:8080/1000` })).bytes, 1000, host)
      for (const host of peer.services)
        assert.equal((await laptop.probe('get', { url: `http://${bracket(host)}/1000` })).bytes, 1000, host)
    })

    test('each form of a name works in ordinary programs', async () => {
      for (const name of [
        'peer',
        `peer.${NAMESPACE}`,
        `peer.${NAMESPACE}.svc`,
        `peer.${NAMESPACE}.svc.cluster.local`,
        'web.shop',
      ]) {
        const { code, stdout } = await laptop.run([
          'curl',
          '-sS',
          '-m',
          '10',
          '-o',
          '/dev/null',
          '-w',
          '%{http_code}',
          `http://${name}/`,
        ])
        assert.deepEqual([code, stdout], [0, '200'], name)
      }
      const headless = await laptop.run(['getent', 'ahostsv4', 'db.shop'])
      assert.equal(
        new Set(
          headless.stdout
            .split('\n')
            .map((line) => line.split(' ')[0])
            .filter(Boolean),
        ).size,
        2,
        headless.stdout,
      )
      assert.equal((await laptop.run(['getent', 'hosts', 'db-0.db.shop'])).code, 0)
    })

    test('records of other types, reverse names, and names that do not exist', async () => {
      const query = async (...args: string[]) =>
        JSON.parse((await laptop.kt(['dns', 'query', '--json', ...args])).stdout)
      assert.equal(
        (await query('_http._tcp.db.shop', 'SRV')).records.filter((r: { type: string }) => r.type === 'SRV').length,
        2,
      )
      assert.equal(
        (await query(`peer.${NAMESPACE}`, 'AAAA')).records.at(-1).data,
        peer.services.find((a) => a.includes(':')),
      )
      assert.equal((await query(`nothing.${NAMESPACE}.svc.cluster.local`)).rcode, 'NXDOMAIN')
      const pointer = await laptop.run(['getent', 'hosts', peer.services[0]])
      assert.match(pointer.stdout, new RegExp(`peer\\.${NAMESPACE}\\.svc`))
    })

    test('public names go to the resolver of before, and not to the cluster', async () => {
      const { stdout } = await laptop.run(['curl', '-s', '-m', '10', 'http://www.example.com/'])
      assert.equal(stdout, 'a public page\n')
      assert.notEqual((await laptop.run(['getent', 'hosts', 'nobody.example.com'])).code, 0)
      const asked = kubectl('-n', 'kube-system', 'logs', '-l', 'k8s-app=kube-dns', '--tail=-1', '--since=60s')
      assert.doesNotMatch(asked, /example\.com/)
    })

    test('datagrams come back whole', async () => {
      const { ms } = await laptop.probe('udp', {
        host: kubectl('-n', 'shop', 'get', 'svc', 'web', '-o', 'jsonpath={.spec.clusterIP}'),
        port: 7,
        sizes: [64, 1400, 8000, 30_000],
      })
      assert.ok(
        ms.every((one) => one !== null),
        JSON.stringify(ms),
      )
    })

    test('a download and an upload of 200 MB keep their checksums, four at once too', async () => {
      const url = `http://peer.${NAMESPACE}/200000000`
      const sums = await Promise.all(Array.from({ length: 4 }, () => laptop.probe('get', { url, timeoutMs: 120_000 })))
      for (const one of sums)
        assert.deepEqual([one.bytes, one.sha256, one.error], [200_000_000, sums[0].sha256, undefined])
      const ups = await Promise.all(
        Array.from({ length: 4 }, () =>
          laptop.probe('put', { url: `http://peer.${NAMESPACE}/`, bytes: 50_000_000, timeoutMs: 120_000 }),
        ),
      )
      for (const one of ups) assert.equal(one.text, one.sha256)
    })

    test('a closed port is refused at once, and a reset in mid-download is a reset', async () => {
      const refused = await laptop.probe('tcp', { host: peer.pods[0], port: 4444 })
      assert.equal(refused.error, 'ECONNREFUSED')
      assert.ok(refused.ms < 200, `${refused.ms} ms`)
      const { stderr } = await laptop.run([
        'curl',
        '-sS',
        '-m',
        '10',
        '--http0.9',
        '-o',
        '/dev/null',
        `http://${bracket(peer.pods[0])}:8081/`,
      ])
      assert.match(stderr, /reset/i)
    })

    test('half-close: a byte comes back after FIN', async () => {
      const { equal } = await laptop.probe('echo', { host: `peer.${NAMESPACE}`, port: 7, bytes: 1 })
      assert.ok(equal)
    })

    test('2,000 connections at once, 3,000 one after another, and nothing of them stays', async () => {
      const host = peer.services[0]
      const many = await laptop.probe('many', { host, port: 7, count: 2000, timeoutMs: 60_000 })
      assert.deepEqual([many.echoed, many.errors], [2000, {}])
      const series = await laptop.probe('series', { host, port: 7, count: 3000, lanes: 8 })
      assert.deepEqual([series.echoed, series.errors], [3000, {}])
      let flows = -1
      for (let i = 0; i < 50 && flows !== 0; i++) {
        flows = JSON.parse((await laptop.kt(['status', '--json'])).stdout).flows.tcp
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      assert.equal(flows, 0)
    })

    test('kt down puts everything back, here and in the cluster', async () => {
      const down = await laptop.kt(['down'])
      assert.equal(down.code, 0, down.stderr)
      assert.deepEqual(stateDifferences(before_, await laptop.state()), [])
      assert.equal((await laptop.kt(['status'])).code, 3)
      assert.equal((await laptop.kt(['down'])).code, 0)
      assert.equal(kubectl('-n', NAMESPACE, 'get', 'jobs,secrets', '-o', 'name'), '')
    })
  })
}

function bracket(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
