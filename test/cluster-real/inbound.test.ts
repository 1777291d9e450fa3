import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ExchangeRequest, InboundEvent, InboundHandle } from '../../src/cluster/inbound-calls.ts'
import { until } from '../support/until.ts'
import { client, kubeconfigs, kubectl, shadowOptions, skip } from './cluster.ts'
import { ask, ofKt, servingAgent, setUp, silent, spec, untilAnswered } from './inbound.ts'

const namespace = 'kt-back-test'

function exchangeOf(holder: string, more: Partial<ExchangeRequest> = {}): ExchangeRequest {
  return { kind: 'exchange', target: 'web', mode: 'selector', ports: [{ port: 80 }], holder, force: false, ...more }
}

describe('exchange on a real cluster', { skip }, () => {
  const cluster = client({ kubeconfig: kubeconfigs.admin, namespace }, { agentBundle: servingAgent })
  const begin = (request: ExchangeRequest) => cluster.beginExchange(request, shadowOptions, silent)
  const end = async (handle: InboundHandle) => {
    await cluster.restoreExchange(handle, silent)
    await cluster.removeExchange(handle)
  }
  before(() => setUp(namespace))
  after(async () => {
    await cluster.close()
    kubectl('delete', 'namespace', namespace, '--wait=false')
  })

  test('by selector: requests come here, others reach the originals, and all is as before', async () => {
    const was = spec(namespace, 'service/web')
    const handle = await begin(exchangeOf('ann@one/1'))
    assert.deepEqual(spec(namespace, 'service/web'), was, 'nothing leads here before the switch')
    await cluster.switchExchange(handle, silent)
    await untilAnswered(namespace, 'http://web/', /^here$/)
    assert.match(await ask(namespace, 'http://web/original'), /^pod web-/)
    await cluster.renewLease(handle)
    await assert.rejects(begin(exchangeOf('bob@two/2')), {
      code: 'held',
      message: /^web is exchanged by ann@one since 20/,
    })

    const restored = await cluster.restoreExchange(handle, silent)
    assert.deepEqual(restored, { restored: ['the selector of Service web'], kept: [] })
    assert.deepEqual(spec(namespace, 'service/web'), was)
    await untilAnswered(namespace, 'http://web/', /^pod web-/)
    assert.deepEqual(await cluster.restoreExchange(handle, silent), { restored: [], kept: [] })
    await cluster.removeExchange(handle)
    await cluster.removeExchange(handle)
    assert.deepEqual(ofKt(namespace), [])
  })

  test('somebody who puts the selector back is noticed and named', async () => {
    const handle = await begin(exchangeOf('ann@one/1'))
    const events: InboundEvent[] = []
    const stop = new AbortController()
    const told = Promise.withResolvers<void>()
    await cluster.switchExchange(handle, silent)
    const onEvent = (event: InboundEvent) => {
      events.push(event)
      told.resolve()
    }
    const watching = cluster.watchExchange(handle, onEvent, stop.signal)
    const apply = JSON.stringify({ spec: { selector: { app: 'web', tier: 'front' } } })
    kubectl('-n', namespace, 'patch', 'service/web', '--field-manager=gitops', '--type=merge', '-p', apply)
    await told.promise
    stop.abort()
    await watching
    assert.deepEqual(events[0], {
      type: 'reverted',
      manager: 'gitops',
      message: 'the selector of Service web was changed by gitops: requests do not come here any more',
    })
    await end(handle)
    assert.deepEqual(ofKt(namespace), [])
  })

  test('by scale: the originals rest, the shadow stands in for them, and they come back', async () => {
    const was = [spec(namespace, 'service/web'), spec(namespace, 'deployment/web')]
    // Its other ports are left without anybody, which must be said.
    const request = { mode: 'scale', target: 'deployment/web' } as const
    await assert.rejects(begin(exchangeOf('ann@one/1', request)), { code: 'target-unfit' })
    const handle = await begin(exchangeOf('ann@one/1', { ...request, force: true }))
    await cluster.switchExchange(handle, silent)
    await untilAnswered(namespace, 'http://web/', /^here$/)
    assert.deepEqual(spec(namespace, 'service/web'), was[0])
    assert.equal((spec(namespace, 'deployment/web') as { replicas: number }).replicas, 0)
    assert.deepEqual((await cluster.restoreExchange(handle, silent)).restored, ['Deployment web to 2 replicas'])
    await untilAnswered(namespace, 'http://web/', /^pod web-/)
    await cluster.removeExchange(handle)
    assert.deepEqual([spec(namespace, 'service/web'), spec(namespace, 'deployment/web')], was)
    assert.deepEqual(ofKt(namespace), [])
  })

  test('run: a new Service that leads here, refused where the name is taken, gone at the end', async () => {
    const ports = [{ port: 80, protocol: 'TCP' as const }]
    const run = { name: 'fresh', ports, holder: 'ann@one/1' }
    await assert.rejects(cluster.beginRun({ ...run, name: 'web' }, shadowOptions, silent), { code: 'name-taken' })
    const handle = await cluster.beginRun(run, shadowOptions, silent)
    await cluster.switchExchange(handle, silent)
    await untilAnswered(namespace, 'http://fresh/', /^here$/)
    await assert.rejects(cluster.beginRun({ ...run, holder: 'bob@two/2' }, shadowOptions, silent), { code: 'held' })
    await end(handle)
    assert.deepEqual(ofKt(namespace), [])
  })

  test('a holder that vanished: clean lists what it would do and why, and does it', async () => {
    const was = spec(namespace, 'service/web')
    const other = client({ kubeconfig: kubeconfigs.admin, namespace }, { agentBundle: servingAgent })
    const handle = await other.beginExchange(exchangeOf('ann@one/1'), shadowOptions, silent)
    await other.switchExchange(handle, silent)
    await other.close()
    const [leftover, ...more] = await cluster.findLeftovers({ owner: '', except: [] }, silent)
    assert.deepEqual(more, [])
    assert.match(leftover.reason, /kt-exchange-web-\w+ was not renewed/)
    assert.deepEqual(leftover.actions, [
      'put back the selector of Service web',
      `delete Job ${handle.shadow.job}`,
      `delete Service ${handle.original!.name}`,
      `delete Lease ${handle.lease.name}`,
    ])
    assert.equal(await ask(namespace, 'http://web/'), 'here', 'looking changes nothing')
    const [recovered] = await cluster.removeLeftovers([leftover], 'bob@two/2', silent)
    assert.equal(recovered.holder, 'ann@one')
    assert.deepEqual(spec(namespace, 'service/web'), was)
    await until('nothing of kt is left', () => ofKt(namespace).length === 0, 20_000)
  })

  test('a lost pod is replaced under the same labels, without a change of the Service', async () => {
    const handle = await begin(exchangeOf('ann@one/1'))
    await cluster.switchExchange(handle, silent)
    const pointing = spec(namespace, 'service/web')
    kubectl('-n', namespace, 'delete', 'pod', handle.shadow.pod)
    const next = await cluster.replaceShadow(handle, silent)
    assert.notEqual(next.shadow.pod, handle.shadow.pod)
    await untilAnswered(namespace, 'http://web/', /^here$/)
    assert.deepEqual(spec(namespace, 'service/web'), pointing)
    await end(next)
    await until('nothing of kt is left', () => ofKt(namespace).length === 0, 20_000)
  })

  const refusals: [string, Partial<ExchangeRequest>, string, RegExp][] = [
    [
      'a target that is not there',
      { target: 'nosuch' },
      'target-unknown',
      /^there is no Service "nosuch" in namespace/,
    ],
    ['a Deployment that is not there', { target: 'deployment/nosuch' }, 'target-unknown', /no Deployment "nosuch"/],
    ['a port the Service has not', { ports: [{ port: 99 }] }, 'target-unfit', /^Service web has no port 99$/],
    ['a port exposed twice', { ports: [{ port: 80 }, { port: 80 }] }, 'target-unfit', /^port 80 is exposed twice$/],
    ['a Service without a selector', { target: 'byhand' }, 'target-unfit', /^Service byhand has no selector/],
    [
      'an ExternalName',
      { target: 'elsewhere' },
      'target-unfit',
      /is an ExternalName: only another name for example\.com/,
    ],
    ['a pod no Service leads to', { target: 'pod/asker' }, 'target-unfit', /^no Service leads to pod\/asker$/],
    [
      'a StatefulSet two Services lead to',
      { target: 'statefulset/twice' },
      'target-unfit',
      /several Services lead to .*one, two/,
    ],
  ]
  for (const [what, request, code, message] of refusals)
    test(`${what} is told as such, and nothing is left`, async () => {
      await assert.rejects(begin(exchangeOf('ann@one/1', request)), { code, message })
      assert.deepEqual(ofKt(namespace), [])
    })
})
