import assert from 'node:assert/strict'
import { test } from 'node:test'
import { podAt } from '../../src/cluster/pod-at.ts'
import { ApiDouble, type Asked, forbidden } from './api-double.ts'

const pod = (namespace: string, name: string, ips: string[], more: { phase?: string; hostNetwork?: boolean } = {}) => ({
  metadata: { namespace, name },
  spec: { hostNetwork: more.hostNetwork },
  status: { phase: more.phase ?? 'Running', podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
})

const pods = [
  pod('shop', 'web-1', ['10.244.1.7', 'fd00::7']),
  pod('shop', 'job-1', ['10.244.1.8'], { phase: 'Succeeded' }),
  pod('shop', 'new-1', ['10.244.1.8'], { phase: 'Pending' }),
  pod('other', 'far-1', ['10.244.2.9', 'fd00::9']),
  pod('kube-system', 'proxy-1', ['172.31.77.11'], { hostNetwork: true }),
]

/** As an API server selects: by the first address only. */
function answer(everywhere: boolean) {
  return ({ path, query }: Asked): [number, unknown] => {
    const namespace = /namespaces\/([^/]+)\/pods$/.exec(path)?.[1]
    if (!everywhere && namespace !== 'shop') return forbidden('pods')
    const wanted = query.get('fieldSelector')?.replace('status.podIP=', '')
    const items = pods.filter(
      ({ metadata, status }) =>
        (!namespace || metadata.namespace === namespace) && (!wanted || status.podIP === wanted),
    )
    return [200, { items, metadata: {} }]
  }
}

for (const [what, address, everywhere, expected] of [
  ['a pod of the namespace', '10.244.1.7', false, 'shop/web-1'],
  ['a pod by the second of its addresses', 'fd00::7', false, 'shop/web-1'],
  ['the pod that has the address of one that has ended', '10.244.1.8', true, 'shop/new-1'],
  ['a pod elsewhere', '10.244.2.9', true, 'other/far-1'],
  ['a pod elsewhere by its second address', 'fd00::9', true, 'other/far-1'],
  ['no pod elsewhere without the right to look there', '10.244.2.9', false, null],
  ['none of the pods that share the address of their node', '172.31.77.11', true, null],
  ['nothing for an address of nobody', '192.0.2.1', true, null],
] as const)
  test(`finds ${what}`, async () => {
    await using double = await ApiDouble.start(answer(everywhere))
    const found = await podAt(double.api(), 'shop', address)
    assert.equal(found && `${found.namespace}/${found.name}`, expected)
  })
