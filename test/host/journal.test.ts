// Whatever happens to the helper and whenever, the next one finds out how to put the machine back.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { DesiredState } from '../../src/host/desired.ts'
import { Host } from '../../src/host/host.ts'
import { Journal } from '../../src/host/journal.ts'
import { systemFiles } from '../../src/host/linux/effects.ts'
import { perform } from '../../src/host/linux/execute.ts'
import { readFacts } from '../../src/host/linux/facts.ts'
import { markedBy } from '../../src/host/linux/resolv-conf.ts'
import { otherKts } from '../../src/host/others.ts'
import { HELPER_PID, Machine, type MachineOptions } from './machine.ts'

const desired: DesiredState = DesiredState.parse({
  mtu: 1500,
  addresses: ['198.18.53.1/30', 'fd6b::1/126'],
  routes: ['10.244.0.0/16', 'fd00:10:244::/56'],
  dns: { mode: 'auto', servers: ['198.18.53.2'], domains: ['cluster.local'] },
})
const UID = 1500

/** As the helper does it: folder, TUN, apply. */
async function connect(machine: Machine, state: DesiredState = desired): Promise<{ host: Host; journal: Journal }> {
  const effects = machine.effects()
  const journal = Journal.create(UID, HELPER_PID, effects)
  journal.record({ type: 'remove-run-folder', uid: UID })
  await perform({ type: 'make-run-folder', uid: UID, gid: UID }, effects)
  journal.record({ type: 'delete-link', name: 'kt0', ifindex: 7 })
  const host = new Host(effects, journal, { name: 'kt0', ifindex: 7 })
  await host.apply(state)
  return { host, journal }
}

/** The state before, as it is once the TUN is gone. */
function before(options: MachineOptions): { machine: Machine; expected: object } {
  const machine = new Machine(options)
  const state = machine.state() as Record<string, unknown>
  return { machine, expected: { ...state, kt0: undefined, resolved: [], left: [] } }
}

const machines: Record<string, MachineOptions> = {
  'a plain resolv.conf': { resolvConf: { file: 'nameserver 9.9.9.9\nsearch corp.test\n', mode: 0o640 } },
  'a link to another program': { resolvConf: { symlink: '../run/nm/resolv.conf', text: 'nameserver 9.9.9.9\n' } },
  'a read-only /etc, where a link leads to a file': {
    resolvConf: { symlink: '../run/nm/resolv.conf', text: 'nameserver 9.9.9.9\n' },
    readOnlyEtc: true,
  },
  'a link that leads nowhere': { resolvConf: { symlink: '../run/nm/resolv.conf' } },
  'no resolv.conf': {},
  'bytes that are no text': { resolvConf: { file: 'nameserver 9.9.9.9\n# caf\u00e9 \0\r\n' } },
  resolved: {
    resolvConf: { symlink: '../run/systemd/resolve/stub-resolv.conf', text: 'nameserver 127.0.0.53\n' },
    resolved: true,
    uplink: 'nameserver 9.9.9.9\n',
  },
}

for (const [name, options] of Object.entries(machines)) {
  test(`${name}: undo puts everything back`, async () => {
    const { machine, expected } = before(options)
    const { host, journal } = await connect(machine)
    assert.equal(machine.links.get('kt0')?.routes.length, 2)
    const report = await host.undo()
    assert.deepEqual([report.failed, report.notes], [[], []])
    assert.deepEqual(machine.links.get('kt0'), { ifindex: 7, up: false, mtu: 1500, addresses: [], routes: [] })
    await journal.undo()
    journal.close()
    assert.deepEqual(machine.state(), expected)
    assert.deepEqual(systemFiles.list(machine.paths.state), [])
    machine.remove()
  })

  test(`${name}: SIGKILL at any step, and one in the midst of the clean-up, leave nothing`, async () => {
    const { machine: whole } = before(options)
    const { journal } = await connect(whole)
    const toUp = whole.changes
    await journal.undo()
    const all = whole.changes
    whole.remove()
    assert.ok(toUp >= 8, `${toUp} changes`)

    const kills = Array.from({ length: all }, (_, i) => i + 1)
    for (const cutAfter of [false, true]) {
      for (const cutAt of kills) {
        const { machine, expected } = before(options)
        Object.assign(machine, { cutAt, cutAfter })
        await assert.rejects(async () => {
          const { journal } = await connect(machine)
          await journal.undo()
        })
        assert.ok(machine.changes >= cutAt)
        machine.die()
        // The next helper is killed too, a few steps further on.
        machine.cutAt = machine.changes + 1 + (cutAt % 3)
        await Journal.replay(machine.effects()).catch(() => {})
        machine.cutAt = Number.POSITIVE_INFINITY
        const report = await Journal.replay(machine.effects())
        assert.deepEqual(report.failed, [])
        assert.deepEqual(machine.state(), expected, `killed at change ${cutAt}`)
        assert.deepEqual(systemFiles.list(machine.paths.state), [])
        assert.deepEqual(await Journal.replay(machine.effects()), { undone: [], notes: [], failed: [] })
        machine.remove()
      }
    }
  })
}

