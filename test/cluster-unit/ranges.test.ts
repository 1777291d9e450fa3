import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterError, type Ranges } from '../../src/cluster/calls.ts'
import { discoverRanges } from '../../src/cluster/ranges.ts'
import { ApiDouble, type Asked, forbidden } from './api-double.ts'

// A dual-stack cluster; each test takes rights away from its user.
interface Cluster {
  serviceCidrs?: string[]
  beta?: boolean
  tellsRange?: boolean
  nodes?: { podCIDRs?: string[]; address: string }[]
  pods?: { ips: string[]; host?: string; hostNetwork?: boolean }[]
  services?: string[][]
  mayList?: 'everywhere' | 'namespace' | 'nothing'
}

const full: Cluster = {
  serviceCidrs: ['10.96.0.0/16', 'fd00:96::/112'],
  tellsRange: true,
  nodes: [
    { podCIDRs: ['10.244.0.0/24', 'fd00:244::/64'], address: '192.168.1.10' },
    { podCIDRs: ['10.244.1.0/24', 'fd00:244:0:1::/64'], address: '192.168.1.11' },
  ],
  pods: [
    { ips: ['10.244.0.5', 'fd00:244::5'], host: '192.168.1.10' },
    { ips: ['192.168.1.10'], host: '192.168.1.10', hostNetwork: true },
  ],
  services: [['10.96.0.1', 'fd00:96::1'], ['None']],
  mayList: 'everywhere',
}

function answer(cluster: Cluster) {
  return ({ method, path, body }: Asked): [number, unknown] => {
    const items = (list: unknown[]): [number, unknown] => [200, { items: list }]
    const listed = (kind: string, list: unknown[]) =>
      cluster.mayList === 'everywhere' || (cluster.mayList === 'namespace' && path.includes('/namespaces/shop/'))
        ? items(list)
        : forbidden(kind)
    if (path.endsWith('/servicecidrs')) {
      if (path.includes('/v1/') === (cluster.beta ?? false)) return [404, { message: 'the server could not find it' }]
      if (!cluster.serviceCidrs) return forbidden('servicecidrs')
      return items([{ metadata: { name: 'kubernetes' }, spec: { cidrs: cluster.serviceCidrs } }])
    }
    if (path === '/api/v1/nodes') {
      if (!cluster.nodes) return forbidden('nodes')
      const status = (address: string) => ({ addresses: [{ type: 'InternalIP', address }] })
      return items(cluster.nodes.map(({ podCIDRs, address }) => ({ spec: { podCIDRs }, status: status(address) })))
    }
    if (path.endsWith('/pods'))
      return listed(
        'pods',
        (cluster.pods ?? []).map(({ ips, host, hostNetwork }) => ({
          spec: { hostNetwork },
          status: { podIPs: ips.map((ip) => ({ ip })), hostIP: host },
        })),
      )
    if (path.endsWith('/services') && method === 'POST') {
      if (!cluster.tellsRange) return forbidden('services')
      const v6 = (body as { spec: { ipFamilies: string[] } }).spec.ipFamilies[0] === 'IPv6'
      const range = v6 ? 'fd00:96::/112' : '10.96.0.0/16'
      const message = `Service "x" is invalid: spec.clusterIPs: Invalid value: failed to allocate IP: the provided IP is not in the valid range. The range of valid IPs is ${range}`
      return [422, { message }]
    }
    if (path.endsWith('/services'))
      return listed(
        'services',
        (cluster.services ?? []).map((clusterIPs) => ({ spec: { clusterIPs } })),
      )
    return [404, {}]
  }
}

async function discover(cluster: Cluster, servers = ['192.168.1.2']): Promise<Ranges & { asked: Asked[] }> {
  await using double = await ApiDouble.start(answer(cluster))
  return { ...(await discoverRanges(double.api(), 'shop', servers)), asked: double.asked }
}

const short = ({ ranges }: Ranges) =>
  ranges.map(({ cidr, kind, guessed }) => `${kind} ${cidr}${guessed ? ' guessed' : ''}`)

