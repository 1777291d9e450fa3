// What a connection knows of its own faults: each is there while its cause is, and says what to do.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { systemClock } from '../../src/base/clock.ts'
import { ClusterError } from '../../src/cluster/calls.ts'
import { cannotReconnect, domainsLeftOut } from '../../src/daemon/faults.ts'
import { Health } from '../../src/daemon/health.ts'
import type { Log } from '../../src/daemon/log.ts'
import { judgeProbe, Passage } from '../../src/daemon/passage.ts'
import { SelfCheck } from '../../src/daemon/self-check.ts'
import type { Fault } from '../../src/host/fault.ts'

const fault = (code: string, message = code): Fault => ({ code, message, hint: 'do this' })
const log = Object.assign(() => {}, { debug: () => {} }) as unknown as Log

const time = { clock: systemClock, wall: Date.now }

test('a fault keeps the time it was found, and is gone when its finder says so', () => {
  let now = 0
  const lines: string[] = []
  const health = new Health({
    look: async () => {},
    clock: { now: () => 0, after: () => () => {} },
    date: () => `t${now++}`,
    log: (line) => lines.push(line),
  })
  health.set('machine', [fault('link')])
  health.set('programs', [fault('no-names')])
  health.set('machine', [fault('link', 'another message'), fault('routes')])
  assert.deepEqual(
    health.faults.map(({ code, since }) => [code, since]),
    [
      ['link', 't0'],
      ['routes', 't2'],
      ['no-names', 't1'],
    ],
  )
  health.set('machine', [])
  assert.deepEqual(
    health.faults.map(({ code }) => code),
    ['no-names'],
  )
  assert.deepEqual(lines.slice(-2), ['no longer: another message', 'no longer: routes'])
})

test('a look that is asked for while one runs begins after it; while something is wrong it is done again', async () => {
  const ends: (() => void)[] = []
  const timers: (() => void)[] = []
  const after = (_: number, call: () => void) => {
    timers.push(call)
    return () => {}
  }
  const health = new Health({
    look: () => new Promise((resolve) => ends.push(resolve)),
    clock: { now: () => 0, after },
    date: () => '',
    log: () => {},
  })
  health.set('machine', [fault('link')])
  const first = health.look()
  const later = [health.look(), health.look()]
  assert.equal(ends.length, 1)
  ends[0]()
  await first
  await new Promise(setImmediate)
  assert.equal(ends.length, 2, 'one look for both who came later')
  health.set('machine', [])
  ends[1]()
  await Promise.all(later)
  assert.equal(timers.length, 1, 'the first one only: then nothing was wrong')
  health.close()
  await health.look()
  assert.equal(ends.length, 2)
})

const ranges = ['10.96.0.0/16', '10.244.0.0/16']

test('the probe: all is well, nothing passes, one range is lost, names are not found', () => {
  const judge = (name: string | null, ...targets: (string | null)[]) =>
    judgeProbe({ name, targets }, 'kubernetes.test', ranges, 'resolvconf').map(
      ({ code, message }) => `${code}: ${message}`,
    )
  assert.deepEqual(judge(null, null, null), [])
  assert.deepEqual(judge('ETIMEDOUT', 'ETIMEDOUT', 'ETIMEDOUT'), [
    'no-passage: nothing that programs send reaches kt: there was no answer',
  ])
  assert.deepEqual(judge(null, 'EPERM', null), [
    'some-passage: nothing that programs send to 10.96.0.0/16 reaches kt: this machine does not permit it',
  ])
  assert.deepEqual(judge('ENOTFOUND', null, null), [
    "no-names: programs find no names of the cluster's: kubernetes.test: the name is not known",
  ])
})

test('the probe: with IPv6 switched off meanwhile no firewall is blamed', () => {
  const answer = { name: null, targets: [null, 'EADDRNOTAVAIL'] }
  const [fault] = judgeProbe(answer, undefined, ['10.96.0.0/16', 'fd00:10:96::/112'], 'resolvconf')
  assert.match(fault.message, /send to fd00:10:96::\/112 reaches kt: this machine has no address of that family/)
  assert.match(fault.hint, /disable_ipv6/)
  assert.doesNotMatch(fault.hint, /firewall/)
})

test('from another process: an address that nobody answers is found, and so is a name that nobody knows', async () => {
  const names = { knownName: 'no-such-name.invalid', mode: 'resolvconf' as const, verify: async () => '' }
  // Loopback refuses what nobody listens at: port 1.
  const found = await new Passage(names, ['127.0.0.0/8']).look(true, 10_000)
  assert.deepEqual(
    found.map(({ code, message }) => [code, /refused/.test(message)]),
    [['no-passage', true]],
  )
  const without = await new Passage(names, []).look(false, 10_000)
  assert.deepEqual(without, [], 'names are not asked for while there is no tunnel')
  const unknown = await new Passage(names, []).look(true, 10_000)
  assert.deepEqual(unknown, [], 'without ranges nothing can be told apart')
})