test('any contents of resolv.conf come back byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, kill) => {
      const machine = new Machine({ resolvConf: { file: '' } })
      const path = machine.paths.resolvConf
      const old = systemFiles.snapshot(path)
      assert.equal(old.kind, 'file')
      systemFiles.restore(path, { ...old, content: Buffer.from(bytes).toString('base64') })
      const { host } = await connect(machine)
      if (kill) {
        machine.die()
        await Journal.replay(machine.effects())
      } else await host.undo()
      assert.equal((systemFiles.snapshot(path) as { content: string }).content, Buffer.from(bytes).toString('base64'))
      machine.remove()
    }),
    { numRuns: 30 },
  )
})

test('a resolv.conf that could not be put back is refused before anything is changed, and --dns none does not mind it', async () => {
  const huge = { file: `${'# noise\n'.repeat(300_000)}nameserver 9.9.9.9\n` }
  const machine = new Machine({ resolvConf: huge })
  await assert.rejects(connect(machine), {
    code: 'resolv-conf',
    message: /resolv\.conf is \d+ bytes long; nothing was changed/,
  })
  assert.deepEqual(machine.links.get('kt0')?.routes, [])
  assert.equal(statSync(machine.paths.resolvConf).size, huge.file.length)
  machine.remove()

  const folder = new Machine()
  mkdirSync(folder.paths.resolvConf)
  await assert.rejects(connect(folder), { code: 'resolv-conf', message: /is no file; nothing was changed/ })
  folder.remove()
  const other = new Machine({ resolvConf: huge })
  const { host } = await connect(other, { ...desired, dns: { ...desired.dns, mode: 'none' } })
  assert.deepEqual((await host.undo()).failed, [])
  other.remove()
})

test('a resolv.conf that is a link to itself names no file: kt connects, and puts the link back', async () => {
  const machine = new Machine({ resolvConf: { symlink: 'resolv.conf' } })
  const { host } = await connect(machine)
  assert.match(readFileSync(machine.paths.resolvConf, 'utf8'), /kt is connected/)
  assert.deepEqual((await host.undo()).failed, [])
  assert.equal(readlinkSync(machine.paths.resolvConf), 'resolv.conf')
  machine.remove()
})

test('a journal whose writer lives is left alone, and its user cannot start a second', async () => {
  const { machine } = before({ resolvConf: { file: 'nameserver 9.9.9.9\n' } })
  await connect(machine)
  assert.deepEqual(await Journal.replay(machine.effects()), { undone: [], notes: [], failed: [] })
  assert.match(systemFiles.read(machine.paths.resolvConf)!, /198\.18\.53\.2/)
  assert.throws(() => Journal.create(UID, HELPER_PID, machine.effects()), { code: 'already-running' })
  machine.remove()
})

test('another process with the number of the dead one does not keep its journal alive', async () => {
  const { machine, expected } = before({ resolvConf: { file: 'nameserver 9.9.9.9\n' } })
  await connect(machine)
  machine.die()
  machine.process(HELPER_PID, '2000')
  const report = await Journal.replay(machine.effects())
  assert.deepEqual(report.undone.at(-1), 'rm -r /run/kt/1500')
  assert.deepEqual(machine.state(), expected)
  machine.remove()
})

test('an interface that has taken the name since is not removed', async () => {
  const { machine } = before({})
  await connect(machine)
  machine.die()
  const theirs = { ifindex: 99, up: true, mtu: 1500, addresses: ['10.0.0.1/8'], routes: ['10.0.0.0/8'] }
  machine.links.set('kt0', theirs)
  await Journal.replay(machine.effects())
  assert.deepEqual(machine.links.get('kt0'), theirs)
  machine.remove()
})

test('resolv.conf that somebody else has written since stays, and a note says so', async () => {
  const { machine } = before({ resolvConf: { file: 'nameserver 9.9.9.9\n' } })
  const { host } = await connect(machine)
  machine.put('etc/resolv.conf', 'nameserver 8.8.8.8\n')
  const { notes, failed } = await host.undo()
  assert.deepEqual(failed, [])
  assert.match(notes.join(), /rewritten by another program/)
  assert.equal(systemFiles.read(machine.paths.resolvConf), 'nameserver 8.8.8.8\n')
  machine.remove()
})

