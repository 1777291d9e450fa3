import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { BackEvent, BackHandle, ExchangeRequest } from '../../src/cluster/back-port.ts'
import { ask, ofKt, servingAgent, setUp, silent, spec, untilAnswered } from './back.ts'
import { client, kubeconfigs, kubectl, shadowOptions, skip } from './cluster.ts'

const namespace = 'kt-back-test'

function exchangeOf(holder: string, more: Partial<ExchangeRequest> = {}): ExchangeRequest {
  return { kind: 'exchange', target: 'web', mode: 'selector', ports: [{ port: 80 }], holder, force: false, ...more }
}

describe('exchange on a real cluster', { skip }, () => {
  const cluster = client({ kubeconfig: kubeconfigs.admin, namespace }, { agentBundle: servingAgent })
  const begin = (request: ExchangeRequest) => cluster.beginExchange(request, shadowOptions, silent)
  const end = async (handle: BackHandle) => {
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
    const events: BackEvent[] = []
    const stop = new AbortController()
    const told = Promise.withResolvers<void>()
    await cluster.switchExchange(handle, silent)
    const onEvent = (event: BackEvent) => {
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
})
