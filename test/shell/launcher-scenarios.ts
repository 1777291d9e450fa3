// Scenarios of launcher.test.ts; run as root in a namespace of its own: node launcher-scenarios.ts NAME.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, closeSync, mkdtempSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { useNative } from '../../src/base/installation.ts'
import { LocalDatagrams } from '../../src/daemon/inbound/local-datagrams.ts'
import { dialProgram } from '../../src/daemon/inbound/program-network.ts'
import { networkInside } from '../../src/daemon/shell/inside-network.ts'
import type { InsidePlace } from '../../src/daemon/shell/inside-place.ts'
import { type LaunchError, Launcher } from '../../src/daemon/shell/launcher.ts'
import { killAllIn, networkOf } from '../../src/daemon/shell/sweep.ts'
import { receiveDescriptor } from '../../src/tun/native.ts'
import { until } from '../support/until.ts'

const program = useNative('kt-shell', (file) => file)
/** No user of the machine: whoever it is, the kernel does not care. */
const UID = 1500
const ADDRESS = '198.18.53.1'
const setup = {
  mtu: 1500,
  addresses: [`${ADDRESS}/30`, 'fd53::1/126'],
  files: [
    { path: '/etc/resolv.conf', content: 'nameserver 198.18.53.2\n', required: true },
    { path: '/no/such/socket', content: '', required: false },
  ],
}

execFileSync('sh', [
  '-ec',
  'mount -t tmpfs tmpfs /dev/net; mknod -m 666 /dev/net/tun c 10 200; mount -t tmpfs -o mode=1777 tmpfs /tmp; chmod 755 /run',
])

interface Started {
  child: ChildProcess
  launcher: Launcher
  said(): string
  /** Exit code, or the signal. */
  ended: Promise<number | string>
}

