import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { V1Pod } from '@kubernetes/client-node'
import { ownerOf } from '../../src/cluster/inbound/owner.ts'
import type { InboundHandle } from '../../src/cluster/inbound-calls.ts'
import { kindOfHandle } from '../../src/daemon/inbound/kinds.ts'
import { awayWords, keptConnectionsWords, silenceWords, takenAway, wayWords } from '../../src/daemon/inbound/words.ts'

const port = (number: number, exposed: boolean) => ({ port: number, protocol: 'TCP' as const, listen: number, exposed })
const held = (parts: Partial<InboundHandle>): InboundHandle =>
  ({
    kind: 'exchange',
    mode: 'selector',
    namespace: 'shop',
    service: 'web',
    owner: 'deployment/web',
    ports: [port(80, true), port(7, false), port(9, false)],
    ...parts,
  }) as InboundHandle
const manual = { mode: 'manual' as const, header: 'version', value: 'x', prefix: false, others: [] }

test('what leads here, and what stays', () => {
  assert.equal(
    kindOfHandle(held({})).ledWords(held({}), 'web'),
    'web leads to the shadow; ports 7 and 9 stay with the original pods',
  )
  const run = held({ kind: 'run', mode: 'run', ports: [port(80, true)] })
  assert.equal(kindOfHandle(run).ledWords(run, 'mine'), 'mine made, port 80')
  const workload = { kind: 'Deployment', name: 'web', replicas: 3 } as const
  const scale = held({ mode: 'scale', workload, ports: [port(80, true)] })
  assert.equal(kindOfHandle(scale).ledWords(scale, 'web'), 'Deployment web scaled from 3 to 0')
})

test('while the connection is lost, requests go where they can: to the original pods, or nowhere', () => {
  assert.match(
    awayWords(kindOfHandle(held({})).hasOriginal),
    /^the connection to the cluster is lost; the original pods answer until it is back\. If the shadows .* fail at first$/,
  )
  for (const none of [
    held({ kind: 'run', mode: 'run' }),
    held({ mode: 'scale' }),
    held({ kind: 'mesh', mesh: manual }),
  ])
    assert.match(awayWords(kindOfHandle(none).hasOriginal), /requests are refused until it is back$/)
})

test('a port of UDP is told from the one of TCP with the same number', () => {
  const ports = (['TCP', 'UDP'] as const).map((protocol) => ({ local: 7, remote: 7, protocol }))
  assert.equal(
    wayWords(ports, { portName: (number) => `localhost:${number}` }),
    '7 -> localhost:7, 7/UDP -> localhost:7',
  )
})

test('who keeps connections open is told of, with a command that ends these connections', () => {
  assert.equal(
    keptConnectionsWords(held({})),
    'callers with open connections stay with the original pods until they connect again. ' +
      '`kubectl -n shop rollout restart deployment/web` ends these connections',
  )
  assert.match(
    keptConnectionsWords(held({ owner: undefined })),
    /A restart of these callers, or of the original pods, ends these connections$/,
  )
  assert.match(silenceWords(held({}), 10), /^no request has come in 10 s: callers with open connections stay/)
  const auto = { mode: 'auto' as const, header: 'kt-version', value: 'abc', prefix: false, others: [] }
  assert.match(silenceWords(held({ kind: 'mesh', mesh: auto }), 10), /^no request with kt-version: abc has come/)
})

test('the owner of pods is what kubectl can restart', () => {
  const pod = (kind: string, name: string, labels: Record<string, string> = {}): V1Pod => ({
    metadata: { labels, ownerReferences: [{ kind, name, controller: true, apiVersion: 'apps/v1', uid: '1' }] },
  })
  const web = pod('ReplicaSet', 'web-5b7c697fbf', { 'pod-template-hash': '5b7c697fbf' })
  assert.equal(ownerOf([web, web]), 'deployment/web')
  assert.equal(ownerOf([pod('StatefulSet', 'db')]), 'statefulset/db')
  assert.equal(ownerOf([web, pod('Job', 'kt-shadow-x', { 'kt/exchange': 'x' })]), 'deployment/web')
  assert.equal(ownerOf([web, pod('StatefulSet', 'db')]), undefined)
  assert.equal(ownerOf([pod('ReplicaSet', 'bare')]), undefined)
  assert.equal(ownerOf([]), undefined)
})

test('a Service that somebody else took away is a fault, with what ends this, until it leads here again', () => {
  const event = { manager: 'argocd', message: 'the selector of Service web was changed by argocd' }
  assert.deepEqual(takenAway({ ...event, type: 'reverted' }, held({}), 'web', 0), {
    code: 'taken-away',
    message: event.message,
    hint: '`kt leave web -n shop` ends this; begin anew to take it back',
    since: '1970-01-01T00:00:00.000Z',
  })
  assert.match(takenAway({ ...event, type: 'deleted' }, held({}), 'web', 0)!.hint, /when the Service is there again/)
  assert.equal(takenAway({ ...event, type: 'returned' }, held({}), 'web', 0), undefined)
})
