// `kt proxy` and the library on a real cluster, as user dev without sudo: ordinary programs through the proxy, the loss of its
// shadow, and the examples as a person runs them.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Holding, startHolding } from '../support/holding.ts'
import { realCluster, realMachine } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const LAPTOP = 'prx'
const checkout = join(import.meta.dirname, '../..')

describe('kt proxy', { skip }, () => {
  const laptop = realMachine(program, LAPTOP)
  let held: Holding
  let address = ''
  const curl = async (...args: string[]) => {
    const { code, stdout } = await laptop.run(['curl', '-sS', '-m', '20', ...args])
    return { code, text: stdout }
  }

  test('it says where it listens, and kt status lists it', async () => {
    held = await startHolding(program, LAPTOP, ['proxy', '-n', 'shop', '--port', '0'])
    address = (await held.saysSoon(/^export ALL_PROXY=socks5h:\/\/(\S+)$/m))[1]
    const { proxies } = JSON.parse((await laptop.kt(['status', '--json'])).stdout)
    assert.deepEqual(
      proxies.map((one: { address: string; namespace: string; state: string }) => [
        one.address,
        one.namespace,
        one.state,
      ]),
      [[address, 'shop', 'active']],
    )
  })

  test('curl: names as in a pod, by SOCKS and HTTP, and what is not the cluster from this machine', async () => {
    for (const [proxy, url] of [
      [`socks5h://${address}`, 'http://web/'],
      [`socks5h://${address}`, 'http://web.shop.svc.cluster.local/'],
      [`socks4a://${address}`, 'http://web.shop/'],
      [`http://${address}`, 'http://web.shop.svc/'],
    ])
      assert.match((await curl('-x', proxy, url)).text, /"from":"web-/, `${proxy} ${url}`)
    assert.match((await curl('-p', '-x', `http://${address}`, 'http://web/')).text, /"from":"web-/)
    assert.equal((await curl('-x', `socks5h://${address}`, 'http://203.0.113.80/')).text.trim(), 'a public page')
    assert.equal((await curl('-x', `http://${address}`, 'http://www.example.com/')).text.trim(), 'a public page')
  })

  test('refused and unknown keep their kind', async () => {
    // A pod refuses in every cluster; a port that a Service does not have is silent where kube-proxy uses iptables.
    const url = 'http://db-0.db:81/'
    const refused = await laptop.run(['curl', '-sS', '-m', '20', '-x', `socks5h://${address}`, url])
    assert.match(refused.stderr, /\(5\)/)
    const { text } = await curl('-w', '%{http_code}', '-x', `http://${address}`, url)
    assert.equal(text, 'kt proxy: db-0.db:81 refuses the connection\n502')
    assert.match((await curl('-x', `http://${address}`, 'http://nosuch.shop/')).text, /there is no nosuch.shop/)
  })

  test("Node's fetch, with the variables that it prints", async () => {
    const code = "fetch('http://web.shop/').then((one) => one.json()).then(({ from }) => console.log(from))"
    const env = { HTTP_PROXY: `http://${address}`, NODE_USE_ENV_PROXY: '1' }
    assert.match((await laptop.run([process.execPath, '-e', code], { env })).stdout, /^web-/)
  })

  test('another person of the machine is reset', async () => {
    const other = ['setpriv', '--reuid=1777', '--regid=1777', '--clear-groups']
    const words = ['curl', '-sS', '-m', '10', '-x', `socks5h://${address}`, 'http://web.shop/']
    const sleeper = laptop.run([...other, 'sleep', '4'], { user: 'root' })
    // It is noticed within a second.
    await until(
      'a stranger is reset',
      async () => (await laptop.run([...other, ...words], { user: 'root' })).code !== 0,
      20_000,
    )
    await sleeper
    assert.match((await curl('-x', `socks5h://${address}`, 'http://web/')).text, /"from":"web-/)
  })

  test('it outlives its shadow, and leaves nothing', async () => {
    const shadow = async () => {
      const { proxies } = JSON.parse((await laptop.kt(['status', '--json'])).stdout)
      return proxies[0].shadow as { pod: string; job: string }
    }
    const before = await shadow()
    execFileSync(program, ['kubectl', '-n', 'shop', 'delete', 'pod', before.pod, '--wait=false'], { stdio: 'ignore' })
    await held.saysSoon(/the tunnel is back/)
    assert.match((await curl('-x', `socks5h://${address}`, 'http://web/')).text, /"from":"web-/)
    const { job } = await shadow()
    assert.notEqual(job, before.job)
    held.signal('SIGINT')
    assert.equal(await held.exit, 0, held.said())
    const jobs = execFileSync(program, ['kubectl', '-n', 'shop', 'get', 'jobs', '-o', 'name'], { encoding: 'utf8' })
    for (const one of [job, before.job]) assert.ok(!jobs.includes(one), jobs)
    assert.deepEqual(JSON.parse((await laptop.kt(['status', '--json'])).stdout).proxies, [])
  })
})

describe('the library', { skip }, () => {
  const laptop = realMachine(program, LAPTOP)
  const inCheckout = (...args: string[]) =>
    laptop.run(['sh', '-c', 'cd "$1"; shift; exec "$@"', 'sh', checkout, process.execPath, ...args], {
      env: { NO_COLOR: '1' },
      timeoutMs: 120_000,
    })

  test('the example for node --test passes, and its process ends', async () => {
    const { code, stdout } = await inCheckout('--test', '--test-reporter=spec', 'examples/node-test.test.mjs')
    assert.equal(code, 0, stdout)
    assert.match(stdout, /pass 3\n/)
  })

  test('the example for vitest passes', async () => {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--no-cache', 'examples/vitest.test.ts']
    const { code, stdout, stderr } = await inCheckout(...vitest)
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /Tests +1 passed/)
  })
})