/** A launcher whose engine is this process. */
function start(command: string[], uid = UID): Started {
  const child = spawn(program, command, {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    ...(uid !== 0 && { uid, gid: uid }),
    cwd: '/',
    // Root's own may name folders that are closed to others.
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
  let said = ''
  for (const output of [child.stdout!, child.stderr!])
    output.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  // Not `close`, which waits for the descriptors, too.
  const outputs = [child.stdout!, child.stderr!].map((output) => once(output, 'end'))
  const ended = Promise.all([once(child, 'exit'), ...outputs]).then(
    ([[code, signal]]) => (signal ?? code) as number | string,
  )
  const [, , , descriptors, lines] = child.stdio as unknown as Socket[]
  return { child, launcher: engineOf(descriptors, lines), said: () => said, ended }
}

function engineOf(descriptors: Socket, lines: Socket): Launcher {
  // Node would read the bytes that descriptors come along with.
  const { _handle: handle } = descriptors as unknown as { _handle: { fd: number; readStop(): void } }
  handle.readStop()
  return new Launcher({ lines, receive: () => receiveDescriptor(handle.fd), closeDescriptor: closeSync })
}

/** Runs a command inside to its end. */
async function run(command: string[], uid = UID, place?: InsidePlace) {
  const started = start(command, uid)
  const { tun, left } = await started.launcher.make({ ...setup, place })
  started.launcher.go()
  const ended = await started.ended
  closeSync(tun)
  return { said: started.said(), ended, left: left.map(({ path, code }) => `${path} ${code}`) }
}

const shell = (script: string) => execFileSync('sh', ['-ec', script], { encoding: 'utf8' })

/** Processes of this machine whose network is `network`. */
function processesIn(network: string): string[] {
  return execFileSync('ls', ['/proc'], { encoding: 'utf8' })
    .split('\n')
    .filter((name) => /^\d+$/.test(name) && networkOf(name) === network)
}

/** One whose command has begun, with something of its own in the background that left its session. */
async function busy(): Promise<Started & { network: string; tun: number }> {
  const script = 'setsid sh -c "sleep 1000 & sleep 1000" & echo begun; sleep 1000'
  const started = start(['sh', '-c', script])
  const made = await started.launcher.make(setup)
  started.launcher.go()
  await until('the command has begun', () => started.said().includes('begun'))
  // The launcher, sh, its sleep, and three in the background.
  await until('all are there', () => processesIn(made.network).length === 6)
  return { ...started, ...made }
}

const noneLeft = (network: string) => until('nothing is left', () => processesIn(network).length === 0, 3_000)

const look = `
id -u; id -g; ip -o link | wc -l; ip route show default; ip -6 route show default | cut -c1-15; cat /etc/resolv.conf
grep -E 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs' /proc/self/status; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls -A /tmp
ip link add x type dummy 2>&1 | cut -c1-60; mount -t tmpfs tmpfs /mnt 2>/dev/null && echo mounted; cat /etc/hostname | wc -l`

function assertInside(said: string, id: number): void {
  const lines = said.trim().split('\n')
  const caps = ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map((name) => `${name}:\t0000000000000000`)
  assert.deepEqual(lines, [
    ...[String(id), String(id), '2', 'default dev kt0 scope link ', 'default dev kt0', 'nameserver 198.18.53.2'],
    ...[...caps, 'NoNewPrivs:\t1', '0', 'mine'],
    ...['RTNETLINK answers: Operation not permitted', '1'],
  ])
}

const scenarios: Record<string, () => Promise<void>> = {
  async inside() {
    writeFileSync('/tmp/mine', '')
    const before = readFileSync('/etc/resolv.conf', 'utf8')
    const { said, ended } = await run(['sh', '-c', `${look}; exit 7`])
    assertInside(said, UID)
    assert.equal(ended, 7)
    assert.equal(readFileSync('/etc/resolv.conf', 'utf8'), before, 'outside nothing has changed')
  },

  async place() {
    const root = '/run/user/1500/files'
    shell(`mkdir -p ${root}/etc/app/more ${root}/data/deep ${root}/mnt ${root}/scratch ${root}/tmp/own ${root}/usr ${root}/var/run/kt/x
      cd ${root}; echo file > etc/app/file; echo more > etc/app/more/file; echo one > etc/one.yaml; echo deep > data/deep/file
      echo here > mnt/file; echo token > var/run/kt/x/token; echo host > etc/hostname; chown -R ${UID}:${UID} /run/user/1500
      mount -t tmpfs -o mode=755 tmpfs /mnt; echo machine > /mnt/machine; echo kept > /tmp/kept; chmod 666 /tmp/kept
      mkdir -p /run/other; echo other > /run/other/file`)
    const before = shell('ls -A / /etc /run /var; cat /etc/hostname; grep -c . /proc/self/mountinfo')
    const ro = (path: string) => ({ path, writable: false })
    const rw = (path: string) => ({ path, writable: true })
    const mounts = [
      ...[ro('/data/deep'), ro('/etc/app'), rw('/etc/app/more'), ro('/etc/hostname'), ro('/etc/one.yaml')],
      ...[ro('/mnt'), rw('/scratch'), rw('/tmp'), ro('/tmp/own'), ro('/usr'), ro('/var/run/kt/x')],
    ]
    const script = `cat /etc/app/file /etc/app/more/file /etc/one.yaml /data/deep/file /mnt/file /var/run/kt/x/token /etc/hostname
      cat /run/other/file /tmp/kept ${root}/etc/app/file /etc/resolv.conf; ls /mnt; echo x > /scratch/x && cat ${root}/scratch/x
      for path in /etc/app/x /etc/x /data/x /data/deep/file /x /run/x /mnt/x; do (echo y > $path) 2>&1 | grep -o 'Read-only.*'; done
      mount -o remount,rw,bind /etc/app 2>/dev/null && echo remounted; umount /etc 2>/dev/null && echo unmounted
      head -1 /etc/passwd | cut -c1-5; test -c /dev/null && ls /proc/self/cmdline; pwd; sleep 0.01; echo last > /tmp/kept; ls / | grep -c proc; exit 5`
    const { said, ended, left } = await run(['sh', '-c', script], UID, { root, mounts })
    assert.deepEqual(left, ['/tmp EEXIST', '/tmp/own EEXIST', '/usr EBUSY'])
    assert.deepEqual(said.trim().split('\n'), [
      ...['file', 'more', 'one', 'deep', 'here', 'token', 'host', 'other', 'kept', 'file', 'nameserver 198.18.53.2'],
      ...['file', 'x', ...new Array<string>(7).fill('Read-only file system')],
      ...['root:', '/proc/self/cmdline', '/', '1'],
    ])
    assert.equal(ended, 5)
    assert.equal(readFileSync('/tmp/kept', 'utf8'), 'last\n', 'what the user may write to is the machine itself')
    assert.equal(shell('ls -A / /etc /run /var; cat /etc/hostname; grep -c . /proc/self/mountinfo'), before)
  },

  async 'place-tricks'() {
    const root = '/run/user/1500/files'
    shell(`mkdir -p ${root} /run/closed; echo secret > /run/closed/file; chmod 700 /run/closed; cd ${root}
      ln -s /run/closed a; mkdir b; ln -s /run/closed/file b/file; ln -s /etc /run/user/1500/linked; mkdir c; chown -hR ${UID}:${UID} /run/user/1500`)
    const mounts = ['/a', '/a/file', '/b/file', '/proc/self/c', '/dev/c'].map((path) => ({ path, writable: false }))
    const script = 'cat /a/file /b/file 2>&1 | grep -c secret; ls -d /a /b 2>/dev/null'
    const { said, left } = await run(['sh', '-c', script], UID, { root, mounts })
    assert.equal(said, '0\n')
    assert.deepEqual(left, ['/a ELOOP', '/a/file ENOTDIR', '/b/file ELOOP', '/proc/self/c ENOENT', '/dev/c ENOENT'])
    for (const path of ['/a/../b', '/a//b', 'a', '/', '/./a']) {
      const started = start(['echo', 'begun'])
      const making = started.launcher.make({ ...setup, place: { root, mounts: [{ path, writable: false }] } })
      await assert.rejects(making, { step: 'launcher' }, path)
      assert.equal(await started.ended, 69)
    }
    await assert.rejects(start(['true']).launcher.make({ ...setup, place: { root: '/run/../run', mounts: [] } }))
  },

  async root() {
    writeFileSync('/tmp/mine', '')
    const { said, ended } = await run(['sh', '-c', `${look}; exit 7`], 0)
    assertInside(said, 0)
    assert.equal(ended, 7)
  },

  async exits() {
    assert.equal((await run(['true'])).ended, 0)
    assert.equal((await run(['sh', '-c', 'kill -KILL $$'])).ended, 'SIGKILL')
    assert.equal((await run(['sh', '-c', 'kill -INT $$'])).ended, 'SIGINT')
    const started = start(['sh', '-c', 'trap "exit 9" TERM; echo begun; while :; do sleep 0.05; done'])
    const { tun } = await started.launcher.make(setup)
    started.launcher.go()
    await until('begun', () => started.said().includes('begun'))
    // What is typed at a terminal reaches the command from there, and nobody else hands it on.
    execFileSync('kill', ['-INT', String(started.child.pid)])
    started.child.kill('SIGTERM')
    assert.equal(await started.ended, 9)
    closeSync(tun)
  },

  async 'left-behind'() {
    const started = start(['sh', '-c', 'setsid sh -c "trap \\"\\" TERM; sleep 1000" & sleep 1000 & sleep 0.2; exit 3'])
    const { network, tun } = await started.launcher.make(setup)
    started.launcher.go()
    assert.equal(await started.ended, 3)
    assert.deepEqual(processesIn(network), [])
    closeSync(tun)
  },

  async 'engine-gone'() {
    const { launcher, network } = await busy()
    launcher.close()
    await noneLeft(network)
  },

  async 'caller-gone'() {
    // The caller is a process between us and the launcher; its descriptors 3 and 4 are ours, and stay.
    const script = `require('child_process').spawn(${JSON.stringify(program)}, ['sh', '-c', 'echo begun; sleep 1000'],
      { stdio: [0, 1, 2, 3, 4] }); setInterval(() => {}, 1000)`
    const caller = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'],
      uid: UID,
      gid: UID,
      cwd: '/',
    })
    const [, , , descriptors, lines] = caller.stdio as unknown as Socket[]
    const launcher = engineOf(descriptors, lines)
    const { network } = await launcher.make(setup)
    launcher.go()
    await until('begun', () => processesIn(network).length >= 3)
    caller.kill('SIGKILL')
    await noneLeft(network)
  },

  async 'launcher-killed'() {
    const { child, launcher, network } = await busy()
    child.kill('SIGKILL')
    await launcher.gone
    assert.ok(killAllIn(network) > 0, 'the background has outlived it')
    await noneLeft(network)
    assert.equal(killAllIn(networkOf('self')!), 0, 'never this machine itself')
  },

  async sockets() {
    const listen = (host: string, port: number) =>
      `require('net').createServer((s) => s.end(${JSON.stringify(host)})).listen(${port}, ${JSON.stringify(host)}, () => console.log('on'));
       { const u = require('dgram').createSocket(${JSON.stringify(host.includes(':') ? 'udp6' : 'udp4')}); u.bind(${port}, ${JSON.stringify(host)}, () => console.log('on'))
         u.on('message', (said, from) => u.send(${JSON.stringify(host)} + ' ' + said, from.port, from.address)) }`
    const script = listen('127.0.0.1', 80) + listen('::1', 81) + listen(ADDRESS, 82)
    const started = start([process.execPath, '-e', script])
    const { tun } = await started.launcher.make(setup)
    started.launcher.go()
    await until('they listen', () => started.said().match(/on/g)?.length === 6)
    const network = networkInside(started.launcher, setup.addresses)
    for (const [port, host] of [
      [80, '127.0.0.1'],
      [81, '::1'],
      [82, ADDRESS],
    ] as const) {
      const { socket, host: answered } = await dialProgram(network, port)
      assert.equal(answered, host)
      let heard = ''
      socket.setEncoding('utf8').on('data', (text: string) => {
        heard += text
      })
      await once(socket.resume(), 'end')
      socket.end()
      assert.equal(heard, host)
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const events = { onMessage: (said: Buffer) => resolve(String(said)), onHost: () => {}, onRefused: reject }
      const flow = new LocalDatagrams(network, network.hosts[0], port, events, () => performance.now())
      flow.send(Buffer.from('hello'))
      assert.equal(await promise, `${host} hello`)
      flow.close()
    }
    await assert.rejects(dialProgram(network, 83), { code: 'ECONNREFUSED' })
    started.launcher.close()
    await started.ended
    await assert.rejects(dialProgram(network, 80), { code: 'ECONNREFUSED' }, 'nobody is there any more')
    closeSync(tun)
  },

  async 'interrupt-by-caller'() {
    const started = start(['sh', '-c', 'trap "exit 9" INT; echo begun; while :; do sleep 0.05; done'])
    const { tun } = await started.launcher.make(setup)
    started.launcher.go()
    await until('begun', () => started.said().includes('begun'))
    started.child.kill('SIGINT')
    assert.equal(await started.ended, 9)
    closeSync(tun)
  },

  async 'no-device'() {
    const told = async () => {
      const started = start(['sh', '-c', 'echo begun'])
      const error = (await started.launcher.make(setup).catch((error) => error)) as LaunchError
      assert.equal(await started.ended, 69)
      assert.equal(started.said(), '')
      return `${error.step} ${error.code}`
    }
    chmodSync('/dev/net/tun', 0o600)
    assert.equal(await told(), 'tun EACCES')
    unlinkSync('/dev/net/tun')
    assert.equal(await told(), 'tun ENOENT')
  },

  async 'not-found'() {
    const missing = await run(['no-such-command'])
    assert.equal(missing.ended, 127)
    assert.equal(missing.said, 'error: no-such-command: command not found\n')
    const folder = mkdtempSync('/tmp/x')
    chmodSync(folder, 0o755)
    const file = join(folder, 'data')
    writeFileSync(file, '')
    const forbidden = await run([file])
    assert.equal(forbidden.ended, 126)
    assert.match(forbidden.said, /cannot be run: Permission denied/)
  },
}

await scenarios[process.argv[2]]()
process.exit(0)
