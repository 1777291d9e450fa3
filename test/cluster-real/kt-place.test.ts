// A container's environment and files on a real cluster, compared with what its kubelet gave it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { realCluster, realMachine } from '../support/machine.ts'
import { placeObjects } from '../support/place-objects.ts'

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
  const inPod = (...command: string[]) =>
    kubectl(['-n', NAMESPACE, 'exec', 'deployment/orders', '-c', 'app', '--', ...command])
  const kt = async (...args: string[]) => {
    const { code, stdout, stderr } = await laptop.kt([...args, '-n', NAMESPACE])
    assert.equal(code, 0, stderr)
    return { stdout, stderr }
  }

  before(() => {
    const items = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }, ...placeObjects(NAMESPACE)]
    kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
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
