// What of a shell is decided without a namespace: ways, files, the launcher's lines, and why there is none.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { filesInside, nsswitchInside, resolvConfInside } from '../../src/daemon/shell/inside.ts'
import { insidePlace, leftWords } from '../../src/daemon/shell/inside-place.ts'
import { Launcher, readLauncherLine, setupLines } from '../../src/daemon/shell/launcher.ts'
import { Ways } from '../../src/daemon/shell/ways.ts'
import { noNamespace, portWords } from '../../src/daemon/shell/words.ts'
import { decide } from '../../src/dns/names.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { StreamPair } from './stream-pair.ts'

const machine = IpAddress.parse('198.18.53.5')
const ways = (loopback: string[] = []) =>
  new Ways({
    cluster: ['10.244.0.0/16', '10.96.0.0/16', 'fd00:10:96::/112'],
    machine,
    own: ['198.18.53.0/29', 'fd55::1/126'],
    loopback: () => loopback,
  })
const way = (address: string, loopback?: string[]) => ways(loopback).of(IpAddress.parse(address))

describe('the way of an address', () => {
  const expected = {
    cluster: ['10.244.3.4', '10.96.0.10', 'fd00:10:96::1f'],
    outside: ['203.0.113.80', '192.168.1.7', '10.97.0.1', '2001:db8::1', 'fd00:77::1', '169.254.169.254'],
    machine: ['198.18.53.5'],
    nowhere: [
      ...['127.0.0.1', '127.8.8.8', '0.0.0.0', '0.1.2.3', '::', '::1', '::127.0.0.1', '::ffff:127.0.0.1'],
      ...['::ffff:10.244.3.4', '224.0.0.251', '255.255.255.255', 'ff02::fb', 'fe80::1'],
      ...['198.18.53.1', '198.18.53.2', 'fd55::2'],
    ],
  }
  for (const [kind, addresses] of Object.entries(expected))
    for (const address of addresses) test(`${address}: ${kind}`, () => assert.equal(way(address), kind))

  test('an address that this machine has on its loopback device is not reached', () => {
    assert.equal(way('10.0.0.53', ['127.0.0.1', '10.0.0.53']), 'nowhere')
    assert.equal(way('10.0.0.54', ['127.0.0.1', '10.0.0.53']), 'outside')
  })

  test('no address but one leads to the loopback of this machine', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const address = IpAddress.parse(text)
        if (ways().of(address) === 'machine') assert.ok(address.equals(machine))
        const isLoopback = /^127\.|^::1$|^0\.|^::$/.test(address.toString())
        if (isLoopback) assert.equal(ways().of(address), 'nowhere')
      }),
    )
  })
})

describe('files inside', () => {
  test('resolv.conf names our server and keeps the rest', () => {
    const outside = '# made by dhcp\nnameserver 192.168.1.1\nnameserver 8.8.8.8\nsearch home.example\noptions ndots:2\n'
    assert.equal(
      resolvConfInside(outside, '198.18.53.2'),
      '# this is inside of `kt shell`, whose names kt answers\nnameserver 198.18.53.2\nsearch home.example\noptions ndots:2\n',
    )
  })

  const sources = {
    'hosts: files dns': 'hosts: files dns',
    'hosts:          files mymachines resolve [!UNAVAIL=return] dns myhostname': 'hosts: files dns myhostname',
    'hosts: files mdns4_minimal [NOTFOUND=return] dns': 'hosts: files dns',
    'hosts: files [ SUCCESS=continue NOTFOUND=return ] dns # home':
      'hosts: files [ SUCCESS=continue NOTFOUND=return ] dns',
    'hosts: resolve [!UNAVAIL=return]': 'hosts: dns',
    'passwd: files systemd\nhosts: files resolve': 'passwd: files systemd\nhosts: files dns',
  }
  for (const [outside, inside] of Object.entries(sources))
    test(`nsswitch.conf: ${JSON.stringify(outside)}`, () => assert.equal(nsswitchInside(outside), inside))

  test('resolvers that answer over sockets are covered where they are', () => {
    const files = filesInside((path) => (path === '/etc/nsswitch.conf' ? 'hosts: files resolve\n' : ''), '198.18.53.2')
    const required = files.filter((file) => file.required).map(({ path }) => path)
    assert.deepEqual(required, ['/etc/resolv.conf', '/etc/nsswitch.conf'])
    const covered = files.filter((file) => !file.required).map(({ path }) => path)
    assert.ok(covered.includes('/run/systemd/resolve/io.systemd.Resolve') && covered.includes('/run/nscd/socket'))
    assert.equal(
      filesInside(() => '', '198.18.53.2').find(({ path }) => path === '/etc/nsswitch.conf')!.required,
      false,
    )
  })
})