const inside = (program: string) =>
  promisify(execFile)(
    'unshare',
    ['--user', '--map-root-user', '--net', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-ec', program],
    { timeout: 20_000, killSignal: 'SIGKILL' },
  )
const folder = mkdtempSync(join(tmpdir(), 'kt-silent-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'resolv.conf'), 'nameserver 127.0.0.1\n')
const silence = `ip link set lo up; mount --bind ${folder}/resolv.conf /etc/resolv.conf`
const noNamespace = await inside(silence).then(
  () => false as const,
  (error: Error) => `namespaces cannot be made here: ${error.message}`,
)

test('a resolver that never answers is found in time, though the probe cannot end', { skip: noNamespace }, async () => {
  const program = join(import.meta.dirname, 'silent-resolver.ts')
  const { stdout } = await inside(`${silence}; exec ${process.execPath} ${program}`)
  const message = "programs find no names of the cluster's: kubernetes.test: there was no answer"
  assert.deepEqual(
    JSON.parse(stdout).map(({ code, message }: Fault) => [code, message]),
    [['no-names', message]],
  )
})

test('a probe that cannot be started is told, and ends nothing', async (t) => {
  t.mock.property(process, 'execPath', '/nonexistent/node')
  const names = { knownName: 'name.test', mode: 'resolvconf' as const, verify: async () => '' }
  const [{ code, message }] = await new Passage(names, []).look(true, 1_000)
  assert.equal(code, 'probe')
  assert.match(message, /cannot see whether programs reach it: .*ENOENT/)
})

test("a cluster's resolver that does not answer kt either is no fault of this machine", async () => {
  const error = Object.assign(new Error('CoreDNS is away'), { code: 'names', hint: 'look at it' })
  const names = { knownName: 'no-such-name.invalid', mode: 'resolvconf' as const, verify: () => Promise.reject(error) }
  assert.deepEqual(await new Passage(names, []).look(true, 10_000), [
    { code: 'names', message: 'CoreDNS is away', hint: 'look at it' },
  ])
})

test('a helper that is silent or refuses is a fault; a passage that is closed from the start is an error', async () => {
  const closing = new AbortController()
  let answer: () => Promise<Fault[]> = () => new Promise(() => {})
  const check = new SelfCheck({
    ...time,
    host: { look: () => answer() },
    log,
    connected: () => true,
    closing: closing.signal,
  })
  const passage = (...faults: Fault[]) => ({ look: async () => faults }) as unknown as Passage
  await assert.rejects(check.begin(passage(fault('no-passage'))), { code: 'no-passage', hint: 'do this' })
  answer = () => Promise.reject(new Error('the channel is closed'))
  assert.deepEqual(await check.begin(passage(fault('no-names', 'no name is found'))), ['no name is found; do this'])
  await check.look()
  assert.match(check.faults.find(({ code }) => code === 'helper')!.message, /the channel is closed/)
  answer = async () => [fault('resolv-conf')]
  await check.look()
  assert.deepEqual(
    check.faults.map(({ code }) => code),
    ['resolv-conf'],
    'what follows from a fault is not told beside it',
  )
  answer = async () => []
  await check.look()
  assert.deepEqual(
    check.faults.map(({ code }) => code),
    ['no-names'],
  )
  closing.abort()
})

test('reconnecting says why: the right that is missing, credentials, an API server out of reach', () => {
  const why = (code: ConstructorParameters<typeof ClusterError>[0], message: string) =>
    cannotReconnect(new ClusterError(code, message, 'what to do'))
  assert.deepEqual(why('forbidden', 'user "x" cannot create resource "pods/portforward"'), {
    code: 'forbidden',
    message: 'reconnecting fails: user "x" cannot create resource "pods/portforward"',
    hint: 'what to do',
  })
  assert.match(cannotReconnect(new Error('odd\n at stack')).message, /^reconnecting fails: odd$/)
  assert.match(cannotReconnect(new Error('odd')).hint, /kt logs/)
})

test('domains without room are named, with what works instead', () => {
  assert.deepEqual(domainsLeftOut([]), [])
  const [{ message, hint }] = domainsLeftOut(['a', 'b', 'c', 'd', '96.10.in-addr.arpa'])
  assert.match(message, /names of two parts of the namespaces a, b, c and 1 more and 1 reverse zones/)
  assert.match(hint, /web\.a\.svc instead of web\.a/)
})

test('a helper that was killed is a fault at once, with what mends it', () => {
  const check = new SelfCheck({
    ...time,
    host: { look: async () => [] },
    log,
    connected: () => true,
    closing: AbortSignal.abort(),
  })
  check.helperGone()
  assert.match(check.faults[0].message, /helper was killed/)
  assert.match(check.faults[0].hint, /`kt down`.*`kt up`/)
})
