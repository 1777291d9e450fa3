// What kt shows of itself on a real cluster, as an ordinary user of a laptop: flows, names, counters, packets.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { DnsLogEntry, DnsTrace, FlowReport, Flows } from '../../src/control/views.ts'
import { type Machine, realCluster, realMachine } from '../support/machine.ts'
import { missing } from '../support/programs.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const kt = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin/kt')
const kubectl = (...args: string[]) => execFileSync(program, ['kubectl', ...args], { encoding: 'utf8' }).trim()

describe('the views, connected', { skip }, () => {
  let laptop: Machine
  let folder: string
  /** Runs a script of bash as the user; its output, and a failure if it fails. */
  const bash = async (script: string) => {
    const { code, stdout, stderr } = await laptop.run(['bash', '-c', script], { timeoutMs: 60_000 })
    assert.equal(code, 0, `${script}\n${stdout}\n${stderr}`)
    return stdout
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kt-views-'))
    execFileSync('chmod', ['777', folder])
    laptop = realMachine(program, 'views')
    await laptop.kt(['down'], { sudo: true })
    const up = await laptop.kt(['up', '-n', 'shop'], { sudo: true })
    assert.equal(up.code, 0, up.stderr)
  })
  after(async () => {
    await laptop?.kt(['down'], { sudo: true })
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  test('a flow has its program, the name that was asked for or is found in reverse, and its bytes', async () => {
    const service = kubectl('-n', 'shop', 'get', 'svc', 'web', '-o', 'jsonpath={.spec.clusterIP}')
    const pod = kubectl('-n', 'shop', 'get', 'pod', 'db-0', '-o', 'jsonpath={.status.podIP}')
    const text = await bash(
      `exec 3<>/dev/tcp/db-0.db.shop/7 4<>/dev/tcp/${service}/80; printf 'hello\\n' >&3; read -r line <&3
       echo "$line $$"; ${kt} flows --json 3>&- 4>&-; ${kt} flows 3>&- 4>&-`,
    )
    const [, pid] = /^hello (\d+)\n/.exec(text)!
    const { flows } = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Flows
    const mine = flows.filter((flow) => flow.process?.pid === Number(pid))
    const facts = ({ protocol, state, name, remote, process, bytesIn, bytesOut }: FlowReport) => ({
      protocol,
      state,
      name,
      remote,
      process: process?.name,
      bytesIn,
      bytesOut,
    })
    const shared = { protocol: 'tcp' as const, state: 'ESTABLISHED', process: 'bash' }
    assert.deepEqual(
      mine.map(facts).sort((a, b) => a.remote.localeCompare(b.remote)),
      [
        { ...shared, name: 'db-0.db.shop', remote: `${pod}:7`, bytesIn: 6, bytesOut: 6 },
        { ...shared, name: 'web.shop', remote: `${service}:80`, bytesIn: 0, bytesOut: 0 },
      ].sort((a, b) => a.remote.localeCompare(b.remote)),
      text,
    )
    assert.match(text, new RegExp(`bash\\[${pid}\\] +db-0\\.db\\.shop:7 +tcp ${pod}:7 +established`))
  })

  test('a trace tells rule, completion, server and answer; the log has what programs asked', async () => {
    await bash('getent ahostsv4 web.shop >/dev/null; getent ahostsv4 web.shop >/dev/null')
    const trace = JSON.parse((await laptop.kt(['dns', 'trace', 'web.shop', '--json'])).stdout) as DnsTrace
    assert.equal(trace.rcode, 'NOERROR')
    assert.equal(trace.decisions.at(-1)!.cluster[0], 'web.shop.svc.cluster.local')
    assert.equal(trace.cache.state, 'fresh')
    assert.match(trace.tries.at(-1)!.upstream, /through the shadow/)
    const missing = await laptop.kt(['dns', 'trace', 'nobody.example.com'])
    assert.equal(missing.code, 1)
    assert.match(missing.stdout, /public name below \.com[\s\S]*asked +198\.51\.100\.53[\s\S]*NXDOMAIN/)
    const { entries } = JSON.parse((await laptop.kt(['dns', 'log', '--json'])).stdout) as { entries: DnsLogEntry[] }
    const asked = entries.filter(({ name }) => name === 'web.shop')
    assert.ok(asked.some(({ upstream }) => upstream === 'cache'))
    assert.ok(asked.every(({ rule, rcode }) => rule === 'shop is a namespace' && rcode === 'NOERROR'))
    assert.ok(!entries.some(({ name }) => name === 'nobody.example.com'), 'a trace is no question of a program')
  })

  test('the metrics count what went through', async () => {
    const { stdout } = await laptop.kt(['metrics'])
    const value = (line: string) => Number(new RegExp(`^${line} (\\S+)$`, 'm').exec(stdout)?.[1])
    assert.equal(value('kt_state\\{state="connected"\\}'), 1)
    assert.ok(value('kt_dns_queries_total') > 0 && value('kt_received_bytes_total') > 0)
    assert.ok(value('kt_tunnel_round_trip_seconds') > 0 && value('kt_tunnel_round_trip_seconds') < 10)
  })

  test('packets of one service are captured, with names, and with the programs that lived for a moment', {
    skip: missing('tshark'),
  }, async () => {
    const file = join(folder, 'web.pcapng')
    const said = await bash(
      `${kt} flows --pcap ${file} --filter web 2>${folder}/said & capture=$!
       until [ -s ${file} ]; do sleep 0.1; done
       for i in 1 2 3; do curl -sS -o /dev/null http://web/; curl -sS -6 -o /dev/null http://web.shop/; sleep 0.2; done
       exec 3<>/dev/tcp/db-0.db.shop/7; exec 3>&-
       sleep 1; kill -INT $capture; wait $capture; cat ${folder}/said`,
    )
    assert.match(said, /^capturing into .*\n[1-9]\d* packets, [\d.]+ kB\n$/)
    const words = ['-N', 'n', '-r', file, '-T', 'fields', '-E', 'separator=|', '-E', 'occurrence=f']
    const fields = ['frame.comment', 'ip.host', 'ipv6.host', 'ip.dst_host', 'ipv6.dst_host', 'http.host']
    const rows = execFileSync('tshark', [...words, ...fields.flatMap((field) => ['-e', field])], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split('\n')
      .map((line) => line.split('|'))
    assert.ok(rows.length >= 14, String(rows.length))
    for (const [comment] of rows) assert.match(comment, /^web\.shop:80( curl\[\d+\])?$/)
    assert.ok(
      rows.some(([comment]) => comment.includes('curl[')),
      'no program was found',
    )
    const requests = rows.filter((row) => row[5])
    assert.deepEqual(
      requests.map((row) => row[3] || row[4]),
      Array(6).fill('web.shop'),
    )
    const nobody = await laptop.kt(['flows', '--pcap', join(folder, 'none'), '--filter', 'nobody'])
    assert.equal(nobody.code, 1)
    assert.match(nobody.stderr, /^error: nobody has no address\n.*kt dns trace nobody/)
  })

  test('the watched views draw on a terminal and leave it, and print lines without one', async () => {
    for (const command of ['flows --watch', 'status --watch']) {
      const screen = await bash(`(sleep 3; printf q) | script -qec '${kt} ${command}' /dev/null`)
      assert.ok(screen.includes('\x1b[?1049h') && screen.includes('\x1b[?1049l'), JSON.stringify(screen))
      assert.match(screen, /flow|connected/)
    }
    const lines = (await bash(`${kt} status --watch --json | head -2`)).trim().split('\n')
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).state),
      ['connected', 'connected'],
    )
  })
})
