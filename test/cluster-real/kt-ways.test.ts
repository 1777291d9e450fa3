// The other ways to connect, on a real cluster: an OpenSSH shadow, rights in one namespace only, without sudo, with an
// exec plugin; and the ends that are not `kt down`.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Machine, realCluster, realMachine } from '../support/machine.ts'
import { stateDifferences } from '../support/network-state.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const kubectl = (...args: string[]) => execFileSync(program, ['kubectl', ...args], { encoding: 'utf8' }).trim()

describe('ways to connect and to end', { skip }, () => {
  let laptop: Machine
  let home: string
  let state: string
  let untouched: Awaited<ReturnType<Machine['state']>>
  const shadows = () => kubectl('get', 'jobs', '-A', '-l', 'app.kubernetes.io/component=shadow', '-o', 'name')
  const page = async (host: string) =>
    (await laptop.run(['curl', '-sS', '-m', '10', '-o', '/dev/null', '-w', '%{http_code}', `http://${host}/`])).stdout
  const pids = async () => {
    const { pid } = JSON.parse((await laptop.kt(['status', '--json'])).stdout)
    return [Number(pid), Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])]
  }

  before(async () => {
    laptop = realMachine(program, 'e2ew')
    await laptop.kt(['down'], { sudo: true })
    await until(
      'no address is tentative',
      async () => (await laptop.run(['ip', '-6', 'addr', 'show', 'tentative'])).stdout === '',
    )
    home = (await laptop.run(['sh', '-c', 'echo $HOME'])).stdout.trim()
    state = dirname(execFileSync(program, ['kubeconfig'], { encoding: 'utf8' }).trim())
    untouched = await laptop.state()
  })
  afterEach(async () => {
    await laptop.kt(['down'], { sudo: true })
    assert.deepEqual(stateDifferences(untouched, await laptop.state()), [])
  })
  after(() => until('the cluster has no shadow left', () => shadows() === ''))

  test('an OpenSSH shadow: TCP and names work, UDP is refused in words', async () => {
    const up = await laptop.kt(['up', '-n', 'shop', '--shadow', 'sshd', '--image', 'localhost/sshd-shadow:1'], {
      sudo: true,
    })
    assert.equal(up.code, 0, up.stderr)
    assert.match(up.stderr, /UDP and ping need --shadow agent/)
    for (const name of ['web', 'web.shop', 'web.shop.svc.cluster.local']) assert.equal(await page(name), '200', name)
    const pod = kubectl('-n', 'shop', 'get', 'pod', 'db-0', '-o', 'jsonpath={.status.podIP}')
    assert.equal((await laptop.probe('tcp', { host: pod, port: 4444 })).error, 'ECONNREFUSED')
    assert.ok((await laptop.probe('echo', { host: 'web.shop', port: 7, bytes: 1_000_000 })).equal)
  })

  for (const namespace of ['shop', 'strict']) {
    test(`a developer with rights in ${namespace} and no cluster-wide ones`, async () => {
      const kubeconfig = join(home, 'developer.kubeconfig')
      copyFileSync(join(state, 'developer.kubeconfig'), kubeconfig)
      const up = await laptop.kt(['up', '-n', namespace, '--kubeconfig', kubeconfig], { sudo: true })
      assert.equal(up.code, 0, up.stderr)
      assert.match(up.stderr, /guessed/)
      assert.equal(await page('web.shop'), '200')
    })
  }

  test('without sudo, and with a credential plugin that runs as the user', async () => {
    const admin = readFileSync(join(home, '.kube/config'), 'utf8')
    const field = (name: string) => new RegExp(`${name}: ([A-Za-z0-9+/=]+)`).exec(admin)![1]
    const status = {
      clientCertificateData: Buffer.from(field('client-certificate-data'), 'base64').toString(),
      clientKeyData: Buffer.from(field('client-key-data'), 'base64').toString(),
    }
    const answer = JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status })
    writeFileSync(join(home, 'answer.json'), answer)
    writeFileSync(join(home, 'plugin'), `#!/bin/sh\nid -u >>${home}/plugin-ran-as\ncat ${home}/answer.json\n`, {
      mode: 0o755,
    })
    const user = `{"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "${home}/plugin", "interactiveMode": "Never"}}`
    writeFileSync(
      join(home, 'exec.kubeconfig'),
      admin.replace(/user: \{client-certificate-data[^}]*\}/, `user: ${user}`),
    )
    execFileSync('chown', ['-R', '1500:1500', home])
    const up = await laptop.kt(['up', '-n', 'shop', '--kubeconfig', `${home}/exec.kubeconfig`])
    assert.equal(up.code, 0, up.stderr)
    assert.equal(await page('web'), '200')
    assert.match(readFileSync(join(home, 'plugin-ran-as'), 'utf8'), /^(1500\n)+$/)
  })

  test('ranges can be left out, a missing image is told as the cluster tells it', async () => {
    const up = await laptop.kt(['up', '-n', 'shop', '--exclude', '10.96.0.0/16'], { sudo: true })
    assert.equal(up.code, 0, up.stderr)
    const { routes } = JSON.parse((await laptop.kt(['status', '--json'])).stdout)
    assert.ok(!routes.some((route: string) => route.startsWith('10.96.')), routes.join(' '))
    await laptop.kt(['down'])
    const missing = await laptop.kt(['up', '-n', 'shop', '--image', 'nobody/has:this'], { sudo: true })
    assert.equal(missing.code, 1)
    assert.match(missing.stderr, /error: the image nobody\/has:this cannot be pulled: .*ErrImagePull/)
  })

  test('both processes are killed: `kt down` restores the machine, for which it asks sudo', async () => {
    assert.equal((await laptop.kt(['up', '-n', 'shop'], { sudo: true })).code, 0)
    for (const pid of await pids()) process.kill(pid, 'SIGKILL')
    const down = await laptop.kt(['down'])
    assert.equal(down.code, 0, down.stderr)
    assert.match(down.stderr, /restore \/etc\/resolv\.conf/)
    // The agent ends by itself ten minutes after its last client; the test does not wait for it.
    kubectl('-n', 'shop', 'delete', 'jobs', '-l', 'app.kubernetes.io/component=shadow')
  })

  test('the engine is killed: the helper restores the machine', async () => {
    assert.equal((await laptop.kt(['up', '-n', 'shop'], { sudo: true })).code, 0)
    const [engine, helper] = await pids()
    process.kill(engine, 'SIGKILL')
    await until('the helper has ended', () => !existsSync(`/proc/${helper}`))
    kubectl('-n', 'shop', 'delete', 'jobs', '-l', 'app.kubernetes.io/component=shadow')
  })
})
