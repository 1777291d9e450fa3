// The machine while connected: what other programs change is found, put back within limits, and told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../src/base/clock.ts'
import { DesiredState } from '../../src/host/desired.ts'
import { MachineGuard } from '../../src/host/guard.ts'
import { Host } from '../../src/host/host.ts'
import { Journal } from '../../src/host/journal.ts'
import { systemFiles } from '../../src/host/linux/effects.ts'
import { type Follow, followForEver } from '../../src/host/linux/follow.ts'
import { markedBy } from '../../src/host/linux/resolv-conf.ts'
import { watchMachine } from '../../src/host/linux/watch.ts'
import type { Finding } from '../../src/host/machine.ts'
import { HELPER_PID, Machine, type MachineOptions } from './machine.ts'

const desired: DesiredState = DesiredState.parse({
  mtu: 1500,
  addresses: ['198.18.53.1/30', 'fd6b::1/126'],
  routes: ['10.244.0.0/16', '10.96.0.1/32', 'fd00:10:244::/56'],
  dns: { mode: 'auto', servers: ['198.18.53.2'], domains: ['cluster.local', 'svc', 'shop', 'strict'] },
})
const plain: MachineOptions = { resolvConf: { file: 'nameserver 9.9.9.9\n' } }
const resolved: MachineOptions = {
  resolvConf: { symlink: '../run/systemd/resolve/stub-resolv.conf', text: 'nameserver 127.0.0.53\n' },
  resolved: true,
  uplink: 'nameserver 9.9.9.9\n',
}

async function connected(options: MachineOptions) {
  const machine = new Machine(options)
  const journal = Journal.create(1500, HELPER_PID, machine.effects())
  const host = new Host(machine.effects(), journal, { name: 'kt0', ifindex: 7 })
  const applied = await host.apply(desired)
  return { machine, host, applied, guard: new MachineGuard(host, () => 0) }
}

test('a rewritten resolv.conf is put back three times in a minute, then left alone for five, then put back', async () => {
  const { machine, host } = await connected(plain)
  let now = 0
  const guard = new MachineGuard(host, () => now)
  const rewrite = (text = 'nameserver 8.8.8.8\n') => machine.put('etc/resolv.conf', text)
  for (let lease = 0; lease < 5; lease++) {
    rewrite()
    const look = await guard.check()
    assert.deepEqual(look.resolvConf, { upstreams: ['8.8.8.8'], notes: [], reclaimed: true })
    assert.deepEqual([look.faults, look.repaired.map(({ code }) => code)], [[], ['resolv-conf']])
    now += 3_600_000
  }
  for (let i = 0; i < 3; i++) {
    rewrite()
    assert.equal((await guard.check()).resolvConf?.reclaimed, true)
  }
  rewrite()
  for (const after of [0, 61_000, 200_000]) {
    now += after
    const { faults, resolvConf } = await guard.check()
    assert.deepEqual(resolvConf, { upstreams: ['8.8.8.8'], notes: [], reclaimed: false })
    assert.match(faults[0].message, /another program has rewritten .*resolv\.conf.*3 times within a minute/)
    assert.equal(systemFiles.read(machine.paths.resolvConf), 'nameserver 8.8.8.8\n')
  }
  now += 100_000
  assert.deepEqual((await guard.check()).faults, [])
  assert.ok(markedBy(systemFiles.read(machine.paths.resolvConf)!))
  machine.remove()
})

test('with a read-only /etc the file behind the link is watched, put back, and in the end the newer one is restored', async () => {
  const link = { symlink: '../run/nm/resolv.conf', text: 'nameserver 9.9.9.9\n' }
  const { machine, host, guard } = await connected({ resolvConf: link, readOnlyEtc: true })
  assert.equal(host.resolvConfPath, systemFiles.linkTarget(machine.paths.resolvConf))
  for (const text of ['nameserver dns.office.test\nnameserver 8.8.8.8\n', 'nameserver a,b\n']) {
    machine.put('run/nm/resolv.conf', text)
    const upstreams = text.includes('8.8.8.8') ? ['8.8.8.8'] : ['127.0.0.1']
    const { notes = [], ...rest } = (await guard.check()).resolvConf ?? {}
    assert.deepEqual(rest, { upstreams, reclaimed: true })
    assert.match(notes[0], /the line "nameserver (dns\.office\.test|a,b)" is skipped, since it names no address/)
    assert.ok(markedBy(systemFiles.read(host.resolvConfPath)!))
  }
  assert.deepEqual((await host.undo()).failed, [])
  assert.equal(systemFiles.read(machine.paths.resolvConf), 'nameserver a,b\n')
  assert.equal((await connected(plain)).host.resolvConfPath.endsWith('/etc/resolv.conf'), true)
  machine.remove()
})

test('a fault that its cause takes back is gone at the next look', async () => {
  const { machine, guard } = await connected(plain)
  const ours = systemFiles.read(machine.paths.resolvConf)!
  for (let i = 0; i < 4; i++) {
    machine.put('etc/resolv.conf', 'nameserver 8.8.8.8\n')
    await guard.check()
  }
  assert.equal((await guard.check()).faults.length, 1)
  machine.put('etc/resolv.conf', ours)
  assert.deepEqual(await guard.check(), { faults: [], repaired: [] })
  machine.remove()
})

