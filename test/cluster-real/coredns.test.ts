// The real CoreDNS: KT_TEST_CLUSTER names the program that runs the test cluster; `PROGRAM in node1 CMD` runs a command
// where the cluster's addresses can be reached, `PROGRAM kubectl` is kubectl.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const program = process.env['KT_TEST_CLUSTER']
const skip = program ? false : 'KT_TEST_CLUSTER does not name a cluster program'
interface Result {
  rcode: string
  answers: { name: string; type: string; data: string }[]
  rule: string
}
type Run = { results: Record<string, Result>; toLaptop: string[]; domains: string[] }

test('names as in a pod from the real CoreDNS, over UDP and over TCP', { skip }, () => {
  const kubectl = (...args: string[]) =>
    execFileSync(program!, ['kubectl', ...args], { encoding: 'utf8', maxBuffer: 64 << 20 })
  const field = (path: string) => kubectl('-n', 'shop', 'get', 'svc', 'web', '-o', `jsonpath={${path}}`)
  const publicName = `www.kt-test-${process.pid}.example.com`
  const probe = fileURLToPath(new URL('../dns/coredns-probe.ts', import.meta.url))
  const output = execFileSync(program!, ['in', 'node1', process.execPath, probe, '10.96.0.10', publicName])
  const runs = JSON.parse(output.toString()) as { udp: Run; tcp: Run }
  const [v4, v6] = field('.spec.clusterIPs[*]').split(' ')
  for (const { results, toLaptop, domains } of [runs.udp, runs.tcp]) {
    const data = (question: string, type = question.split(' ')[1]) =>
      results[question].answers.filter((record) => record.type === type).map((record) => record.data)
    for (const name of ['web', 'web.shop', 'web.shop.svc', 'web.shop.svc.cluster.local'])
      assert.deepEqual(data(`${name} A`), [v4], name)
    assert.deepEqual(data('web AAAA'), [v6])
    assert.equal(data('db A').length, 2)
    assert.equal(data('db-0.db.shop A').length, 1)
    assert.deepEqual(data('db-0.db A'), data('db-0.db.shop A'))
    assert.deepEqual([results['db-0.db.shop AAAA'].rcode, data('db-0.db.shop AAAA')], ['NOERROR', []])
    assert.deepEqual(data('_http._tcp.web.shop SRV'), ['0 50 80 web.shop.svc.cluster.local'])
    assert.deepEqual([results['web TXT'].rcode, data('web TXT')], ['NOERROR', []])
    assert.deepEqual(data('kube-dns.kube-system A'), ['10.96.0.10'])
    assert.equal(results['nope.shop A'].rcode, 'NXDOMAIN')
    assert.equal(results['nope.shop.svc A'].rcode, 'NXDOMAIN')
    assert.deepEqual(data('10.0.96.10.in-addr.arpa PTR'), ['kube-dns.kube-system.svc.cluster.local'])
    assert.deepEqual(data(`${publicName} A`), ['203.0.113.80'])
    // No name of the cluster but the one it did not have (see docs/understand/dns.md), and a namespace nobody had told of.
    assert.deepEqual(toLaptop, ['nope.shop A', `${publicName} A`])
    assert.ok(domains.includes('kube-system'))
  }
  const log = kubectl('-n', 'kube-system', 'logs', '-l', 'k8s-app=kube-dns', '--tail=-1', '--since=120s')
  assert.ok(log.includes('kube-dns.kube-system.svc.cluster.local'))
  assert.ok(!log.includes(`kt-test-${process.pid}`))
})
