// What is typed into the machine, as text.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DesiredState } from '../../src/host/desired.ts'
import { HostError } from '../../src/host/errors.ts'
import { describe } from '../../src/host/linux/actions.ts'
import type { Facts, RouteFact } from '../../src/host/linux/facts.ts'
import { planNetwork, planResolver } from '../../src/host/linux/plan.ts'

const tun = { name: 'kt0', ifindex: 7 }
const desired: DesiredState = DesiredState.parse({
  mtu: 16384,
  addresses: ['198.18.53.1/30', 'fd6b::1/126'],
  routes: ['10.244.0.0/16', '10.96.0.0/16', 'fd00:10:244::/56'],
  dns: {
    mode: 'auto',
    servers: ['198.18.53.2'],
    domains: ['cluster.local', 'shop'],
    searchDomains: ['shop.svc.cluster.local'],
  },
})

function route(destination: string, device = 'eth0', more: Partial<RouteFact> = {}): RouteFact {
  return { destination, device, gateway: undefined, table: 'main', type: 'unicast', ...more }
}

function facts(routes: RouteFact[] = [], ipv6 = true): Facts {
  const resolver = { resolvConf: undefined, linkTarget: undefined, resolvedAnswers: false, uplink: undefined }
  return { routes, owners: new Map(), ipv6, resolver }
}

const text = (steps: readonly { do: Parameters<typeof describe>[0]; undo?: Parameters<typeof describe>[0] }[]) =>
  steps.flatMap((step) => [describe(step.do), ...(step.undo ? [`undo: ${describe(step.undo)}`] : [])]).join('\n')

test('link, addresses and routes of both families', () => {
  const plan = planNetwork(desired, facts([route('0.0.0.0/0'), route('192.168.0.0/24')]), tun)
  assert.deepEqual(plan.notes, [])
  assert.equal(
    text(plan.steps),
    `sysctl -w net.ipv6.conf.kt0.accept_ra=0
ip link set dev kt0 addrgenmode none mtu 16384 txqueuelen 10000
ip address add 198.18.53.1/30 dev kt0
ip address add fd6b::1/126 dev kt0 nodad
ip link set dev kt0 up
ip route add 10.244.0.0/16 dev kt0
ip route add 10.96.0.0/16 dev kt0
ip route add fd00:10:244::/56 dev kt0
undo: ip link set dev kt0 down
ip address flush dev kt0`,
  )
})

test('without IPv6 there is a note, and its routes are missing', () => {
  const plan = planNetwork(desired, facts([], false), tun)
  assert.deepEqual(plan.missingRoutes, ['fd00:10:244::/56'])
  assert.deepEqual(plan.notes, ["IPv6 is switched off on this machine: the cluster's IPv6 addresses are left out"])
  assert.doesNotMatch(text(plan.steps), /fd00|fd6b|accept_ra/)
})

test('a route as long as ours or longer is an error that names it and what to exclude', () => {
  const cases: [RouteFact, RegExp, RegExp][] = [
    [
      route('10.244.0.0/16', 'tun0'),
      /10\.244\.0\.0\/16 meets the route 10\.244\.0\.0\/16 \(tun0\)/,
      /--exclude 10\.244\.0\.0\/16/,
    ],
    [route('10.244.7.0/24', 'docker0'), /10\.244\.7\.0\/24 \(docker0\)/, /--exclude 10\.244\.7\.0\/24/],
    [
      route('10.96.0.10', 'wg0', { gateway: '10.1.1.1', table: '52' }),
      /via 10\.1\.1\.1 \(wg0, table 52\)/,
      /--exclude 10\.96\.0\.10\/32/,
    ],
    [
      route('10.96.0.10', 'lo', { type: 'local', table: 'local' }),
      /own address 10\.96\.0\.10 \(lo\)/,
      /--exclude 10\.96\.0\.10\/32/,
    ],
    [route('fd00:10:244:1::/64', 'br0'), /fd00:10:244:1::\/64 \(br0\)/, /--exclude fd00:10:244:1::\/64/],
    [route('198.18.53.0/24', 'tun1', {}), /$^/, /$^/],
  ]
  for (const [there, message, hint] of cases.slice(0, -1)) {
    assert.throws(
      () => planNetwork(desired, facts([there]), tun),
      (error) =>
        error instanceof HostError &&
        error.code === 'route-conflict' &&
        message.test(error.message) &&
        hint.test(error.hint),
      there.destination,
    )
  }
  // A shorter one only gets a note.
  assert.equal(planNetwork(desired, facts([cases.at(-1)![0]]), tun).notes.length, 1)
})

