import assert from 'node:assert/strict'
import { test } from 'node:test'
import { capturedRoutes, localInfrastructure, localResolvers, pickAddresses } from '../../src/daemon/network.ts'

const range = (cidr: string) => ({ cidr, kind: 'pods' as const, source: 'test', guessed: false })

test('API server, gateways and resolvers are cut out of the ranges, with a note', () => {
  const keep = new Map([
    ['10.0.0.1', 'the API server'],
    ['192.0.2.1', 'a gateway'],
  ])
  const { routes, notes } = capturedRoutes([range('10.0.0.0/30'), range('fd00::/64')], [], [], keep)
  assert.deepEqual(routes, ['10.0.0.0/32', '10.0.0.2/31', 'fd00::/64'])
  assert.deepEqual(notes, ['10.0.0.1 (the API server) lies in 10.0.0.0/30 and is left out of it'])
})

test('includes and excludes: the longest prefix wins', () => {
  const { routes } = capturedRoutes([range('10.0.0.0/8')], ['10.1.2.0/24'], ['10.1.0.0/16', '10.128.0.0/9'], new Map())
  assert.ok(routes.includes('10.1.2.0/24'))
  assert.ok(!routes.includes('10.1.0.0/16'))
  assert.ok(!routes.some((r) => r.startsWith('10.128')))
})

test('our own addresses avoid every interface and every captured range', () => {
  const eth = [
    { address: '198.18.53.9', cidr: '198.18.53.9/24', family: 'IPv4', netmask: '', mac: '', internal: false },
  ] as never
  assert.deepEqual(pickAddresses(['10.0.0.0/8'], {}).tun, ['198.18.53.1/30'])
  assert.deepEqual(pickAddresses(['10.0.0.0/8'], { eth0: eth }).tun, ['198.19.53.1/30'])
  const both = pickAddresses(['198.18.0.0/16', 'fd00::/64'], {}, 'machine 1500')
  assert.deepEqual(both.tun, ['198.19.53.1/30', 'fd41:ea48:80a9::1/126'])
  assert.equal(both.dns.toString(), '198.19.53.2')
  assert.throws(() => pickAddresses(['198.18.0.0/15'], {}), /no free address/)
})

test('the IPv6 address is one of this machine and user, and another where that is taken', () => {
  const pick = (who: string, ...taken: string[]) => pickAddresses(['fd00:10:96::/112', ...taken], {}, who).tun[1]
  const mine = pick('machine 1500')
  assert.match(mine, /^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::1\/126$/)
  assert.equal(pick('machine 1500'), mine)
  assert.notEqual(pick('machine 1501'), mine)
  assert.notEqual(pick('another 1500'), mine)
  const second = pick('machine 1500', mine)
  assert.notEqual(second, mine)
  assert.notEqual(pick('machine 1500', mine, second), second)
  assert.throws(() => pick('machine 1500', 'fd00::/8'), /no free IPv6 address/)
})

test('resolvers and gateways are read from the files the kernel and resolv.conf(5) have', () => {
  const files: Record<string, string> = {
    '/etc/resolv.conf':
      '# a comment\nsearch Corp.Example. lan\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver 127.0.0.53\n',
    '/proc/net/route': 'Iface\tDestination\tGateway\neth0\t00000000\t010200C0\neth0\t000200C0\t00000000\n',
    '/proc/net/ipv6_route':
      '00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 0 0 0 eth0\n',
  }
  const read = (path: string) => files[path] ?? ''
  assert.deepEqual([...localInfrastructure(read).keys()], ['192.0.2.53', '192.0.2.1', '2001:db8::1'])
  assert.deepEqual(localResolvers(read), {
    upstreams: ['192.0.2.53', 'fe80::1%eth0', '127.0.0.53'],
    search: ['corp.example', 'lan'],
  })
})
