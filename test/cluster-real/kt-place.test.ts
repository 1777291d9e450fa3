// A container's environment and files on a real cluster, compared with what its kubelet gave it.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { documentedRoles } from '../support/documented-rights.ts'
import { startHolding } from '../support/holding.ts'
import { realCluster, realMachine } from '../support/machine.ts'
import { placeObjects } from '../support/place-objects.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const NAMESPACE = 'kt-place'
/** What image and container runtime add; the spec does not have it. */
const OF_RUNTIME = ['PATH', 'HOME', 'HOSTNAME', 'NODE_VERSION', 'YARN_VERSION']

describe("the pod's place", { skip }, () => {
  const laptop = realMachine(program, 'place')
  const kubectl = (args: string[], input?: string) =>
    execFileSync(program, ['kubectl', ...args], {
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 90_000,
    })
  const apply = (...items: object[]) =>
    kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
  const inPod = (...command: string[]) =>
    kubectl(['-n', NAMESPACE, 'exec', 'deployment/orders', '-c', 'app', '--', ...command])
  /** Who answers the Service. The helper may use only 50 mCPU, with which a request takes seconds, so `app` asks. */
  const ask = () => {
    const script = `fetch('http://orders/', { signal: AbortSignal.timeout(2000) }).then((one) => one.text()).then(console.log, () => console.log('nobody'))`
    return kubectl(['-n', NAMESPACE, 'exec', 'deployment/orders', '-c', 'app', '--', 'node', '-e', script]).trim()
  }
  /** 50 requests a second from a pod, each on a connection of its own, until it is told to end. */
  const startLoad = () => {
    const script = `const seen = {}; let open = 0, over = false
      const count = (what) => { seen[what] = (seen[what] ?? 0) + 1; open-- }
      const timer = setInterval(() => { open++
        require('node:http').get('http://orders/', { agent: false, timeout: 10000 }, (answer) => { let text = ''
          answer.on('data', (chunk) => text += chunk).on('end', () => count(text)).on('error', (error) => count('cut: ' + error.code))
        }).on('timeout', function () { this.destroy() }).on('error', (error) => count('failed: ' + error.code)) }, 20)
      process.stdin.resume().on('end', () => { clearInterval(timer); setInterval(() => { if (open === 0) { console.log(JSON.stringify(seen)); process.exit() } }, 50) })
      console.log('begun')`
    const words = [
      'kubectl',
      '-n',
      NAMESPACE,
      'exec',
      '-i',
      'deployment/orders',
      '-c',
      'app',
      '--',
      'node',
      '-e',
      script,
    ]
    const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const exit = new Promise<void>((resolve) => child.once('close', () => resolve()))
    return {
      begun: until('the requests begin', () => said.startsWith('begun'), 20_000),
      end: async (): Promise<Record<string, number>> => {
        child.stdin.end()
        await exit
        return JSON.parse(said.split('\n')[1])
      },
    }
  }
  const kt = async (...args: string[]) => {
    const { code, stdout, stderr } = await laptop.kt([...args, '-n', NAMESPACE])
    assert.equal(code, 0, stderr)
    return { stdout, stderr }
  }

  before(() => {
    // One that a run before has left may still be ending.
    kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=80s'])
    apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }, ...placeObjects(NAMESPACE))
    kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/orders', '--timeout=60s'])
  })
  after(() => void kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']))

  test('the environment is what the kubelet gave the container, byte for byte', async () => {
    const theirs = variables(inPod('cat', '/proc/1/environ'))
    const { stdout, stderr } = await kt('env', 'orders', '--service-links', '--strict', '--format', 'json')
    for (const name of OF_RUNTIME) delete theirs[name]
    assert.deepEqual(sorted(JSON.parse(stdout)), sorted(theirs))
    assert.equal(stderr, 'container app of helper, app; -c names another\n')
  })

  test('--live reads the process', async () => {
    const { stdout } = await kt('env', 'deployment/orders', '-c', 'app', '--live', '--format', 'json')
    assert.deepEqual(sorted(JSON.parse(stdout)), sorted(variables(inPod('cat', '/proc/1/environ'))))
  })

  test('the files are what the kubelet mounted, with their modes; what else the pod has is copied', async () => {
    inPod(
      'sh',
      '-c',
      'rm -rf /data/*; mkdir -p /data/a; echo copied > /data/a/b; ln -s /etc/passwd /data/out; echo x > /scratch/x',
    )
    const to = '/tmp/kt-place-files'
    await laptop.run(['rm', '-rf', to])
    const { stderr } = await kt('files', 'orders', '--to', to)
    assert.equal(
      stderr,
      'container app of helper, app; -c names another\n' +
        'left out: /data (volume host): 1 links or special files in it were left out\n',
    )
    const places = 'etc/app etc/some etc/app/secret etc/gone etc/pod var/run etc/single.yaml etc/part data/a'
    const list = `for place in ${places}; do find -L $place -type f -not -path '*/..*'; done | sort -u | while read f; do
      echo "$f $(stat -L -c %a $f) $(base64 < $f | tr -d '\\n')"; done`
    const read = (text: string) =>
      Object.fromEntries(
        text
          .trim()
          .split('\n')
          .map((line) => line.split(/ (.*)/)),
      )
    const ours = read((await laptop.run(['sh', '-c', `cd ${to}; ${list}`])).stdout)
    const theirs = read(inPod('sh', '-c', `cd /; ${list}`))
    // Tokens are made for each of them, and the kubelet has two annotations of its own.
    const differ = Object.keys(theirs).filter((name) => ours[name] !== theirs[name])
    assert.deepEqual(Object.keys(ours), Object.keys(theirs))
    assert.deepEqual(differ, [
      'etc/pod/annotations',
      'var/run/all/token',
      'var/run/secrets/kubernetes.io/serviceaccount/token',
    ])
    const claims = JSON.parse(
      Buffer.from(ours['var/run/all/token'].split(' ')[1], 'base64')
        .toString()
        .split('.')
        .map((part) => Buffer.from(part, 'base64url').toString())[1],
    )
    assert.deepEqual(claims.aud, ['vault'])
    assert.equal(claims['kubernetes.io'].pod.name, variables(inPod('cat', '/proc/1/environ'))['METADATA_NAME'])
    const modes = (await laptop.run(['stat', '-c', '%a', to, `${to}/scratch`])).stdout
    assert.equal(modes, '700\n755\n')
    await laptop.run(['rm', '-rf', to])
  })

  test('the documented Roles are enough; without the right to read Secrets the rest is there, and what is missing is named', async () => {
    const { kt: base, 'kt-exchange': exchange, 'kt-place': place } = documentedRoles()
    const rules = [...base, ...exchange, ...place].flatMap(({ resources, ...rule }) => {
      const left = resources.filter((one) => one !== 'secrets' || !rule.verbs.includes('get'))
      return left.length > 0 ? [{ ...rule, resources: left }] : []
    })
    const metadata = { name: 'no-secrets', namespace: NAMESPACE }
    const apiVersion = 'rbac.authorization.k8s.io/v1'
    apply(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      { apiVersion, kind: 'Role', metadata, rules },
      {
        apiVersion,
        kind: 'RoleBinding',
        metadata,
        subjects: [{ kind: 'ServiceAccount', ...metadata }],
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
      },
    )
    const token = kubectl(['-n', NAMESPACE, 'create', 'token', metadata.name]).trim()
    const as = ['-n', NAMESPACE, '--kubeconfig', '/tmp/kt-place.kubeconfig']
    const view = JSON.parse(kubectl(['config', 'view', '--raw', '-o', 'json']))
    view.users = [{ name: view.contexts[0].context.user, user: { token } }]
    await laptop.run(['sh', '-c', `umask 077; echo '${JSON.stringify(view)}' > /tmp/kt-place.kubeconfig`])
    const env = ['env', 'orders', '-c', 'app', '--format', 'json', ...as]
    const { code, stdout, stderr } = await laptop.kt(env)
    assert.equal(code, 0, stderr)
    const had = JSON.parse(stdout)
    assert.equal(had.FROM_MAP, 'hello')
    assert.equal(had.URL, undefined)
    const why = `you may not get secrets in namespace ${NAMESPACE}`
    const names = 'all of Secret database, all of Secret nowhere, FROM_SECRET, OPTIONAL_SECRET'
    assert.match(stderr, new RegExp(`^left out: ${names}: ${why}$`, 'm'))
    assert.match(stderr, /^left out: URL: it refers to \$\(DB_USER\), which is not known$/m)
    assert.match(stderr, /^left out: LIMITS_CPU_1M, .*you may not get nodes$/m)
    assert.equal((await laptop.kt([...env, '--strict'])).code, 1)

    const list = await laptop.kt(['list', '--json', ...as])
    assert.deepEqual(JSON.parse(list.stdout).notes, [])
    const files = await laptop.kt(['files', 'orders', '--to', '/tmp/kt-place-files', ...as])
    assert.equal(files.code, 0, files.stderr)
    assert.match(files.stderr, new RegExp(`^left out: /etc/app/secret: Secret database, .*: ${why}$`, 'm'))
    // A token and a volume of the pod alone: these rights are there.
    const there = ['var/run/secrets/kubernetes.io/serviceaccount/token', 'etc/app/app.yaml', 'data/a/b']
    await laptop
      .run(['ls', ...there.map((path) => `/tmp/kt-place-files/${path}`)])
      .then(({ code, stderr }) => assert.equal(code, 0, stderr))
    const script = `echo "$FROM_MAP|$FROM_SECRET"; cat "$KT_ROOT/etc/app/app.yaml"; exit 7`
    for (const words of [
      ['exchange', 'orders', '--log'],
      ['mesh', 'orders'],
      ['run', 'kt-place-new', '--port', '8080', '--like', 'orders'],
    ]) {
      const { code, stdout, stderr } = await laptop.kt([...words, ...as, '--', 'sh', '-c', script])
      assert.deepEqual([code, stdout], [7, 'hello|\na: 1\nb: two\n'], stderr)
      assert.match(stderr, new RegExp(`${why}$`, 'm'))
    }
    assert.equal(ask(), 'pod')
    await laptop.run(['rm', '-rf', '/tmp/kt-place.kubeconfig', '/tmp/kt-place-files'])
  })

  test('a program takes the place of a container, and its end is the end', async () => {
    const program = `const { readFileSync } = require('node:fs')
      console.log(JSON.stringify({ secret: process.env.FROM_SECRET, file: readFileSync(process.env.KT_ROOT + '/etc/app/app.yaml', 'utf8'), home: process.env.HOME, root: process.env.KT_ROOT }))
      require('node:http').createServer((_, response) => response.end('here')).listen(process.env.PORT, () => setTimeout(() => process.exit(7), 3000))`
    const running = laptop.kt(['exchange', 'orders', '-n', NAMESPACE, '--', process.execPath, '-e', program])
    const answers = new Set<string>()
    const over = running.then(() => true)
    const answeredHere = () => answers.add(ask()).has('here')
    await until(
      'it is answered here',
      async () => answeredHere() || (await Promise.race([over, delay(50, false)])),
      30_000,
    )
    const { code, stdout, stderr } = await running
    assert.equal(code, 7, stderr)
    assert.ok(answers.has('here'), [...answers].join(', '))
    const { root, ...had } = JSON.parse(stdout)
    assert.equal(had.secret, 'p\'a$$s"w`o\\rd')
    assert.equal(had.file, 'a: 1\nb: two\n')
    assert.notEqual(had.home, '/root')
    assert.ok(
      stderr.split('\n').every((line) => line === '' || line.startsWith('kt: ')),
      stderr,
    )
    assert.match(stderr, /^kt: requests to orders\.kt-place come here: 80 -> localhost:8080\. It ends with /m)
    assert.ok(!stderr.includes(had.secret))
    assert.equal((await laptop.run(['ls', root])).code, 2, 'nothing is left')
    const log = (await laptop.kt(['logs'])).stdout
    assert.ok(log.includes('exchange orders: place: '))
    assert.ok(!log.includes(had.secret))
    assert.equal(ask(), 'pod')
  })

  test('in `kt shell --like` the files are at their own paths, read-only, and the cluster is there', async () => {
    const script = `printf '%s\\n' "$FROM_SECRET" "$KT_ROOT"; cat /etc/app/app.yaml /etc/app/secret/USER; echo; cat /etc/single.yaml
      for place in /etc/app/x /etc/app/secret/x /etc/x; do (echo x > $place) 2>&1 | grep -o Read-only; done
      echo mine > /scratch/x; cat "$KT_ROOT/scratch/x"; ls -d /etc/hosts; curl -s -m 10 http://orders/; exit 7`
    const { code, stdout, stderr } = await laptop.kt([
      'shell',
      '-n',
      NAMESPACE,
      '--like',
      'orders',
      '--',
      'sh',
      '-c',
      script,
    ])
    assert.equal(code, 7, stderr)
    const [secret, root, ...lines] = stdout.trim().split('\n')
    assert.equal(secret, 'p\'a$$s"w`o\\rd')
    assert.deepEqual(lines, [
      ...[
        'a: 1',
        'b: two',
        'ann',
        'a: 1',
        'b: two',
        'Read-only',
        'Read-only',
        'Read-only',
        'mine',
        '/etc/hosts',
        'pod',
      ],
    ])
    assert.match(stderr, /^your program has the environment of container app \(of helper, app\) and its files below /m)
    assert.ok(!stderr.includes(secret))
    assert.equal((await laptop.run(['ls', root, '/etc/app', '/scratch'])).stdout, '', 'nothing is left')
  })

  test('`kt shell` starts no program where its target is not there, or --no-files has no target', async () => {
    const unknown = await laptop.kt(['shell', '-n', NAMESPACE, '--like', 'nothing', '--', 'echo', 'begun'])
    assert.deepEqual([unknown.code, unknown.stdout], [1, ''], unknown.stderr)
    const alone = await laptop.kt(['shell', '-n', NAMESPACE, '--no-files', '--', 'echo', 'begun'])
    assert.deepEqual([alone.code, alone.stdout], [2, ''])
    assert.match(alone.stderr, /--no-files is about the container of --like/)
  })

  /** Answers `here` if the program is in the container's place; with --shell at its own paths, and with the cluster's network. */
  const server = (inShell: boolean) => `const { readFileSync } = require('node:fs'), http = require('node:http')
    const file = () => readFileSync(${inShell ? "'/etc/app/app.yaml'" : "process.env.KT_ROOT + '/etc/app/app.yaml'"}, 'utf8') === 'a: 1\\nb: two\\n'
    const calls = (done) => ${inShell ? `http.get('http://web.shop.svc/', { agent: false }, (answer) => answer.resume().on('end', () => done(answer.statusCode))).on('error', (error) => done(error.code))` : 'done(200)'}
    http.createServer((_, response) => calls((how) => response.end(how === 200 && process.env.FROM_MAP === 'hello' && file() ? 'here' : 'out of place: ' + how)))
      .listen(process.env.PORT, () => console.log('listens'))`
  for (const more of [[], ['--shell']])
    test(`its program${more.length > 0 ? ' in a shell' : ''} is restarted ten times under 50 requests a second, and none fails`, async (t) => {
      const file = '/tmp/kt-place-server.js'
      await laptop.run(['sh', '-c', `printf '%s' "$1" > ${file}`, 'sh', server(more.length > 0)])
      const command = [process.execPath, '--watch', file]
      const held = await startHolding(program, 'place', [
        'exchange',
        'orders',
        '-n',
        NAMESPACE,
        ...more,
        '--',
        ...command,
      ])
      t.after(() => held.signal('SIGTERM'))
      const listens = () => held.said().match(/^listens$/gm)?.length ?? 0
      await until('the program listens', () => listens() === 1, 40_000)
      await until('it is answered here', () => ask() === 'here', 20_000)
      const load = startLoad()
      await load.begun
      for (let count = 1; count <= 10; count++) {
        // node --watch leaves out a change that comes too soon after the one before.
        await delay(300)
        await until(
          `it is restarted ${count} times`,
          async () => {
            await laptop.run(['touch', file])
            return await until('it listens again', () => listens() > count, 3_000).catch(() => false)
          },
          30_000,
        )
      }
      const answers = await load.end()
      const count = Object.values(answers).reduce((a, b) => a + b, 0)
      console.log(
        `${count} requests while the program was restarted ${listens() - 1} times: ${JSON.stringify(answers)}`,
      )
      assert.deepEqual(Object.keys(answers), ['here'])
      assert.ok(count > 100, `${count} requests`)
      held.signal('SIGTERM')
      await held.exit
      await laptop.run(['rm', '-f', file])
    })

  test('with --shell, a kill of the holder ends the program, and what it left is put back', async () => {
    const script = 'setsid sleep 1000 & echo begun $KT_ROOT; sleep 1000'
    const held = await startHolding(program, 'place', [
      ...['exchange', 'orders', '-n', NAMESPACE, '--shell', '--', 'sh', '-c', script],
    ])
    const [, root] = await held.saysSoon(/^begun (.*)$/m)
    const { exchanges, shells } = JSON.parse((await laptop.kt(['status', '--json'])).stdout)
    assert.deepEqual([exchanges[0].shell, exchanges[0].target], [shells[0].name, 'orders'])
    const inside = () =>
      execFileSync(
        'sh',
        ['-c', `ls -l /proc/[0-9]*/ns/net 2>/dev/null | grep -c '${shells[0].networkNamespace}' || true`],
        {
          encoding: 'utf8',
        },
      ).trim()
    assert.notEqual(inside(), '0')
    process.kill(exchanges[0].pid, 'SIGKILL')
    await until('nothing runs in the namespace', () => inside() === '0', 2_000)
    assert.equal(await held.exit, 1, held.said())
    assert.match(held.said(), /the process that held it ended unexpectedly; everything of it is put back/)
    assert.equal((await laptop.run(['ls', root])).code, 2, 'nothing is left')
    assert.equal(ask(), 'pod')
    assert.equal(kubectl(['-n', NAMESPACE, 'get', 'services,leases', '-o', 'name']), 'service/orders\n')
  })

  test('without /dev/net/tun, --shell changes nothing in the cluster, and one sentence says why and what to do', async () => {
    await laptop.run(['chmod', '600', '/dev/net/tun'], { user: 'root' })
    try {
      const { code, stdout, stderr } = await laptop.kt([
        ...['exchange', 'orders', '-n', NAMESPACE, '--shell', '--', 'echo', 'begun'],
      ])
      assert.deepEqual([code, stdout], [1, ''], stderr)
      assert.match(stderr, /^kt: error: --shell: \/dev\/net\/tun may not be opened by this user$/m)
      assert.match(stderr, /^kt: +leave --shell out: your program then has this machine's network; or `sudo chmod/m)
      assert.doesNotMatch(stderr, /leads to the shadow/)
    } finally {
      await laptop.run(['chmod', '666', '/dev/net/tun'], { user: 'root' })
    }
  })
})

function variables(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\0')
      .filter(Boolean)
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
}

const sorted = (object: object) => Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1))
