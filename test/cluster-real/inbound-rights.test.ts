import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ClusterClient } from '../../src/cluster/calls.ts'
import type { ExchangeRequest } from '../../src/cluster/inbound-calls.ts'
import { documentedRoles, type Rule } from '../support/documented-rights.ts'
import { until } from '../support/until.ts'
import { apply, client, kubeconfigFor, kubeconfigs, kubectl, shadowOptions, skipOwn } from './cluster.ts'
import { ofKt, servingAgent, setUp, silent, spec } from './inbound.ts'

const namespace = 'kt-back-rights'
const request: ExchangeRequest = {
  kind: 'exchange',
  target: 'web',
  mode: 'selector',
  ports: [{ port: 80 }],
  holder: 'ann@one/1',
  force: false,
}

/** A client of a user with these rules only. */
function clientWith(name: string, rules: Rule[]): ClusterClient {
  const metadata = { name, namespace }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const subjects = [{ kind: 'ServiceAccount', name, namespace }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name }
  apply(
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion, kind: 'Role', metadata, rules },
    { apiVersion, kind: 'RoleBinding', metadata, subjects, roleRef },
  )
  const token = kubectl('-n', namespace, 'create', 'token', name).trim()
  return client({ kubeconfig: kubeconfigFor(name, { token }, namespace) }, { agentBundle: servingAgent })
}

/** The first two Roles of docs/operate/rights.md. */
function documentedRules(): Rule[] {
  const { kt, 'kt-exchange': exchange } = documentedRoles()
  assert.deepEqual([kt.length, exchange.length], [4, 8])
  return [...kt, ...exchange]
}

describe('rights of exchange, run, recover and clean', { skip: skipOwn }, () => {
  const clients: ClusterClient[] = []
  const withRules = (name: string, rules: Rule[]) => {
    const cluster = clientWith(name, rules)
    clients.push(cluster)
    return cluster
  }
  before(() => setUp(namespace))
  after(async () => {
    await Promise.all(clients.map((each) => each.close()))
    kubectl('delete', 'namespace', namespace, '--wait=false')
  })

  test('the documented Roles are enough for all of it', async () => {
    const cluster = withRules('all', documentedRules())
    const was = [spec(namespace, 'service/web'), spec(namespace, 'deployment/web')]
    for (const mode of ['selector', 'scale'] as const) {
      // With scale nobody serves the ports that are not exposed.
      const force = mode === 'scale'
      const handle = await cluster.beginExchange({ ...request, mode, force }, shadowOptions, silent)
      await cluster.switchExchange(handle, silent)
      await cluster.renewLease(handle)
      assert.equal((await cluster.leases()).length, 1)
      const restored = await cluster.restoreExchange(handle, silent)
      assert.deepEqual(restored.kept, [])
      await cluster.removeExchange(handle)
    }
    const [pod] = kubectl('-n', namespace, 'get', 'pods', '-l', 'app=web', '-o', 'name').trim().split('\n')
    await cluster.beginExchange({ ...request, target: pod }, shadowOptions, silent)
    await cluster.recover(pod, { force: true, holder: 'eve@three/3' }, silent)
    const run = { name: 'fresh', ports: [{ port: 80, protocol: 'TCP' as const }], holder: 'ann@one/1' }
    await cluster.removeExchange(await cluster.beginRun(run, shadowOptions, silent))
    assert.deepEqual([spec(namespace, 'service/web'), spec(namespace, 'deployment/web')], was)
    await until('nothing of kt is left', () => ofKt(namespace).length === 0, 20_000)
  })

  for (const [resource, verb] of [
    ['leases', 'create'],
    ['secrets', 'create'],
  ])
    test(`without the right to ${verb} ${resource} it is named, and nothing is left`, async () => {
      const without = ({ resources, verbs, ...rule }: Rule): Rule => ({
        ...rule,
        resources,
        verbs: resources.includes(resource) ? verbs.filter((each) => each !== verb) : verbs,
      })
      const cluster = withRules(
        `no-${verb}-${resource}`,
        documentedRules()
          .map(without)
          .filter(({ verbs }) => verbs.length > 0),
      )
      const was = spec(namespace, 'service/web')
      await assert.rejects(cluster.beginExchange(request, shadowOptions, silent), {
        code: 'forbidden',
        message: new RegExp(`cannot ${verb} resource "${resource}"`),
      })
      assert.deepEqual(spec(namespace, 'service/web'), was)
      await until('nothing of kt is left', () => ofKt(namespace).length === 0, 20_000)
    })

  test('a developer with rights in one namespace only, where Pod Security is restricted', async () => {
    const selection = { kubeconfig: kubeconfigs.developer, namespace: 'strict' }
    const cluster = client(selection, { agentBundle: servingAgent })
    clients.push(cluster)
    const run = { name: 'kt-back-rights', ports: [{ port: 80, protocol: 'TCP' as const }], holder: 'ann@one/1' }
    const handle = await cluster.beginRun(run, shadowOptions, silent)
    await cluster.switchExchange(handle, silent)
    await cluster.restoreExchange(handle, silent)
    await cluster.removeExchange(handle)
    assert.equal(
      kubectl('-n', 'strict', 'get', 'services,leases,jobs', '-l', `kt/exchange=${handle.id}`, '-o', 'name'),
      '',
    )
  })
})