describe('lines of the launcher', () => {
  const lines = {
    hello: { type: 'hello' },
    'made 4026532008': { type: 'made', network: '4026532008' },
    'failed tun 2': { type: 'failed', step: 'tun', code: 'ENOENT' },
    'left 3 16': { type: 'left', index: 3, code: 'EBUSY' },
    'socket 7 0': { type: 'socket', id: 7, code: undefined },
    'socket 8 97': { type: 'socket', id: 8, code: 'EAFNOSUPPORT' },
  }
  for (const [text, line] of Object.entries(lines)) test(text, () => assert.deepEqual(readLauncherLine(text), line))
  for (const text of [
    '',
    'hello you',
    'made',
    'made x',
    'made 1 2',
    'failed tun 0',
    'failed Tun! 2',
    'left 1 0',
    'left -1 2',
    'socket 1',
    'socket -1 0',
    'go',
  ])
    test(`not ${JSON.stringify(text)}`, () => assert.equal(readLauncherLine(text), undefined))

  test('content of files follows its line, whatever is in it', () => {
    const files = [{ path: '/etc/resolv.conf', content: 'é\nmake\n', required: true }]
    const text = setupLines({ mtu: 1500, addresses: ['198.18.53.1/30'], files }).toString()
    assert.equal(text, 'mtu 1500\naddress 198.18.53.1/30\nfile 8 /etc/resolv.conf\né\nmake\nmake\n')
  })
})