const link = (machine: Machine) => machine.links.get('kt0')!
const changes: Record<string, { change: (machine: Machine) => void; code: string; says: RegExp }> = {
  'the device set down': {
    change: (m) => Object.assign(link(m), { up: false, routes: [], addresses: ['198.18.53.1/30'] }),
    code: 'link',
    says: /another program has set kt0 down/,
  },
  'an address removed': {
    change: (m) => link(m).addresses.shift(),
    code: 'addresses',
    says: /removed 198\.18\.53\.1\/30 from kt0/,
  },
  'all routes removed': {
    change: (m) => Object.assign(link(m), { routes: [] }),
    code: 'routes',
    says: /removed 10\.244\.0\.0\/16, 10\.96\.0\.1\/32, fd00:10:244::\/56 from the routes of kt0/,
  },
  'another MTU': { change: (m) => Object.assign(link(m), { mtu: 1280 }), code: 'link', says: /MTU of kt0 to 1280/ },
}

for (const [what, { change, code, says }] of Object.entries(changes)) {
  test(`${what} is put back`, async () => {
    const { machine, host, guard } = await connected(plain)
    const before = machine.state()
    assert.deepEqual(await host.look(), [])
    change(machine)
    const { faults, repaired } = await guard.check()
    assert.deepEqual(faults, [])
    assert.equal(repaired[0].code, code)
    assert.match(repaired[0].message, says)
    const sorted = ({ kt0 }: { kt0?: { addresses: string[] } }) => kt0?.addresses.sort()
    assert.deepEqual(sorted(machine.state()), sorted(before))
    assert.deepEqual(await host.look(), [])
    machine.remove()
  })
}

test('the route that came with an address is put back too', async () => {
  const { machine, guard } = await connected(plain)
  machine.unconnected = true
  const { repaired, faults } = await guard.check()
  assert.deepEqual(
    [...repaired, ...faults].map(({ code }) => code),
    ['routes'],
  )
  assert.ok(machine.session.includes('route add 198.18.53.0/30 dev kt0 proto kernel scope link src 198.18.53.1'))
  assert.ok(machine.session.includes('route add fd6b::/126 dev kt0 proto kernel metric 256'))
  machine.remove()
})

