// `kt forward` on a real cluster: one local port to each kind of target, through restarts of the target and of the
// shadow, with an error of its own for each mistake, and nothing left when it ends.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { type Holding, startHolding } from '../support/holding.ts'
import { realCluster, realMachine } from '../support/machine.ts'
import { until } from '../support/until.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : false
const program = 'program' in cluster ? cluster.program : ''
const NAMESPACE = 'kt-forward'
const LAPTOP = 'fwd'

const kubectl = (args: string[], input?: string) =>
  execFileSync(program, ['kubectl', ...args], { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }).trim()

const server = `
const name = require('node:os').hostname()
require('node:http').createServer((q, s) => s.end(name)).listen(8080, '::')
require('node:net').createServer({ allowHalfOpen: true }, (s) => s.on('error', () => {}).pipe(s)).listen(7, '::')`

const service = (name: string, spec: object) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: NAMESPACE },
  spec,
})
const ports = [
  { name: 'http', port: 80, targetPort: 'http' },
  { name: 'echo', port: 7, targetPort: 7 },
  { name: 'names', port: 53, targetPort: 53, protocol: 'UDP' },
]
const objects = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: NAMESPACE },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'web',
              image: 'docker.io/library/node:24-alpine',
              command: ['node', '-e', server],
              ports: [{ name: 'http', containerPort: 8080 }],
              readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  },
  service('web', { selector: { app: 'web' }, ports }),
  service('single', { selector: { app: 'web' }, ports: ports.slice(0, 1) }),
  service('bare', { clusterIP: 'None', selector: { app: 'web' }, ports }),
  service('elsewhere', { type: 'ExternalName', externalName: 'www.example.com' }),
]

