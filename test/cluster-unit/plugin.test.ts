// Credential plugins: how they are started, what a person sees of them, and how often they run.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemTime } from '../../src/base/clock.ts'
import { ClusterError } from '../../src/cluster/calls.ts'
import { CredentialSource, type Credentials } from '../../src/cluster/credentials.ts'
import { loadKubeconfig } from '../../src/cluster/kubeconfig.ts'
import type { PluginSetting } from '../../src/cluster/plugin.ts'
import { until } from '../support/until.ts'
import { VirtualTime } from '../support/virtual-time.ts'
import { ApiDouble } from './api-double.ts'

const V1 = 'client.authentication.k8s.io/v1'

const hasEnded = (pid: string) =>
  until('it has ended', () => !existsSync(`/proc/${pid}`) || /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')))

/** A plugin that is a shell script; `$log` notes each run. */
function plugin(double: ApiDouble, script: string, more: object = {}, cluster: object = {}): string {
  const command = join(double.folder, 'plugin')
  writeFileSync(command, `#!/bin/sh\nlog=${double.folder}/log\necho run >>$log\n${script}\n`)
  chmodSync(command, 0o755)
  return double.kubeconfig({ exec: { apiVersion: V1, command, ...more } }, cluster)
}

const answer = (status: object) => `echo '${JSON.stringify({ kind: 'ExecCredential', status })}'`
const runs = (double: ApiDouble) => {
  const log = join(double.folder, 'log')
  return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').length : 0
}
const start = () => ApiDouble.start(() => [200, {}])

function setting(terminal?: string): PluginSetting & { lines: string[] } {
  const lines: string[] = []
  return { terminal: () => terminal, said: (line) => void lines.push(line), lines }
}

const tokenOf = ({ headers }: Credentials) => String(headers['Authorization']).replace('Bearer ', '')

async function refused(promise: Promise<unknown>, message: RegExp, hint?: RegExp): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof ClusterError, String(error))
    assert.match(error.message, message)
    assert.equal(error.code, 'credentials')
    if (hint) assert.match(error.hint, hint)
    return true
  })
}

test('however many ask at once, it runs once, and again when its answer has expired', async () => {
  await using double = await start()
  let now = Date.parse('2026-01-01T00:00:00Z')
  const script = answer({ token: 'ID', expirationTimestamp: '2026-01-01T01:00:00Z' }).replace('ID', () => "'$$'")
  const kubeconfig = loadKubeconfig({ kubeconfig: plugin(double, script) }, process.env)
  const source = new CredentialSource(setting(), undefined, { ...systemTime, wall: () => now })
  const all = await Promise.all(Array.from({ length: 8 }, () => source.get(kubeconfig)))
  assert.equal(new Set(all.map(tokenOf)).size, 1)
  assert.equal(runs(double), 1)
  now = Date.parse('2026-01-01T00:59:59Z')
  await source.get(kubeconfig)
  assert.equal(runs(double), 1)
  now = Date.parse('2026-01-01T01:00:00Z')
  assert.notEqual(tokenOf(await source.get(kubeconfig)), tokenOf(all[0]))
  assert.equal(runs(double), 2)
})

test('a token that is refused: one more run for all who showed it, and none for who comes later with it', async () => {
  let good = ''
  await using double = await ApiDouble.start(({ headers }) =>
    headers.authorization === `Bearer ${good}` ? [200, {}] : [401, { message: 'Unauthorized' }],
  )
  const script = `n=$(wc -l <$log); ${answer({ token: 'ID' }).replace('ID', "t'$n'")}`
  const api = double.api(plugin(double, script), process.env)
  good = 't1'
  await api.get('/version')
  good = 't2'
  await Promise.all(Array.from({ length: 5 }, () => api.get('/version')))
  assert.equal(runs(double), 2)
  good = 'none'
  await refused(api.get('/version'), /does not accept user "u"/)
  assert.equal(runs(double), 3)
})

test('what it answered serves the next process, too, until it is refused', async () => {
  await using double = await start()
  const kubeconfig = loadKubeconfig({ kubeconfig: plugin(double, answer({ token: 't' })) }, process.env)
  const kept = new Map()
  const memory = {
    recall: (id: string) => kept.get(id),
    keep: (id: string, one: unknown) => void (one ? kept.set(id, one) : kept.delete(id)),
  }
  const first = await new CredentialSource(setting(), memory).get(kubeconfig)
  const next = new CredentialSource(setting(), memory)
  assert.deepEqual(await next.get(kubeconfig), first)
  assert.equal(runs(double), 1)
  await next.refused(first)
  assert.equal(kept.size, 0)
  await next.get(kubeconfig)
  assert.equal(runs(double), 2)
})

