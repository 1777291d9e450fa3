// Targets that are not what one might think: what is said of them before anything leads here, and what is refused.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginExchange } from '../../src/cluster/inbound/kinds.ts'
import type { ExchangeRequest } from '../../src/cluster/inbound-calls.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import { clientOf, contents, core, exchangeOf, namespaceWith, options, silent } from './namespace.ts'

const begin = (cluster: MemoryCluster, target: string, more: Partial<ExchangeRequest> = {}) =>
  beginExchange(clientOf(cluster.client()), exchangeOf(target, 'ann@laptop/1', more), options, silent)

/** A Service with a second port, whose pods also serve another Service. */
function crowded(): MemoryCluster {
  const cluster = namespaceWith('web')
  const service = cluster.objects.get(`${core}/services/web`)!
  service['spec'].ports.push({ name: 'admin', port: 9000, protocol: 'TCP', targetPort: 9000 })
  return cluster
}

test('scale mode is refused while a port is not exposed, and changes nothing; --force accepts it and says so', async () => {
  const cluster = crowded()
  const before = contents(cluster)
  await assert.rejects(begin(cluster, 'web', { mode: 'scale' }), {
    code: 'target-unfit',
    message: 'with --mode scale nobody would serve port 9000 of Service web: the pods of web are scaled to 0',
    hint: 'expose it as well, use --mode selector, or accept it with --force',
  })
  assert.deepEqual(contents(cluster), before)
  const { warnings, ports } = await begin(cluster, 'web', { mode: 'scale', force: true })
  assert.match(warnings[0], /^nobody serves port 9000 of Service web meanwhile/)
  assert.deepEqual(
    ports.map(({ port }) => port),
    [80],
    'what nobody serves does not stay with anybody',
  )
})

test('scale mode is refused while another Service of the same pods would be left without them', async () => {
  const cluster = namespaceWith('web')
  const ports = [{ port: 443, protocol: 'TCP', targetPort: 8443 }]
  cluster.put(`${core}/services/web-tls`, { spec: { selector: { app: 'web' }, ports } })
  // Where two Services lead to it, the ports of a Deployment are those of its pods.
  for (const [target, port] of [
    ['web', 80],
    ['deployment/web', 8080],
  ] as const)
    await assert.rejects(begin(cluster, target, { mode: 'scale', ports: [{ port }] }), {
      code: 'target-unfit',
      message: /nobody would serve port 443 of Service web-tls/,
    })
})

test('a Pod stands for its whole Service, which is said first', async () => {
  const cluster = namespaceWith('web')
  cluster.list(`${core}/pods`)
  await cluster.client().get(`${core}/pods`)
  const [pod] = cluster.list(`${core}/pods`)
  const { warnings } = await begin(cluster, `pod/${pod.metadata.name}`)
  assert.equal(
    warnings[0],
    `all requests to Service web come here, which leads to 2 pods: a single Pod (${pod.metadata.name}) cannot be exchanged`,
  )
})

test('a Deployment whose Service has pods of others says that theirs come too', async () => {
  const cluster = namespaceWith('web')
  cluster.put(`${core}/pods/canary`, {
    metadata: { labels: { app: 'web', track: 'canary' } },
    spec: { containers: [] },
  })
  const deployment = cluster.objects.get('/apis/apps/v1/namespaces/shop/deployments/web')!
  deployment['spec'].template.metadata.labels = { app: 'web', track: 'stable' }
  const { warnings } = await begin(cluster, 'deployment/web')
  assert.match(warnings[0], /also those that reached the 1 pods of it which are not of deployment\/web/)
})

test('a Service without a ready pod, a headless one, and one whose port has only a name are exchanged', async () => {
  const cluster = namespaceWith()
  const spec = { selector: { app: 'none' }, ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'http' }] }
  cluster.put(`${core}/services/empty`, { spec })
  cluster.put(`${core}/services/headless`, { spec: { ...spec, clusterIP: 'None' } })
  for (const name of ['empty', 'headless']) {
    const { ports } = await begin(cluster, name, { ports: [{ port: 8080, name: 'http' }] })
    assert.equal(ports[0].port, 80)
  }
})

test('a Service without ports, without a selector, or that is another name, is refused in words', async () => {
  const cluster = namespaceWith()
  cluster.put(`${core}/services/portless`, { spec: { clusterIP: 'None', selector: { app: 'x' } } })
  cluster.put(`${core}/services/bare`, { spec: { ports: [{ port: 80 }] } })
  cluster.put(`${core}/services/other`, { spec: { type: 'ExternalName', externalName: 'db.example' } })
  for (const [name, hint] of [
    ['portless', /no ports at all/],
    ['bare', /kt run/],
    ['other', /db\.example/],
  ] as const)
    await assert.rejects(begin(cluster, name), { code: 'target-unfit', hint })
})
