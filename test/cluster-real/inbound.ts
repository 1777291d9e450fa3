// What the tests of exchange, run and recover share: a namespace with an echo Deployment and its Service, a stand-in for the
// agent, and requests from a pod.
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Progress } from '../../src/cluster/calls.ts'
import { until } from '../support/until.ts'
import { apply, folder, kubectl, program } from './cluster.ts'

/**
 * Listens on the ports it is given and answers each line for itself; what has an `original` it passes to it, as the agent does
 * for what nobody claims, when the path of the request is /original.
 */
export const servingAgent = join(folder, 'serving-agent.cjs')
writeFileSync(
  servingAgent,
  `const net = require('node:net'), http = require('node:http')
net.createServer((socket) => socket.on('error', () => {})).listen(Number(process.env.KT_AGENT_PORT), '127.0.0.1')
for (const { port, original } of JSON.parse(process.env.KT_AGENT_PORTS || '[]'))
  http.createServer((request, response) => {
    if (request.url !== '/original') return response.end('here\\n')
    if (!original) return request.socket.destroy()
    http.get({ host: original.host, port: original.port, path: '/' }, (answer) => answer.pipe(response)).on('error', () => request.socket.destroy())
  }).listen(port, '::')
if (process.env.KT_AGENT_READY_PORT) net.createServer((socket) => socket.destroy()).listen(Number(process.env.KT_AGENT_READY_PORT), '::')
process.on('SIGTERM', () => process.exit(0))\n`,
)

// One connection, closed at its end.
const request = `require('node:http').get(process.argv[1], { agent: false, timeout: 3000 }, (answer) => answer.pipe(process.stdout))
  .on('timeout', () => process.exit(1)).on('error', () => process.exit(1))`
const answer = `require('node:http').createServer((request, response) => response.end('pod ' + require('node:os').hostname() + '\\n')).listen(8080)`

/** Deployment and Service `web`, the pod `asker`, and targets that do not fit. */
export function echoObjects(namespace: string): object[] {
  const container = {
    name: 'echo',
    image: 'docker.io/library/node:24-alpine',
    command: ['node', '-e', answer],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  }
  const template = (labels: object) => ({
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [container] },
  })
  const metadata = (name: string) => ({ name, namespace })
  const service = (name: string, spec: object) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata(name),
    spec,
  })
  const app = { app: 'web', tier: 'front' }
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata('web'),
      spec: { replicas: 2, selector: { matchLabels: app }, template: template(app) },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata('web'),
      spec: {
        selector: app,
        ipFamilyPolicy: 'PreferDualStack',
        ports: [
          { name: 'http', port: 80, targetPort: 'http' },
          { name: 'plain', port: 81, targetPort: 8080 },
          { name: 'news', port: 90, protocol: 'UDP', targetPort: 9090 },
        ],
      },
    },
    service('byhand', { ports: [{ port: 80 }] }),
    service('elsewhere', { type: 'ExternalName', externalName: 'example.com' }),
    service('one', { selector: { app: 'twice' }, ports: [{ port: 80 }] }),
    service('two', { selector: { app: 'twice' }, ports: [{ port: 80 }] }),
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: metadata('twice'),
      spec: {
        replicas: 0,
        serviceName: 'one',
        selector: { matchLabels: { app: 'twice' } },
        template: template({ app: 'twice' }),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: metadata('asker'),
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            ...container,
            name: 'asker',
            command: ['node', '-e', 'setInterval(() => {}, 1000)'],
            readinessProbe: undefined,
          },
        ],
      },
    },
  ]
}

export function setUp(namespace: string): void {
  apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }, ...echoObjects(namespace))
  kubectl('-n', namespace, 'rollout', 'status', 'deployment/web', '--timeout=60s')
  kubectl('-n', namespace, 'wait', 'pod/asker', '--for=condition=Ready', '--timeout=60s')
}

const run = promisify(execFile)

/** What a request from the pod `asker` gets; '' for a failure. */
export async function ask(namespace: string, url: string): Promise<string> {
  const [command, ...first] = program ? [program, 'kubectl'] : ['kubectl']
  const words = ['-n', namespace, 'exec', 'asker', '--', 'node', '-e', request, url]
  const { stdout } = await run(command, [...first, ...words]).catch(() => ({ stdout: '' }))
  return stdout.trim()
}

/** kube-proxy follows the endpoints within moments. */
export async function untilAnswered(namespace: string, url: string, by: RegExp): Promise<void> {
  await until(`${url} is answered by ${by}`, async () => by.test(await ask(namespace, url)), 20_000)
}

export function spec(namespace: string, what: string): unknown {
  return JSON.parse(kubectl('-n', namespace, 'get', what, '-o', 'json')).spec
}

/** Names of all that kt made in the namespace. */
export function ofKt(namespace: string): string[] {
  const text = kubectl(
    '-n',
    namespace,
    'get',
    'jobs,services,leases,secrets,pods',
    '-l',
    'app.kubernetes.io/managed-by=kt',
    '-o',
    'name',
  )
  return text.split('\n').filter((line) => line !== '')
}

export const silent: Progress = () => {}