test('what it writes to standard error is shown while it runs, a question without a line end among it', async () => {
  await using double = await start()
  const script = `printf '\\033[1mopen https://login\\033[0m\\n\\nCode: ' >&2; read x <${'$'}log.fifo; ${answer({ token: 't' })}`
  const kubeconfig = plugin(double, `mkfifo $log.fifo\n${script}`)
  const lines: string[] = []
  const question = Promise.withResolvers<void>()
  const said = (line: string) => {
    lines.push(line)
    if (line === 'Code:') question.resolve()
  }
  const source = new CredentialSource({ terminal: () => undefined, said })
  const credentials = source.get(loadKubeconfig({ kubeconfig }, process.env))
  await question.promise
  writeFileSync(join(double.folder, 'log.fifo'), 'x\n')
  assert.equal(tokenOf(await credentials), 't')
  assert.deepEqual(lines, ['open https://login', 'Code:'])
})

test('its environment is that of kt, with what the kubeconfig adds; it starts in the folder of the caller', async () => {
  await using double = await start()
  const script = answer({ token: 'ENV' }).replace('ENV', `'"$AWS_PROFILE-$MORE-$(pwd)"'`)
  const env = { ...process.env, AWS_PROFILE: 'dev', PWD: double.folder }
  const kubeconfig = plugin(double, script, { env: [{ name: 'MORE', value: 'x' }] })
  const credentials = await new CredentialSource(setting()).get(loadKubeconfig({ kubeconfig }, env))
  assert.equal(tokenOf(credentials), `dev-x-${double.folder}`)
})

test('it is told its version, whether somebody may answer, and of the cluster if it wants to know', async () => {
  await using double = await start()
  const script = `printf %s "$KUBERNETES_EXEC_INFO" >$log.info; ${answer({ token: 't' })}`
  const cluster = { 'tls-server-name': 'kube', extensions: [{ name: V1.replace('/v1', '/exec'), extension: { a: 1 } }] }
  const kubeconfig = plugin(double, script, { provideClusterInfo: true }, cluster)
  await new CredentialSource(setting()).get(loadKubeconfig({ kubeconfig }, process.env))
  assert.deepEqual(JSON.parse(readFileSync(join(double.folder, 'log.info'), 'utf8')), {
    apiVersion: V1,
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      cluster: { server: double.url, 'tls-server-name': 'kube', config: { a: 1 } },
    },
  })
})

test('without a terminal its standard input is closed, and one that needs a terminal is not run', async () => {
  await using double = await start()
  const script = `read x; ${answer({ token: 'GOT' }).replace('GOT', `got'"$x"'`)}`
  const credentials = await new CredentialSource(setting()).get(
    loadKubeconfig({ kubeconfig: plugin(double, script) }, process.env),
  )
  assert.equal(tokenOf(credentials), 'got')
  const always = loadKubeconfig({ kubeconfig: plugin(double, script, { interactiveMode: 'Always' }) }, process.env)
  await refused(new CredentialSource(setting()).get(always), /must be run in a terminal/)
  await refused(new CredentialSource(setting('/dev/null')).get(always), /must be run in a terminal/)
  assert.equal(runs(double), 1)
})

test('at a terminal it may ask, and is told so', { skip: !existsSync('/usr/bin/script') }, async () => {
  await using double = await start()
  // script(1) makes a terminal; what sits there writes nothing to it but its name, and reads nothing.
  const child = spawn('/usr/bin/script', ['-qec', 'stty -echo; tty; sleep 60', '/dev/null'])
  try {
    const [shown] = (await once(child.stdout, 'data')) as [Buffer]
    const terminal = shown.toString().trim()
    const script = `printf 'Code: ' >&2; read code; ${answer({ token: 'GOT' }).replace('GOT', `'"$code"'`)}; printf %s "$KUBERNETES_EXEC_INFO" >$log.info`
    const said = (line: string) => void (line === 'Code:' && child.stdin.write('1234\n'))
    const kubeconfig = loadKubeconfig(
      { kubeconfig: plugin(double, script, { interactiveMode: 'Always' }) },
      process.env,
    )
    const credentials = await new CredentialSource({ terminal: () => terminal, said }).get(kubeconfig)
    assert.equal(tokenOf(credentials), '1234')
    assert.equal(JSON.parse(readFileSync(join(double.folder, 'log.info'), 'utf8')).spec.interactive, true)
    const never = loadKubeconfig({ kubeconfig: plugin(double, script, { interactiveMode: 'Never' }) }, process.env)
    await refused(new CredentialSource({ terminal: () => terminal, said }).get(never), /no status with a token/)
  } finally {
    child.kill()
  }
})