test('what systemd-resolved has lost is set again; while it does not answer, that is told', async () => {
  const { machine, guard } = await connected(resolved)
  const before = machine.resolvedLinks.get(7)!
  machine.resolvedLinks.delete(7)
  const reverted = await guard.check()
  assert.match(reverted.repaired[0].message, /taken its server 198\.18\.53\.2 from systemd-resolved's settings of kt0/)
  machine.resolvedLinks.set(7, { ...before, domains: before.domains.slice(1) })
  assert.match((await guard.check()).repaired[0].message, /has taken cluster\.local from/)
  assert.deepEqual(machine.resolvedLinks.get(7), before)
  machine.options.resolved = false
  assert.match((await guard.check()).faults[0].message, /systemd-resolved does not answer/)
  machine.options.resolved = true
  assert.deepEqual(await guard.check(), { faults: [], repaired: [] })
  machine.remove()
})

test('a resolv.conf that leaves systemd-resolved is told', async () => {
  const { machine, guard } = await connected(resolved)
  systemFiles.remove(machine.paths.resolvConf)
  machine.put('etc/resolv.conf', 'nameserver 8.8.8.8\n')
  assert.match((await guard.check()).faults[0].message, /does not lead to systemd-resolved any more/)
  machine.remove()
})

test('routes of another device that come later are told and not touched', async () => {
  const { machine, guard } = await connected(plain)
  machine.options.routes = [{ dst: '10.244.3.0/24', dev: 'tun9' }]
  const conflict = await guard.check()
  assert.equal(conflict.faults[0].code, 'route-conflict')
  assert.match(conflict.faults[0].message, /10\.244\.0\.0\/16 meets the route 10\.244\.3\.0\/24 \(tun9\)/)
  machine.options.routes = []
  machine.options.routeGet = (address) => (address.startsWith('10.244') ? { dev: 'wg0', table: '51820' } : undefined)
  assert.match((await guard.check()).faults[0].message, /goes to wg0 by table 51820/)
  machine.options.routeGet = undefined
  assert.deepEqual(await guard.check(), { faults: [], repaired: [] })
  machine.remove()
})

test('a route that another device has taken meanwhile is not taken back by force', async () => {
  const { machine, guard } = await connected(plain)
  Object.assign(link(machine), { routes: ['10.96.0.1/32', 'fd00:10:244::/56'] })
  machine.refuses = /route add 10\.244/
  const { faults } = await guard.check()
  assert.match(faults[0].message, /removed 10\.244\.0\.0\/16 .*cannot be put back: .*File exists/)
  machine.remove()
})

test('systemd-resolved that takes fewer domains gets the first ones, and the rest is named', async () => {
  const { machine, host, applied } = await connected({ ...resolved, mostDomains: 3 })
  assert.deepEqual(applied.domainsLeftOut, ['strict'])
  assert.deepEqual(await host.look(), [], 'what it did not take is not missed')
  assert.deepEqual(await host.updateDns({ ...desired.dns, domains: ['cluster.local', 'svc'] }), [])
  assert.deepEqual(await host.updateDns(desired.dns), ['strict'])
  machine.remove()
})

test('a server outside of the TUN is refused, also in a later update', async () => {
  const { machine, host } = await connected(plain)
  await assert.rejects(host.updateDns({ ...desired.dns, servers: ['8.8.8.8'] }), { code: 'bad-request' })
  assert.doesNotMatch(systemFiles.read(machine.paths.resolvConf)!, /8\.8\.8\.8/)
  machine.remove()
})

/** A clock that the test turns. */
function turnedClock() {
  let now = 0
  let timers: { at: number; call: () => void }[] = []
  const clock: Clock = {
    now: () => now,
    after(ms, call) {
      const timer = { at: now + ms, call }
      timers.push(timer)
      return () => void (timers = timers.filter((one) => one !== timer))
    },
  }
  const turn = async (ms: number) => {
    const until = now + ms
    for (;;) {
      const next = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      timers = timers.filter((one) => one !== next)
      now = next.at
      next.call()
      for (let i = 0; i < 5; i++) await null
    }
    now = until
  }
  return { clock, turn }
}

test('changes are looked at soon, together, at most once a second; without any each minute', async () => {
  const { clock, turn } = turnedClock()
  const looks: number[] = []
  const watch = watchMachine(async () => {
    looks.push(clock.now())
    return false
  }, clock)
  watch.changed()
  watch.changed()
  await turn(500)
  assert.deepEqual(looks, [100])
  watch.changed()
  await turn(59_500)
  assert.deepEqual(looks, [100, 1_100])
  await turn(3_000)
  assert.deepEqual(looks, [100, 1_100, 61_100])
  watch.close()
  await turn(200_000)
  assert.equal(looks.length, 3)
})

test('while something is wrong, or looking fails, it looks every five seconds', async () => {
  const { clock, turn } = turnedClock()
  const outcomes: (() => Promise<boolean>)[] = [
    async () => true,
    () => Promise.reject(new Error('x')),
    async () => false,
  ]
  const looks: number[] = []
  const watch = watchMachine(() => {
    looks.push(clock.now())
    return outcomes[looks.length - 1]()
  }, clock)
  watch.changed()
  await turn(60_000)
  assert.deepEqual(looks, [100, 5_100, 10_100])
  watch.close()
})

test('a change that comes while it looks is looked at afterwards', async () => {
  const { clock, turn } = turnedClock()
  let end = () => {}
  let looks = 0
  const watch = watchMachine(() => {
    looks++
    return new Promise((resolve) => (end = () => resolve(false)))
  }, clock)
  watch.changed()
  await turn(100)
  watch.changed()
  await turn(30_000)
  assert.equal(looks, 1, 'never twice at once')
  end()
  await new Promise(setImmediate)
  await turn(2_000)
  assert.equal(looks, 2)
  watch.close()
})

test('a program that is followed is started again, later and later, and each start counts as a change', async () => {
  const { clock, turn } = turnedClock()
  const starts: number[] = []
  const ends: ((why: string) => void)[] = []
  let changes = 0
  let output = () => {}
  const follow: Follow = (_, onOutput, onEnd) => {
    starts.push(clock.now())
    ends.push(onEnd)
    output = onOutput
    return () => {}
  }
  const stop = followForEver(
    follow,
    ['ip', 'monitor'],
    clock,
    () => changes++,
    () => {},
  )
  for (let i = 0; i < 3; i++) {
    ends.at(-1)!('ended with code 1')
    await turn(10_000)
  }
  assert.deepEqual([starts, changes], [[0, 1_000, 12_000, 24_000], 3])
  output()
  ends.at(-1)!('ended by SIGKILL')
  await turn(1_000)
  assert.equal(starts.length, 5, 'one that has worked is started again at once')
  ends.at(-1)!('ended by SIGKILL')
  stop()
  await turn(100_000)
  assert.equal(starts.length, 5)
})

test('what fails while it is put back is a fault with its reason', async () => {
  const finding: Finding = { fault: { code: 'x', message: 'it is so', hint: 'do' }, repair: [] }
  const guard = new MachineGuard(
    { look: async () => [finding], repair: () => Promise.reject(new Error('no\nstack')) },
    () => 0,
  )
  assert.deepEqual((await guard.check()).faults, [
    { code: 'x', message: 'it is so, and it cannot be put back: no', hint: 'do' },
  ])
})

test('what is still there after it was put back is a fault', async () => {
  const finding: Finding = { fault: { code: 'x', message: 'it is so', hint: 'do' }, repair: [] }
  const guard = new MachineGuard({ look: async () => [finding], repair: async () => {} }, () => 0)
  const { faults, repaired } = await guard.check()
  assert.deepEqual([faults, repaired], [[finding.fault], []])
})