describe("a container's files in a shell", () => {
  test('what holds a path of a container becomes a line for the launcher, the folder around others first', () => {
    const mounts = [
      { path: '/scratch/', kind: 'empty' },
      { path: '/etc/app/secret', kind: 'files' },
      { path: '//etc/app', kind: 'part' },
      { path: '/', kind: 'copy' },
      { path: '/a\nmake', kind: 'files' },
      { path: `/${'x'.repeat(500)}`, kind: 'files' },
    ]
    const { place, left } = insidePlace('/run/user/1500/kt/files-1', mounts)
    const text = setupLines({ mtu: 1500, addresses: [], files: [], place }).toString()
    assert.equal(
      text,
      'mtu 1500\nroot /run/user/1500/kt/files-1\nplace ro /etc/app\nplace ro /etc/app/secret\nplace rw /scratch\nmake\n',
    )
    assert.deepEqual(left, ['/', '/a\nmake', `/${'x'.repeat(500)}`])
  })

  test('no more than the launcher takes', () => {
    const mounts = Array.from({ length: 70 }, (_, index) => ({ path: `/m${100 + index}`, kind: 'files' }))
    const { place, left } = insidePlace('/run/x', mounts)
    assert.equal(place.mounts.length, 64)
    assert.deepEqual(left, ['/m164', '/m165', '/m166', '/m167', '/m168', '/m169'])
  })

  test('what is not at its own path is said in one line', () => {
    assert.equal(leftWords([]), undefined)
    assert.match(leftWords(['/tmp', '/usr'])!, /^only below \$KT_ROOT, not at its own path: \/tmp, \/usr \(/)
  })
})

describe('the engine with a launcher', () => {
  const setup = { mtu: 1500, addresses: [], files: [] }
  const start = () => {
    const pair = new StreamPair()
    const descriptors: number[] = []
    const closed: number[] = []
    const launcher = new Launcher({
      lines: pair.near,
      receive: () => {
        const fd = descriptors.shift()
        if (fd === undefined) throw new Error('none has come')
        return fd
      },
      closeDescriptor: (fd) => void closed.push(fd),
    })
    return { pair, launcher, descriptors, closed }
  }

  test('says nothing before the launcher is there', async () => {
    const { pair, launcher, descriptors } = start()
    const making = launcher.make(setup)
    await pair.settle()
    assert.equal(pair.heard(), '')
    pair.say('hello\n')
    await pair.settle()
    assert.equal(pair.heard(), 'mtu 1500\nmake\n')
    descriptors.push(21)
    pair.say('made 4026532008\n')
    assert.deepEqual(await making, { network: '4026532008', tun: 21, left: [] })
  })

  test('what is not at its own path comes with its path', async () => {
    const { pair, launcher, descriptors } = start()
    const mounts = [
      { path: '/etc/app', writable: false },
      { path: '/tmp', writable: true },
    ]
    const making = launcher.make({ ...setup, place: { root: '/run/x', mounts } })
    descriptors.push(21)
    pair.say('hello\n')
    await pair.settle()
    pair.say('left 1 17\nmade 7\n')
    assert.deepEqual((await making).left, [{ path: '/tmp', code: 'EEXIST' }])
  })

  test('a step that failed is told with its errno', async () => {
    const { pair, launcher } = start()
    const making = launcher.make(setup)
    pair.say('hello\nfailed namespaces 1\n')
    await assert.rejects(making, { step: 'namespaces', code: 'EPERM' })
  })

  test('sockets find who has asked for them, however late', async () => {
    const { pair, launcher, descriptors } = start()
    const one = launcher.socket('udp', 6)
    const two = launcher.socket('tcp', 4)
    descriptors.push(30)
    pair.say('socket 2 0\nsocket 1 97\n')
    assert.equal(await two, 30)
    await assert.rejects(one, { code: 'EAFNOSUPPORT' })
  })

  test('a socket that nobody asked for is closed', async () => {
    const { pair, descriptors, closed } = start()
    descriptors.push(33)
    pair.say('socket 9 0\n')
    await pair.settle()
    assert.deepEqual(closed, [33])
  })

  test('the end of the launcher ends everything that waits for it', async () => {
    const { pair, launcher } = start()
    const making = launcher.make(setup)
    const asked = launcher.socket('tcp', 4)
    pair.end()
    await assert.rejects(making, { step: 'launcher' })
    await assert.rejects(asked, { step: 'launcher' })
    await launcher.gone
    await assert.rejects(launcher.socket('tcp', 4), { step: 'launcher' })
  })

  test('what is no line of a launcher ends it', async () => {
    const { pair, launcher } = start()
    pair.say('made of stone\n')
    await launcher.gone
  })
})

describe('why there is no namespace', () => {
  const settings = { appArmor: '', clone: '', most: '96365' }
  const said = (step: string, code: string, more = {}) => noNamespace(step, code, { ...settings, ...more }).message
  test('each cause is told apart', () => {
    assert.match(said('tun', 'ENOENT'), /\/dev\/net\/tun is missing/)
    assert.match(said('tun', 'EACCES'), /\/dev\/net\/tun may not be opened/)
    assert.match(said('namespaces', 'EPERM'), /user namespaces are forbidden here/)
    assert.match(said('namespaces', 'EPERM', { clone: '0\n' }), /unprivileged_userns_clone is 0/)
    assert.match(said('device', 'EPERM', { appArmor: '1\n' }), /AppArmor/)
    assert.match(said('mounts', 'EACCES', { appArmor: '1\n' }), /AppArmor/)
    assert.match(said('namespaces', 'ENOSPC', { most: '0\n' }), /max_user_namespaces is 0/)
    assert.match(said('file', 'ENOENT'), /\/etc\/resolv.conf cannot be replaced/)
    assert.match(said('device', 'EINVAL'), /device: EINVAL/)
  })
  test('a missing device is not taken for AppArmor', () => {
    assert.match(said('tun', 'ENOENT', { appArmor: '1' }), /is missing/)
  })
  test('of ports', () => {
    assert.equal(portWords(80, 'ECONNREFUSED'), 'nothing listens on port 80 inside')
    assert.equal(portWords(80, 'ETIMEDOUT'), 'port 80 inside does not answer (ETIMEDOUT)')
  })
})

test('host.kt is answered by kt in a shell only', () => {
  const known = {
    names: { clusterDomain: 'cluster.local', namespace: 'shop', localSearch: [] },
    ranges: [],
    hostname: undefined,
    appended: undefined,
    has: () => false,
  }
  assert.equal(decide('host.kt', 1, { ...known, machine: true }).own, 'machine')
  assert.equal(decide('host.kt', 1, known).own, undefined)
  assert.equal(decide('my.host.kt', 1, { ...known, machine: true }).own, undefined)
})