test('a file rewritten while up is reclaimed, and in the end the newer one is restored', async () => {
  const { machine } = before({ resolvConf: { file: 'nameserver 9.9.9.9\n' } })
  const { host } = await connect(machine)
  assert.deepEqual(await host.look(), [])
  machine.put('etc/resolv.conf', 'nameserver 8.8.8.8\nsearch new.test\n')
  const [finding] = await host.look()
  assert.deepEqual(finding.upstreams, ['8.8.8.8'])
  await host.repair(finding)
  const ours = systemFiles.read(machine.paths.resolvConf)!
  assert.ok(markedBy(ours))
  assert.match(ours, /search new\.test/)
  machine.die()
  await Journal.replay(machine.effects())
  assert.equal(systemFiles.read(machine.paths.resolvConf), 'nameserver 8.8.8.8\nsearch new.test\n')
  machine.remove()
})

test('what cannot be undone stays in the journal, and the rest is undone', async () => {
  const { machine } = before({ resolvConf: { file: 'nameserver 9.9.9.9\n' } })
  await connect(machine)
  machine.die()
  const effects = machine.effects()
  const broken = { ...effects, files: { ...effects.files, restore: () => assert.fail('read-only file system') } }
  const report = await Journal.replay(broken)
  assert.match(report.failed.join(), /restore \/etc\/resolv\.conf.*read-only file system/)
  assert.deepEqual(systemFiles.list(machine.paths.run), [])
  const again = await Journal.replay(effects)
  assert.deepEqual(again, { undone: ['restore /etc/resolv.conf (file)'], notes: [], failed: [] })
  machine.remove()
})

test('a failed apply leaves nothing of itself', async () => {
  const cases: [MachineOptions, string][] = [
    [{ routes: [{ dst: '10.244.3.0/24', dev: 'docker0' }] }, 'route-conflict'],
    [
      { routeGet: (address) => (address.startsWith('10.244') ? { dev: 'wg0', table: '51820' } : undefined) },
      'route-lost',
    ],
  ]
  for (const [options, code] of cases) {
    const { machine } = before({ resolvConf: { file: 'nameserver 9.9.9.9\n' }, ...options })
    const state = machine.state()
    await assert.rejects(connect(machine), { code })
    assert.deepEqual(machine.state(), { ...state, left: ['1500'] })
    machine.remove()
  }
})

test('another kt that holds resolv.conf is not pushed aside', async () => {
  const other =
    '# kt is connected and answers here; `kt down` restores this file. Connection 77-5\nnameserver 198.18.53.2\n'
  const { machine } = before({ resolvConf: { file: other } })
  machine.process(77, '5')
  const owner = { pid: 77, started: '5', boot: 'boot-1' }
  const steps = [{ type: 'delete-link', name: 'kt1', ifindex: 9 }]
  machine.put('var/lib/kt/1600.json', JSON.stringify({ version: 1, owner, steps }))
  machine.users.set(1600, 'ann')
  await assert.rejects(connect(machine), { code: 'resolv-conf-taken', message: /ann \(uid 1600\) is connected/ })
  assert.equal(systemFiles.read(machine.paths.resolvConf), other)
  machine.remove()
})

test("another user's kt is named where its routes are in the way", async () => {
  const { machine } = before({ routes: [{ dst: '10.244.0.0/16', dev: 'kt1' }] })
  machine.process(77, '5')
  const owner = { pid: 77, started: '5', boot: 'boot-1' }
  const steps = [{ type: 'delete-link', name: 'kt1', ifindex: 9 }]
  machine.put('var/lib/kt/1600.json', JSON.stringify({ version: 1, owner, steps }))
  machine.users.set(1600, 'ann')
  const told = /10\.244\.0\.0\/16 is kt1's already: ann \(uid 1600\) is connected with kt/
  await assert.rejects(connect(machine), { code: 'route-conflict', message: told })
  machine.remove()
})

test('who may not read journals knows the other user by the folder of their socket', async () => {
  const machine = new Machine({ routes: [{ dst: '10.244.0.0/16', dev: 'kt1' }] })
  machine.put('run/kt/1600/control.sock', '')
  machine.users.set(1600, 'ann')
  const effects = machine.effects()
  const denied = () => {
    throw Object.assign(new Error('EACCES'), { code: 'EACCES' })
  }
  const list = (path: string) => (path === machine.paths.state ? denied() : systemFiles.list(path))
  const blind = { ...effects, files: { ...effects.files, list } }
  const facts = await readFacts(blind, 'kt0', (devices) => otherKts(blind, devices))
  assert.deepEqual([...facts.owners], [['kt1', 'ann (uid 1600)']])
  machine.remove()
})

test('domains change while up: on the link, or with the file untouched', async () => {
  const { machine } = before(machines['resolved'])
  const { host } = await connect(machine)
  await host.updateDns({
    ...desired.dns,
    domains: ['cluster.local', 'shop'],
    searchDomains: ['shop.svc.cluster.local'],
  })
  assert.deepEqual(machine.resolvedLinks.get(7), {
    servers: ['198.18.53.2'],
    domains: ['cluster.local', 'shop'],
    searchDomains: ['shop.svc.cluster.local'],
  })
  machine.remove()
})