test('with all rights: ServiceCIDR and podCIDRs, exact, nothing to say', async () => {
  const result = await discover(full)
  const expected = ['services 10.96.0.0/16', 'services fd00:96::/112', 'pods 10.244.0.0/23', 'pods fd00:244::/63']
  assert.deepEqual(short(result), expected)
  assert.deepEqual(result.notes, [])
  assert.equal(result.ranges[0].source, 'ServiceCIDR kubernetes')
})

test('nothing is written: the one POST is a dry run', async () => {
  const { asked } = await discover({ ...full, serviceCidrs: undefined })
  const posts = asked.filter(({ method }) => method !== 'GET')
  assert.equal(posts.length, 2)
  for (const { query } of posts) assert.equal(query.get('dryRun'), 'All')
})

test('Kubernetes 1.31 and 1.32 have the ServiceCIDR API as v1beta1', async () => {
  assert.equal((await discover({ ...full, beta: true, tellsRange: false })).ranges[0].source, 'ServiceCIDR kubernetes')
})

test('no right to ServiceCIDRs: the API server tells the range in its refusal, one a family, exact', async () => {
  const result = await discover({ ...full, serviceCidrs: undefined })
  assert.deepEqual(short(result).slice(0, 2), ['services 10.96.0.0/16', 'services fd00:96::/112'])
  assert.deepEqual(result.notes, [])
})

test('no right to make Services either: guessed from those that can be listed, and said', async () => {
  const result = await discover({ ...full, serviceCidrs: undefined, tellsRange: false })
  assert.deepEqual(short(result).slice(0, 2), ['services 10.96.0.0/16 guessed', 'services fd00:96::/112 guessed'])
  assert.equal(result.notes.length, 1)
  assert.match(result.notes[0], /services guessed as 10\.96\.0\.0\/16.*servicecidrs/)
})

test('no right to nodes: pods of the namespace, those on the host network left out, and said', async () => {
  const result = await discover({ ...full, nodes: undefined, mayList: 'namespace' })
  assert.deepEqual(short(result).slice(2), ['pods 10.244.0.0/16 guessed', 'pods fd00:244::/56 guessed'])
  assert.match(result.notes[0], /namespace shop.*`list` on nodes/)
})

test('no rights at all: no ranges, and what to do for each kind', async () => {
  const result = await discover({ mayList: 'nothing' })
  assert.deepEqual(result.ranges, [])
  assert.equal(result.notes.length, 2)
})

test('a namespace without pods: the addresses of the shadow that is being made are the sample', async () => {
  await using double = await ApiDouble.start(answer({ ...full, nodes: undefined, pods: [], mayList: 'namespace' }))
  const own = { status: { podIPs: [{ ip: '10.244.7.7' }], hostIP: '10.244.200.1' } }
  const result = await discoverRanges(double.api(), 'shop', [], async () => own)
  assert.deepEqual(short(result).slice(2), ['pods 10.244.0.0/20 guessed'])
  assert.match(result.notes[0], /the shadow's own/)
})

test('a guess never takes a node or the API server: the LAN of a flat pod network stays out', async () => {
  const pods = [{ ips: ['10.0.37.9'], host: '10.0.1.4' }]
  const wide = await discover({ ...full, nodes: undefined, pods }, ['10.0.200.1'])
  assert.deepEqual(short(wide).slice(2), ['pods 10.0.32.0/20 guessed'])
  const near = await discover({ ...full, nodes: undefined, pods }, ['10.0.37.1'])
  assert.deepEqual(short(near).slice(2), ['pods 10.0.37.9/32 guessed'])
})

test('podCIDRs that the pod network does not use are told by pods outside of them', async () => {
  const pods = [{ ips: ['10.42.3.4'], host: '192.168.1.10' }]
  const result = await discover({ ...full, pods })
  assert.ok(short(result).includes('pods 10.42.0.0/16 guessed'))
  assert.match(result.notes[0], /--include/)
})

test('an API server in trouble is an error, not a want of ranges', async () => {
  await using double = await ApiDouble.start(() => [503, { message: 'etcd is away' }])
  await assert.rejects(discoverRanges(double.api(), 'shop', []), (error: Error) => {
    assert.ok(error instanceof ClusterError && error.code === 'unreachable', String(error))
    return true
  })
})
