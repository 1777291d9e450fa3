// Where `kt forward` leads: ports by number and name, also those of native sidecars.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Api } from '../../src/cluster/api.ts'
import { resolveForward } from '../../src/cluster/forward-target.ts'
import { core, namespaceWith } from './namespace.ts'

const status = { podIP: '10.244.1.5', conditions: [{ type: 'Ready', status: 'True' }] }

test('a port is found by its name in containers and native sidecars, and not in init containers that end', async () => {
  const cluster = namespaceWith()
  const named = (name: string, containerPort: number) => [{ name, containerPort }]
  const spec = {
    containers: [{ name: 'app', ports: named('http', 8080) }],
    initContainers: [
      { name: 'proxy', restartPolicy: 'Always', ports: named('metrics', 9090) },
      { name: 'setup', ports: named('once', 7070) },
    ],
  }
  cluster.put(`${core}/pods/web-1`, { spec, status })
  const api = cluster.client() as unknown as Api
  const forward = (remote: string) => resolveForward(api, 'shop', { target: 'pod/web-1', local: 1234, remote })
  assert.equal((await forward('http')).port, 8080)
  assert.equal((await forward('metrics')).port, 9090)
  await assert.rejects(forward('once'), { hint: 'its ports are 8080 (http), 9090 (metrics)' })
})

test('without a port there it is the only one, and of several the hint is a command that works', async () => {
  const cluster = namespaceWith('web')
  const api = cluster.client() as unknown as Api
  const service = cluster.objects.get(`${core}/services/web`)!
  service['spec'].clusterIP = '10.96.0.9'
  assert.equal((await resolveForward(api, 'shop', { target: 'web', local: 3000 })).port, 80)
  service['spec'].ports.push({ name: 'admin', port: 9000 })
  await assert.rejects(resolveForward(api, 'shop', { target: 'web', local: 3000 }), {
    hint: 'name one: `kt forward web 3000:80 -n shop`',
  })
})