test('a flood on either output, an end by a signal, and no answer at all', async () => {
  await using double = await start()
  const fails = async (script: string, words: RegExp) => {
    const seen = setting()
    const kubeconfig = loadKubeconfig({ kubeconfig: plugin(double, script) }, process.env)
    await refused(new CredentialSource(seen).get(kubeconfig), words)
    return seen.lines
  }
  await fails('yes', /answered with more than 1 MB/)
  const lines = await fails('yes no | head -n 50000 >&2; exit 3', /failed: no$/)
  assert.equal(lines.length, 200)
  await fails('kill -9 $$', /failed: it was ended by SIGKILL/)
  await fails('exit 7', /failed: exit code 7/)
  await fails(answer({}), /has no status with a token or certificate/)
  await fails('echo null', /has no status with a token or certificate/)
  await fails(answer({ token: 'a\nb' }), /a line break/).catch((error: Error) =>
    assert.match(error.message, /JSON|line break/),
  )
})

test('one that does not answer within a minute is ended', async () => {
  await using double = await start()
  const kubeconfig = loadKubeconfig({ kubeconfig: plugin(double, 'echo $$ >$log.pid; exec sleep 20') }, process.env)
  const clock = new VirtualTime()
  const source = new CredentialSource(setting(), undefined, { clock, wall: () => 0 })
  let over = false
  const settled = refused(source.get(kubeconfig), /did not answer within 60 s/).finally(() => {
    over = true
  })
  await until('it runs', () => existsSync(join(double.folder, 'log.pid')))
  await clock.run(59_999)
  await new Promise<void>((resolve) => void setImmediate(resolve))
  assert.ok(!over)
  await clock.run(1)
  await until('it is given up', () => over)
  await settled
  await hasEnded(readFileSync(join(double.folder, 'log.pid'), 'utf8').trim())
})

test('what it started is ended with it', async () => {
  await using double = await start()
  const kubeconfig = loadKubeconfig({ kubeconfig: plugin(double, 'sleep 600 & echo $! >$log.pid; yes') }, process.env)
  await refused(new CredentialSource(setting()).get(kubeconfig), /answered with more than 1 MB/)
  const pid = readFileSync(join(double.folder, 'log.pid'), 'utf8').trim()
  await hasEnded(pid)
})

test('what runs on behind it does not hold up its answer', async () => {
  await using double = await start()
  const script = `sleep 60 & echo $! >$log.pid; ${answer({ token: 't' })}`
  const kubeconfig = loadKubeconfig({ kubeconfig: plugin(double, script) }, process.env)
  const credentials = await new CredentialSource(setting()).get(kubeconfig)
  assert.equal(tokenOf(credentials), 't')
  process.kill(Number(readFileSync(join(double.folder, 'log.pid'), 'utf8')))
})

test('under sudo, the hint of a plugin that is not found or fails speaks of it', async () => {
  await using double = await start()
  const sudo = { ...process.env, SUDO_USER: 'ann' }
  const missing = double.kubeconfig({ exec: { command: 'kt-no-such-plugin' } })
  const get = (kubeconfig: string, env: NodeJS.ProcessEnv) =>
    new CredentialSource(setting()).get(loadKubeconfig({ kubeconfig }, env))
  await refused(get(missing, sudo), /cannot be run \(ENOENT\)/, /^install it, .*; sudo keeps little of the environment/)
  await refused(
    get(missing, process.env),
    /cannot be run \(ENOENT\)/,
    /^install it, or check its path in the kubeconfig$/,
  )
  await refused(get(plugin(double, 'exit 1'), sudo), /failed: exit code 1/, /sudo keeps little/)
})
