import assert from 'node:assert/strict'
import type { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { type NetworkSeen, NetworkWatch, seeNetwork } from '../../src/daemon/network-watch.ts'

const files = (more: Record<string, string> = {}) => {
  const all: Record<string, string> = {
    '/proc/net/route':
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n' +
      'eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\n' +
      'kt0\t0000600A\t00000000\t0001\t0\t0\t0\t0000FFFF\n' +
      'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n',
    '/proc/net/ipv6_route':
      '00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 1 0 3 eth0\n' +
      '00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 200200 lo\n' +
      'fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 1 eth0\n',
    '/etc/resolv.conf': 'nameserver 192.0.2.53\n',
    '/run/systemd/resolve/resolv.conf': 'nameserver 192.0.2.54\n',
    ...more,
  }
  return (path: string) => all[path] ?? ''
}
const interfaces = (cidr: string) =>
  ({
    eth0: [
      { family: 'IPv4', cidr },
      { family: 'IPv6', cidr: 'fe80::5/64' },
    ],
    kt0: [{ family: 'IPv4', cidr: '198.18.53.1/30' }],
  }) as unknown as ReturnType<typeof networkInterfaces>

test('a network is known by its gateways and this machine’s address towards them, and kt’s own routes are none', () => {
  assert.deepEqual(seeNetwork('resolvconf', [], files(), interfaces('192.0.2.5/24')), {
    place: 'eth0 010200C0 192.0.2.5/24; eth0 fe800000000000000000000000000001 192.0.2.5/24',
    ways: 'eth0  010200C0 192.0.2.5/24; eth0  fe800000000000000000000000000001 192.0.2.5/24; eth0 000200C0/00FFFFFF 00000000 192.0.2.5/24',
    upstreams: undefined,
  })
  assert.deepEqual(
    seeNetwork('resolvconf', [], () => '', {}),
    { place: '', ways: '', upstreams: undefined },
  )
})

test('another address, and a route by another router, are other ways; a route of kt is none', () => {
  const ways = (read = files(), address = '192.0.2.5/24') => seeNetwork('none', [], read, interfaces(address)).ways
  const routed = (line: string) => {
    const path = '/proc/net/route'
    return ways(files({ [path]: files()(path) + line }))
  }
  assert.notEqual(ways(files(), '192.0.2.6/24'), ways())
  assert.notEqual(routed('eth0\t004D1FAC\t020200C0\t0003\t0\t0\t0\t00FFFFFF\n'), ways())
  assert.equal(routed('kt0\t004D1FAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\n'), ways())
})

test('the resolvers are read where they are not kt’s own', () => {
  const see = (mode: 'resolved' | 'none', read = files()) => seeNetwork(mode, ['198.18.53.2'], read, {}).upstreams
  assert.deepEqual([see('resolved'), see('none')], [['192.0.2.54'], ['192.0.2.53']])
  assert.equal(see('resolved', files({ '/run/systemd/resolve/resolv.conf': '' })), undefined)
  const several = ['198.18.53.2', '192.0.2.54', '192.0.2.54'].map((server) => `nameserver ${server}\n`).join('')
  assert.deepEqual(see('resolved', files({ '/run/systemd/resolve/resolv.conf': several })), ['192.0.2.54'])
  assert.equal(see('none', files({ '/etc/resolv.conf': 'nameserver 127.0.0.53\n' })), undefined)
})

test('a change is told once, the lack of a network is not, and the same network again is not either', () => {
  let seen: NetworkSeen = { place: 'a', ways: 'a', upstreams: ['192.0.2.1'] }
  const told: unknown[] = []
  let tick = () => {}
  let waits = 0
  const watch = new NetworkWatch({
    see: () => seen,
    after(_, call) {
      waits++
      tick = call
      return () => waits--
    },
    onChange: (upstreams) => told.push(upstreams),
  })
  const next = (place: string, upstreams: string[] | undefined) => {
    seen = { place, ways: place, upstreams }
    told.length = 0
    tick()
    waits--
    return [...told]
  }
  assert.deepEqual(next('a', ['192.0.2.1']), [])
  assert.deepEqual(next('', undefined), [])
  assert.deepEqual(next('a', ['192.0.2.1']), [])
  // The resolver of both is called alike, as 192.168.1.1 is in many homes.
  assert.deepEqual(next('b', ['192.0.2.1']), [['192.0.2.1']])
  assert.deepEqual(next('b', ['192.0.2.1']), [])
  assert.deepEqual(next('b', ['192.0.2.1', '192.0.2.2']), [['192.0.2.1', '192.0.2.2']])
  assert.deepEqual(next('b', undefined), [])
  assert.deepEqual(next('c', undefined), [undefined])
  seen = { place: 'd', ways: 'd', upstreams: undefined }
  watch.look()
  assert.equal(told.length, 2)
  assert.equal(waits, 1)
  watch.close()
  assert.equal(waits, 0)
})

test('connections are suspected after another way out, after other resolvers, and when there is a network again', () => {
  let seen: NetworkSeen = { place: 'a', ways: 'a', upstreams: ['192.0.2.1'] }
  const told: string[] = []
  const watch = new NetworkWatch({
    see: () => seen,
    after: () => () => {},
    onChange: () => told.push('network'),
    onWays: () => told.push('ways'),
  })
  const look = (change: Partial<NetworkSeen>) => {
    seen = { ...seen, ...change }
    told.length = 0
    watch.look()
    return [...told]
  }
  assert.deepEqual(look({}), [])
  assert.deepEqual(look({ ways: 'a; b' }), ['ways'])
  assert.deepEqual(look({ place: '', ways: '' }), [])
  assert.deepEqual(look({ place: 'a', ways: 'a; b' }), ['ways'])
  assert.deepEqual(look({ place: 'b', ways: 'b' }), ['ways', 'network'])
  assert.deepEqual(look({ upstreams: ['192.0.2.2'] }), ['ways', 'network'])
  watch.close()
})
