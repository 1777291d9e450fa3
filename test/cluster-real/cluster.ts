// The real cluster for tests: KT_TEST_CLUSTER names the program that runs it (with `laptop`, `kubectl`, `kubeconfig`), or
// KUBECONFIG a cluster that can be reached from here. Tests that make users of their own need the first.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ClusterClient, ClusterSelection, ShadowOptions } from '../../src/cluster/calls.ts'
import { createClusterClient } from '../../src/cluster/client.ts'
import type { ClusterClientOptions } from '../../src/cluster/worker-calls.ts'

export const program = process.env['KT_TEST_CLUSTER']
export const skip = program || process.env['KUBECONFIG'] ? false : 'set KT_TEST_CLUSTER or KUBECONFIG'
export const skipOwn = program ? false : 'set KT_TEST_CLUSTER: it makes users and namespaces'

/** A folder for kubeconfigs and the agent's stand-in; removed at the end. */
export const folder = mkdtempSync(join(tmpdir(), 'kt-cluster-test-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Listens where the agent would; enough to be a shadow's container. */
export const agentBundle = join(folder, 'agent.cjs')
writeFileSync(
  agentBundle,
  `require('node:net').createServer().listen(Number(process.env.KT_AGENT_PORT), () => console.log('listening'))
process.on('SIGTERM', () => process.exit(0))\n`,
)

// Without a cluster all is skipped, and these are never read.
const admin = program
  ? execFileSync(program, ['kubeconfig'], { encoding: 'utf8' }).trim()
  : (process.env['KUBECONFIG'] ?? '')
export const state = dirname(admin)
export const kubeconfigs = { admin, developer: join(state, 'developer.kubeconfig') }

export function kubectl(...args: string[]): string {
  const [command, ...more] = program ? [program, 'kubectl'] : ['kubectl']
  return execFileSync(command, [...more, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** `kubectl apply` of objects. */
export function apply(...objects: object[]): void {
  const file = join(folder, `apply-${Math.random().toString(36).slice(2)}.json`)
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  kubectl('apply', '-f', file)
}

export function client(selection: ClusterSelection, options: ClusterClientOptions = {}): ClusterClient {
  const prefix = program ? [program, 'laptop', '--as', 'clu'] : []
  return createClusterClient(selection, { prefix, agentBundle, ...options })
}

export const shadowOptions: ShadowOptions = {
  kind: 'agent',
  image: 'node:24-alpine',
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  labels: {},
  annotations: {},
  resources: {},
  owner: 'test@here',
  readyTimeoutMs: 30_000,
}

/** Names of shadows' Jobs in a namespace. */
export function jobsIn(namespace: string): string[] {
  const text = kubectl('-n', namespace, 'get', 'jobs', '-l', 'app.kubernetes.io/name=kt', '-o', 'name')
  return text.split('\n').filter((line) => line !== '')
}

/** A kubeconfig as the admin's, with another user. */
export function kubeconfigFor(name: string, user: object, namespace: string): string {
  const view = JSON.parse(kubectl('config', 'view', '--raw', '-o', 'json')) as { clusters: unknown[] }
  const cluster = (view.clusters as { name: string }[])[0].name
  const file = join(folder, `${name}.kubeconfig`)
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: view.clusters,
      users: [{ name, user }],
      contexts: [{ name: 'test', context: { cluster, user: name, namespace } }],
      'current-context': 'test',
    }),
  )
  return file
}
