// What tells before and besides connecting, on a real cluster: `kt check` as several people in several states, the
// versions of both ends, completion with the cluster's names, a profile.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CheckLine } from '../../src/control/check.ts'
import { VERSION } from '../../src/control/version.ts'
import { type Machine, realCluster, realMachine } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const kubectl = (...args: string[]) => execFileSync(program, ['kubectl', ...args], { encoding: 'utf8' }).trim()

describe('before connecting', { skip }, () => {
  let laptop: Machine
  let home: string
  let developer: string

  before(async () => {
    laptop = realMachine(program, 'e2ech')
    await laptop.kt(['down'], { sudo: true })
    home = (await laptop.run(['sh', '-c', 'echo $HOME'])).stdout.trim()
    const state = dirname(execFileSync(program, ['kubeconfig'], { encoding: 'utf8' }).trim())
    developer = join(home, 'developer.kubeconfig')
    await write(developer, readFileSync(join(state, 'developer.kubeconfig'), 'utf8'))
  })
  after(async () => {
    await laptop.kt(['down'], { sudo: true })
    await laptop.run(['rm', '-rf', developer, join(home, '.config/kt'), join(home, 'dead.kubeconfig')])
  })

  const write = (file: string, text: string) =>
    laptop.run(['sh', '-c', 'echo "$0" | base64 -d > "$1"', Buffer.from(text).toString('base64'), file])
  const check = async (...args: string[]) => {
    const { code, stdout, stderr } = await laptop.kt(['check', '--json', ...args])
    assert.notEqual(stdout, '', stderr)
    const report = JSON.parse(stdout) as { ok: boolean; checks: CheckLine[]; notTried: string[] }
    return { code, report, line: (name: string) => report.checks.find((one) => one.name === name) }
  }
  const bad = (checks: CheckLine[]) => checks.filter(({ state }) => state !== 'ok').map(({ name }) => name)

  test('an administrator: all is well', async () => {
    const { code, report } = await check('-n', 'shop')
    assert.deepEqual(bad(report.checks), [])
    assert.equal(code, 0)
  })

  test('a developer with rights in one namespace, and a shadow that is made, tried and removed', async () => {
    const { code, report, line } = await check('--kubeconfig', developer, '--shadow', '--label', 'kt-test=e2ech')
    assert.equal(code, 0, JSON.stringify(report.checks.filter(({ state }) => state === 'failed')))
    assert.deepEqual(bad(report.checks), ["pods' range", 'list servicecidrs', 'list nodes'])
    assert.match(line('pod')!.result, /^node:24-alpine runs on node\d/)
    assert.match(line('port-forward')!.result, /ms round trip/)
    assert.match(line('policies')!.result, /the cluster's DNS 10\.96\.0\.10:53/)
    assert.deepEqual(report.notTried, [])
    assert.ok(!report.checks.some(({ name }) => name === 'removal'))
    assert.equal(kubectl('-n', 'shop', 'get', 'jobs', '-l', 'kt-test=e2ech', '-o', 'name'), '')
  })

  test('no rights, no such namespace, no such context, a dead API server, a pod that is refused', async () => {
    const elsewhere = await check('--kubeconfig', developer, '-n', 'kube-system', '--shadow')
    assert.equal(elsewhere.code, 1)
    assert.equal(elsewhere.line('create jobs')!.state, 'failed')
    assert.equal(elsewhere.line('pod'), undefined, 'no shadow is tried without the rights')
    const nowhere = await check('-n', 'nope')
    assert.match(nowhere.line('namespace')!.result, /no namespace "nope"/)
    assert.equal((await check('--context', 'nope')).line('kubeconfig')!.state, 'failed')
    await laptop.run(['sh', '-c', 'sed "s/:6443/:6444/" "$0" > "$1"', developer, join(home, 'dead.kubeconfig')])
    const dead = await check('--kubeconfig', join(home, 'dead.kubeconfig'))
    assert.match(dead.line('API server')!.result, /refuses the connection/)
    const sshd = ['--shadow', 'sshd', '--image', 'localhost/sshd-shadow:1']
    const strict = await check('-n', 'strict', ...sshd)
    assert.match(strict.line('Pod Security')!.result, /violates PodSecurity/)
    assert.equal(strict.line('pod')!.state, 'failed')
    for (const { report, code } of [elsewhere, nowhere, dead, strict]) {
      assert.equal(code, 1)
      for (const { name, state, advice } of report.checks) assert.ok(state === 'ok' || advice, name)
    }
  })

  test('completion knows namespaces, services and contexts; a profile is heeded', async () => {
    const complete = async (...words: string[]) =>
      (await laptop.kt(['__complete', '--', ...words])).stdout.split('\n').map((line) => line.split('\t')[0])
    // It gives up after a short while, which a busy machine may need more than once.
    await until('namespaces', async () => (await complete('up', '-n', '')).includes('shop'), 30_000)
    await until('services', async () => (await complete('dns', 'query', '-n', 'shop', 'we')).includes('web'), 30_000)
    await until('contexts', async () => (await complete('up', '--context', '')).includes('ktc'), 30_000)
    assert.equal((await laptop.kt(['config', '--profile', 'team', 'set', 'namespace', 'strict'])).code, 0)
    assert.deepEqual(await complete('up', '--profile', ''), ['team', ''])
    assert.equal((await check('--profile', 'team')).line('namespace')!.result, 'strict')
  })

  test('while connected: the tunnel, both versions; the check under sudo is the same', async () => {
    assert.equal((await laptop.kt(['config', 'set', 'namespace', 'shop'])).code, 0)
    const up = await laptop.kt(['up'], { sudo: true })
    assert.equal(up.code, 0, up.stderr)
    assert.match(up.stderr, /namespace shop/, "under sudo it is the caller's configuration")
    const { code, stdout } = await laptop.kt(['check', '--json'], { sudo: true })
    const { checks } = JSON.parse(stdout) as { checks: CheckLine[] }
    assert.deepEqual(bad(checks), [])
    assert.equal(code, 0)
    assert.match(checks.find(({ name }) => name === 'tunnel')!.result, /^stands, to kt-shadow-/)
    const { kt, engine, shadow } = JSON.parse((await laptop.kt(['version', '--json'])).stdout)
    assert.deepEqual([kt, engine.version, shadow.version], [VERSION, VERSION, VERSION])
    const owner = await laptop.run(['stat', '-c', '%U %a', join(home, '.config/kt/config.json')])
    assert.equal(owner.stdout.trim(), 'dev 600')
  })
})
