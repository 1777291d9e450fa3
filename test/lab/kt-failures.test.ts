// Each thing that can be wrong with a cluster or a machine has its own words, and leaves nothing behind.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { Faults } from './faults.ts'
import { KtLab } from './kt-fixture.ts'
import type { KubeconfigOptions } from './lab.ts'

let kt: KtLab
before(async () => {
  kt = await KtLab.start()
})
after(() => kt?.[Symbol.asyncDispose]())
afterEach(() => kt.lab.api.setFaults())

interface Case {
  name: string
  faults?: Partial<Faults>
  kubeconfig?: KubeconfigOptions
  args?: string[]
  says: RegExp
}

const cases: Case[] = [
  { name: 'an image that does not exist', args: ['--image', 'example.com/nothing:1'], says: /image|pull/i },
  {
    name: 'an image pull that fails',
    faults: { imagePull: 'unauthorized: authentication required' },
    says: /authentication required/,
  },
  { name: 'a node selector nothing fits', args: ['--node-selector', 'disk=ssd'], says: /node/i },
  {
    name: 'quota',
    faults: { refusePods: 'pods "x" is forbidden: exceeded quota: tight' },
    says: /exceeded quota: tight/,
  },
  {
    name: 'an admission webhook',
    faults: { refuseJobs: 'admission webhook "no.jobs.example.com" denied the request: not on Fridays' },
    says: /not on Fridays/,
  },
  { name: 'no right to create Jobs', faults: { forbid: ['create jobs'] }, says: /create.*jobs|jobs.*create/i },
  { name: 'no right to create Secrets', faults: { forbid: ['create secrets'] }, says: /secrets/i },
  {
    name: 'no right to port-forward',
    faults: { forbid: ['create pods/portforward', 'get pods/portforward'] },
    says: /port-?forward/i,
  },
  { name: 'a guest with next to no rights', kubeconfig: { user: 'guest' }, says: /jobs/i },
  {
    name: 'a token that is not taken',
    kubeconfig: { credentials: 'wrong-token' },
    says: /credential|unauthori[sz]ed|401|token/i,
  },
  { name: 'an expired client certificate', kubeconfig: { credentials: 'expired-certificate' }, says: /expired/i },
  { name: 'a certificate of another authority', kubeconfig: { wrongAuthority: true }, says: /certificate|authority/i },
  {
    name: 'an API server nobody listens on',
    kubeconfig: { server: 'https://172.30.98.2:9' },
    says: /172\.30\.98\.2:9 refuse/,
  },
  { name: 'a wrong context', args: ['--context', 'nosuch'], says: /nosuch/ },
  { name: 'a namespace that does not exist', args: ['-n', 'nosuch'], says: /nosuch/ },
  {
    name: 'a kubeconfig that is not there',
    args: ['--kubeconfig', '/nonexistent/config'],
    says: /\/nonexistent\/config/,
  },
  { name: 'a container that ends at once', faults: { crash: 7 }, says: /ended|exit|crash|terminated/i },
  {
    name: 'port-forwards that are refused',
    faults: { refuseForward: true },
    args: ['--ready-timeout', '8'],
    says: /./,
  },
]

for (const { name, faults, kubeconfig, args = [], says } of cases)
  test(`${name}: an error of its own, nothing left behind`, async () => {
    if (faults) await kt.lab.api.setFaults(faults)
    const where = kubeconfig ? ['--kubeconfig', kt.lab.kubeconfigFile(kubeconfig)] : []
    // Less than --ready-timeout: what is known is not waited for.
    const options = { sudo: true, timeoutMs: 50_000 }
    const { code, stdout, stderr } = await kt.machine.kt(['up', ...where, ...args], options)
    assert.ok(code === 1 || code === 2, `exit ${code}: ${stdout}${stderr}`)
    assert.match(stderr, says)
    assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+\)?$/m, 'a stack trace')
    assert.doesNotMatch(stderr, /unexpected:|internal error/)
    await kt.noProcesses()
    await kt.lab.api.setFaults()
    await kt.assertRestored()
    await kt.assertClusterClean()
  })

test('a route in the way is an error that names it; --exclude leaves it alone; a shorter one is a note', async () => {
  const up = async (...args: string[]) => kt.machine.kt(['up', ...args], { sudo: true })
  const route = (action: string, cidr: string) =>
    kt.machine.run(['ip', 'route', action, cidr, 'dev', 'lo'], { user: 'root' })
  for (const cidr of ['10.111.7.0/24', '10.111.0.0/16']) {
    await route('add', cidr)
    const refused = await up()
    assert.equal(refused.code, 1, refused.stderr)
    assert.ok(refused.stderr.includes(cidr), refused.stderr)
    await kt.noProcesses()
    const without = await up('--exclude', cidr)
    assert.equal(without.code, 0, without.stderr)
    assert.equal((await kt.machine.kt(['down'], { sudo: true })).code, 0)
    await route('del', cidr)
    await kt.assertRestored()
    await kt.assertClusterClean()
  }
  await route('add', '10.0.0.0/8')
  const noted = await up()
  assert.equal(noted.code, 0, noted.stderr)
  assert.match(noted.stderr, /10\.0\.0\.0\/8/)
  assert.equal((await kt.machine.kt(['down'], { sudo: true })).code, 0)
  await route('del', '10.0.0.0/8')
  await kt.assertRestored()
})

test('no /dev/net/tun: told so, nothing left behind', async () => {
  const { code, stderr } = await kt.machine.run(
    ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/net && exec "$@"', 'x', kt.lab.laptop.kt, 'up'],
    { user: 'root' },
  )
  assert.equal(code, 1, stderr)
  assert.match(stderr, /\/dev\/net\/tun/)
  await kt.assertRestored()
  await kt.assertClusterClean()
})

test('developers with rights in one namespace get a useful result and are told what was guessed', async () => {
  for (const namespace of ['shop', 'strict']) {
    const config = kt.lab.kubeconfigFile({ user: 'developer', namespace })
    const { code, stderr } = await kt.machine.kt(['up', '--kubeconfig', config], { sudo: true })
    assert.equal(code, 0, stderr)
    const page = await kt.machine.probe('get', { url: 'http://web.shop.svc.cluster.local/' })
    assert.equal(page.status, 200, page.error)
    await kt.down()
  }
})

test('a slow API server is waited for', async () => {
  await kt.lab.api.setFaults({ delayMs: 400 })
  const { code, stderr } = await kt.machine.kt(['up'], { sudo: true })
  assert.equal(code, 0, stderr)
  await kt.lab.api.setFaults()
  await kt.down()
})