describe('kt forward', { skip }, () => {
  const laptop = realMachine(program, LAPTOP)
  const get = (port: number, timeoutMs = 40_000) =>
    laptop.probe('get', { url: `http://127.0.0.1:${port}/`, keepText: true, timeoutMs })
  const podNames = () =>
    kubectl(['-n', NAMESPACE, 'get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}']).split(' ')
  /** Starts one that is connected, and tells its local port. */
  const forward = async (...args: string[]): Promise<{ held: Holding; port: number }> => {
    const held = await startHolding(program, LAPTOP, ['forward', '-n', NAMESPACE, ...args])
    const [, port] = await held.saysSoon(/^localhost:(\d+) leads to /m)
    return { held, port: Number(port) }
  }
  const end = async (held: Holding) => {
    held.signal('SIGINT')
    assert.equal(await held.exit, 0, held.said())
  }

  before(() => {
    // One that a run before has left may still be ending.
    kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=90s'])
    kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
    kubectl(['-n', NAMESPACE, 'rollout', 'status', 'deployment/web', '--timeout=60s'])
  })
  after(() => {
    if (!skip) kubectl(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait=false'])
  })

  test('a Service: both families, half-close, many at once; Ctrl-C removes the shadow', async () => {
    const { held, port } = await forward('web', '0:http')
    const [pod] = podNames()
    assert.equal((await get(port)).text, pod)
    const six = await laptop.probe('get', { url: `http://[::1]:${port}/`, keepText: true })
    assert.equal(six.text, pod)
    await end(held)
    assert.equal(kubectl(['-n', NAMESPACE, 'get', 'jobs,secrets', '-o', 'name']), '')
    assert.equal((await laptop.probe('tcp', { host: '127.0.0.1', port })).error, 'ECONNREFUSED')
  })

  test('bytes, ends and resets pass as they are', async () => {
    const { held, port } = await forward('web', '0:7')
    const { equal } = await laptop.probe('echo', { host: '127.0.0.1', port, bytes: 20_000_000 })
    assert.ok(equal)
    const many = await laptop.probe('many', { host: '127.0.0.1', port, count: 200 })
    assert.deepEqual([many.echoed, many.errors], [200, {}])
    await end(held)
  })

  test('a Deployment: follows when its pod is replaced, and outlives its shadow', async () => {
    const { held, port } = await forward('deployment/web', '0:8080')
    const [old] = podNames()
    assert.equal((await get(port)).text, old)
    kubectl(['-n', NAMESPACE, 'delete', 'pod', old, '--wait=false'])
    const { text } = await until(
      'the next pod answers',
      async () => {
        const answer = await get(port)
        return answer.text !== old && answer.text !== '' && answer
      },
      60_000,
    )
    assert.ok(podNames().includes(text!))

    const shadow = kubectl(['-n', NAMESPACE, 'get', 'pods', '-l', 'app.kubernetes.io/name=kt', '-o', 'name'])
    kubectl(['-n', NAMESPACE, 'delete', shadow, '--wait=false'])
    // Its tunnel goes with it; what comes then waits for the next.
    await held.saysSoon(/the tunnel is away/)
    assert.equal((await get(port)).text, text)
    assert.match(held.said(), /the tunnel is back/)
    await end(held)
    assert.equal(kubectl(['-n', NAMESPACE, 'get', 'jobs', '-o', 'name']), '')
  })

  test("a Pod, and a headless Service, whose ports are its pods'", async () => {
    const [pod] = podNames()
    const both = await Promise.all([forward(`pod/${pod}`, '0:http'), forward('svc/bare', '0:80')])
    for (const { held, port } of both) {
      assert.equal((await get(port)).text, pod)
      await end(held)
    }
  })

  test('a target that refuses resets the connection, and is told once', async () => {
    const { held, port } = await forward('deployment/web', '0:4444')
    for (let i = 0; i < 3; i++) assert.equal((await get(port)).error, 'ECONNRESET')
    await held.saysSoon(/refuses the connection/)
    assert.equal(held.said().match(/refuses the connection/g)?.length, 1, held.said())
    await end(held)
  })

  test('each mistake has an error of its own, two lines, and leaves nothing', async () => {
    const { held, port } = await forward('single', '0')
    for (const [args, message] of [
      [['web', `${port}:80`], new RegExp(`port ${port} of this machine is taken by \\S+ \\(process \\d+\\)`)],
      [
        ['nobody', '0:80'],
        /there is no Service, Deployment, StatefulSet or Pod "nobody" in namespace kt-forward\n.*bare/,
      ],
      [
        ['deploy/nobody', '0:80'],
        /there is no Deployment "nobody" in namespace kt-forward\n.*Deployments there: .*web/,
      ],
      [['web', '0:80', '-n', 'nosuch'], /there is no namespace "nosuch"/],
      [['host/web', '0:80'], /"host\/web" is no target/],
      [['web', '0:8080'], /service\/web has no port 8080\n.*80 \(http\), 7 \(echo\)/],
      [['web', '0'], /service\/web has several ports: 80 \(http\)/],
      [['web', '0:names'], /port 53 of service\/web is UDP/],
      [['elsewhere', '0:80'], /service\/elsewhere is an ExternalName, another name for www\.example\.com/],
    ] as const) {
      const { code, stderr } = await laptop.kt(['forward', '-n', NAMESPACE, ...args])
      assert.equal(code, 1, `${args.join(' ')}: ${stderr}`)
      assert.match(stderr, message)
      assert.match(stderr, /error: .+\n {7}.+\n$/, args.join(' '))
    }
    await end(held)
    assert.equal(kubectl(['-n', NAMESPACE, 'get', 'jobs', '-o', 'name']), '')
  })

  test('SIGTERM while it starts, and the loss of the command itself, leave nothing', async () => {
    const early = await startHolding(program, LAPTOP, ['forward', '-n', NAMESPACE, 'web', '0:80'])
    await until('its Job is there', () => kubectl(['-n', NAMESPACE, 'get', 'jobs', '-o', 'name']) !== '', 30_000)
    early.signal('SIGTERM')
    assert.equal(await early.exit, 1, early.said())
    assert.equal(kubectl(['-n', NAMESPACE, 'get', 'jobs', '-o', 'name']), '')
    const { held } = await forward('web', '0:80')
    held.signal('SIGKILL')
    await until('its Job is gone', () => kubectl(['-n', NAMESPACE, 'get', 'jobs', '-o', 'name']) === '', 30_000)
  })
})
