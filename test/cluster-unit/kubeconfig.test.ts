import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { loadKubeconfig } from '../../src/cluster/kubeconfig.ts'
import { ClusterError, type ClusterErrorCode } from '../../src/cluster/port.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-kubeconfig-'))
after(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | object): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

function config(
  name: string,
  more: { user?: object; cluster?: object; context?: object; current?: string } = {},
): object {
  return {
    clusters: [{ name, cluster: { server: `https://${name}.example.com`, ...more.cluster } }],
    users: [{ name, user: more.user ?? { token: name } }],
    contexts: [{ name, context: { cluster: name, user: name, ...more.context } }],
    'current-context': more.current ?? name,
  }
}

function refused(run: () => unknown, code: ClusterErrorCode, message: RegExp, hint?: RegExp): void {
  assert.throws(run, (error: Error) => {
    assert.ok(error instanceof ClusterError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    if (hint) assert.match(error.hint, hint)
    return true
  })
}

describe('kubeconfig', () => {
  const a = file('a', config('a', { context: { namespace: 'shop' } }))
  const b = file('b', config('b'))

  test('--kubeconfig is the only file, its current context and namespace count', () => {
    const { identity } = loadKubeconfig({ kubeconfig: a }, { KUBECONFIG: b })
    assert.deepEqual(identity, {
      context: 'a',
      cluster: 'a',
      user: 'a',
      namespace: 'shop',
      server: 'https://a.example.com',
    })
  })

  test('--namespace and --context come before what the file says; without either it is default', () => {
    assert.equal(loadKubeconfig({ kubeconfig: a, namespace: 'n' }, {}).identity.namespace, 'n')
    const { identity } = loadKubeconfig({ context: 'b' }, { KUBECONFIG: `${a}:${b}` })
    assert.deepEqual([identity.cluster, identity.namespace], ['b', 'default'])
  })

  test('KUBECONFIG with several files: the first wins, missing ones are passed over', () => {
    const again = file('again', config('a', { user: { token: 'second' }, current: 'b' }))
    const { config: merged, identity } = loadKubeconfig({}, { KUBECONFIG: `${folder}/no:${a}:${again}:${b}` })
    assert.equal(identity.context, 'a')
    assert.equal(merged.getCurrentUser()?.token, 'a')
  })

  test('a context of one file may name a cluster of another', () => {
    const contexts = [{ name: 'x', context: { cluster: 'b', user: 'a' } }]
    const only = file('only', { contexts, 'current-context': 'x' })
    const { identity } = loadKubeconfig({}, { KUBECONFIG: `${only}:${a}:${b}` })
    assert.deepEqual([identity.server, identity.user], ['https://b.example.com', 'a'])
  })

  test('without KUBECONFIG it is ~/.kube/config', () => {
    mkdirSync(join(folder, '.kube'))
    file('.kube/config', config('home'))
    assert.equal(loadKubeconfig({}, { HOME: folder }).identity.context, 'home')
  })

  test('files that are missing, empty or broken are named, with the line', () => {
    refused(() => loadKubeconfig({ kubeconfig: '/no/such' }, {}), 'kubeconfig-missing', /no kubeconfig \/no\/such/)
    refused(() => loadKubeconfig({}, { KUBECONFIG: '/no/a:/no/b' }), 'kubeconfig-missing', /\/no\/a, \/no\/b/)
    refused(
      () => loadKubeconfig({}, { HOME: '/no' }),
      'kubeconfig-missing',
      /KUBECONFIG is not set and no \/no\/.kube\/config/,
    )
    refused(() => loadKubeconfig({ kubeconfig: file('empty', ' \n') }, {}), 'kubeconfig-missing', /is empty/)
    const broken = file('broken', 'clusters:\n- name: a\n  cluster: [\n')
    refused(() => loadKubeconfig({ kubeconfig: broken }, {}), 'kubeconfig-invalid', /broken:[34]: /)
    const incomplete = file('incomplete', { clusters: [{ name: 'a' }] })
    refused(
      () => loadKubeconfig({ kubeconfig: incomplete }, {}),
      'kubeconfig-invalid',
      /clusters\[0\].cluster is missing/,
    )
  })

  test('an unknown context: those there are', () => {
    const run = () => loadKubeconfig({ context: 'no' }, { KUBECONFIG: `${a}:${b}` })
    refused(run, 'context-unknown', /no context "no"/, /a, b/)
  })

  test('a context whose cluster or user is not there', () => {
    const noCluster = file('no-cluster', { ...config('c'), clusters: [] })
    refused(() => loadKubeconfig({ kubeconfig: noCluster }, {}), 'kubeconfig-invalid', /its cluster "c" is not there/)
    const noUser = file('no-user', { ...config('c'), users: [] })
    refused(() => loadKubeconfig({ kubeconfig: noUser }, {}), 'kubeconfig-invalid', /its user "c" is not there/)
  })

  test("the kubeconfig's proxy comes before the environment's", () => {
    const proxied = file('proxied', config('p', { cluster: { 'proxy-url': 'socks5://own:1' } }))
    const env = { HTTPS_PROXY: 'http://env:1' }
    assert.equal(loadKubeconfig({ kubeconfig: proxied }, env).proxy, 'socks5://own:1')
    const { proxy, config: loaded } = loadKubeconfig({ kubeconfig: a }, env)
    assert.deepEqual([proxy, loaded.getCurrentCluster()?.proxyUrl], ['http://env:1', 'http://env:1'])
  })

  test('a plugin is found beside the kubeconfig and told which version to speak', () => {
    const exec = { apiVersion: 'client.authentication.k8s.io/v1beta1', command: './plugin', provideClusterInfo: true }
    const { config: loaded } = loadKubeconfig({ kubeconfig: file('exec', config('e', { user: { exec } })) }, {})
    const plugin = loaded.getCurrentUser()!.exec as { command: string; env: { name: string; value: string }[] }
    assert.equal(plugin.command, join(folder, 'plugin'))
    const info = JSON.parse(plugin.env.find(({ name }) => name === 'KUBERNETES_EXEC_INFO')!.value)
    assert.equal(info.apiVersion, exec.apiVersion)
    assert.equal(info.spec.cluster.server, 'https://e.example.com')
  })
})