test('a shorter route is a note, the default route and link-local ones are not worth one', () => {
  const harmless = ['0.0.0.0/0', '::/0', 'fe80::/64', 'ff00::/8', '127.0.0.0/8', '224.0.0.0/4'].map((cidr) =>
    route(cidr),
  )
  assert.deepEqual(planNetwork(desired, facts(harmless), tun).notes, [])
  assert.deepEqual(planNetwork(desired, facts([route('10.0.0.0/8', 'vpn', { gateway: '10.0.0.1' })]), tun).notes, [
    "10.244.0.0/16 (and 1 more) is part of the route 10.0.0.0/8 via 10.0.0.1 (vpn): while connected it is the cluster's",
  ])
})

test('resolved gets search domains, routing domains, and nothing else on the link', () => {
  const plan = planResolver(desired.dns, { mode: 'resolved', notes: [] }, facts(), tun, undefined)
  assert.equal(
    text(plan.steps),
    `resolvectl dns kt0 198.18.53.2
resolvectl domain kt0 shop.svc.cluster.local ~cluster.local ~shop
resolvectl default-route kt0 no
resolvectl llmnr kt0 no
resolvectl mdns kt0 no
resolvectl dnssec kt0 no
resolvectl dnsovertls kt0 no
resolvectl flush-caches
undo: resolvectl revert kt0`,
  )
})

test('resolv.conf is replaced whole, search list and options stay', () => {
  const before = 'nameserver 9.9.9.9\nsearch corp.test\n# mine\noptions ndots:2 rotate\n'
  const now = facts()
  now.resolver.resolvConf = before
  const plan = planResolver(desired.dns, { mode: 'resolvconf', notes: [] }, now, tun, {
    owner: '12-34',
    before: { kind: 'missing' },
  })
  assert.deepEqual([plan.upstreams, plan.search], [['9.9.9.9'], ['corp.test']])
  assert.equal(
    text(plan.steps),
    `write /etc/resolv.conf:
  # kt is connected and answers here; \`kt down\` restores this file. Connection 12-34
  nameserver 198.18.53.2
  search corp.test
  options ndots:2 rotate
undo: restore /etc/resolv.conf (missing)`,
  )
})

test('mode none changes nothing and still says who resolves', () => {
  const now = facts()
  now.resolver.resolvConf = 'nameserver 9.9.9.9\n'
  const plan = planResolver(desired.dns, { mode: 'none', notes: [] }, now, tun, undefined)
  assert.deepEqual([plan.steps, plan.upstreams], [[], ['9.9.9.9']])
})

test('the schema takes no command, path or unknown key', () => {
  const bad: unknown[] = [
    { ...desired, command: 'rm' },
    { ...desired, routes: ['10.0.0.0/8; reboot'] },
    { ...desired, routes: ['default'] },
    { ...desired, addresses: ['kt0'] },
    { ...desired, mtu: 100 },
    { ...desired, dns: { ...desired.dns, domains: ['a\nnameserver 6.6.6.6'] } },
    { ...desired, dns: { ...desired.dns, domains: ['UPPER.case', '..'] } },
    { ...desired, dns: { ...desired.dns, servers: ['example.com'] } },
    { ...desired, dns: { ...desired.dns, servers: ['8.8.8.8'] } },
    { ...desired, dns: { ...desired.dns, servers: ['198.18.53.2', '2001:db8::1'] } },
    { ...desired, addresses: ['8.0.0.1/8'], dns: { ...desired.dns, servers: ['8.8.8.8'] } },
    { ...desired, addresses: ['2001:db8::1/64'], dns: { ...desired.dns, servers: [] } },
    { ...desired, routes: new Array(5000).fill('10.0.0.0/8') },
  ]
  for (const state of bad)
    assert.equal(DesiredState.safeParse(state).success, false, JSON.stringify(state).slice(0, 80))
})
