// The Debian package as people have it: a minimal Debian with systemd on a laptop of the cluster, where a member of the group
// kt needs no password, and where nothing is left when it is removed.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pack } from '../support/packed.ts'
import { missing } from '../support/programs.ts'
import { inSystemd, noSystemd } from '../support/systemd-root.ts'
import { kubeconfigs, program, skipOwn } from './cluster.ts'

const skip =
  skipOwn ||
  (process.getuid!() !== 0 && 'making a root file system needs root') ||
  missing('mmdebstrap') ||
  (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0 && 'Python with pip is not installed') ||
  noSystemd()

/** Each step's name stands before its output. */
const SESSION = `cd /
say() { echo "== $1"; }
dev() { su - dev -c "$1" 2>&1; }
everything() { find / -xdev -path /var/log -prune -o -path /var/cache -prune -o -path /home/dev -prune -o -path '/var/lib/dpkg/*' -prune -o -print | sort; }
everything > /tmp/before
say install; dpkg -i /kt.deb 2>&1; systemctl is-active kt.socket; stat -c '%a %U %G' /run/kt/helper.sock
say stranger; dev 'kt check; kt up -n shop'
usermod --append --groups kt dev
say member; dev 'kt check'
say up; dev 'kt up -n shop'
say page; dev 'curl -s -m 10 http://web.shop/'
say units; for p in $(systemctl show --property=MainPID --value 'kt@*'); do tr '\\0' ' ' < /proc/$p/cmdline; echo; done
say down; dev 'kt down'
say resolver; cat /etc/resolv.conf
say again; dev 'kt up -n shop'
systemctl kill --signal=KILL --kill-who=main 'kt@*.service'
for i in $(seq 100); do [ -e /run/kt/1000 ] || break; sleep 0.1; done
say killed; cat /etc/resolv.conf; ls -A /var/lib/kt /sys/class/net
say connected; dev 'kt up -n shop'
say purge; dpkg --purge kt 2>&1
say left; cat /etc/resolv.conf; everything | diff /tmp/before -; getent group kt; ls -A /sys/class/net
systemctl list-units --all --no-legend 'kt*'
for p in /proc/[0-9]*; do readlink $p/exe; done | grep bin/kt
say end`

describe('the Debian package, in a minimal Debian with systemd', { skip, concurrency: false }, () => {
  let root = ''
  let work = ''
  before(
    () => {
      work = mkdtempSync(join(tmpdir(), 'kt-package-'))
      root = join(work, 'root')
      pack('--if-changed')
      const include = '--include=curl,iproute2,systemd-sysv'
      execFileSync('mmdebstrap', ['--quiet', '--variant=minbase', include, 'bookworm', root], { stdio: 'ignore' })
      const file = readdirSync('out').find((name) =>
        name.endsWith(`_${process.arch === 'x64' ? 'amd64' : 'arm64'}.deb`),
      )!
      cpSync(join('out', file), join(root, 'kt.deb'))
      writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 198.51.100.53\n')
      execFileSync('chroot', [root, 'useradd', '--create-home', '--uid', '1000', '--shell', '/bin/sh', 'dev'])
      appendFileSync(join(root, 'home/dev/.profile'), 'export NO_COLOR=1 KUBECONFIG=$HOME/kubeconfig\n')
      cpSync(kubeconfigs.admin, join(root, 'home/dev/kubeconfig'))
      execFileSync('chroot', [root, 'chown', 'dev:', '/home/dev/kubeconfig'])
    },
    { timeout: 300_000 },
  )
  after(() => {
    if (work) rmSync(work, { recursive: true, force: true })
  })

  it('serves members of its group, and leaves nothing when it is purged while they are connected', () => {
    const all = inSystemd([program!, 'laptop', '--as', 'package'], root, SESSION, 200_000)
    const parts = all.split(/^== (\w+)\n/m).slice(1)
    const said = new Map(parts.flatMap((name, i) => (i % 2 === 0 ? [[name, parts[i + 1]] as const] : [])))
    const step = (name: string) => said.get(name) ?? ''
    assert.match(step('install'), /^active\n660 root kt\n$/m, all)
    assert.match(step('stranger'), /root +failed +this is not root, and there is no sudo/, all)
    assert.match(step('stranger'), /error: kt needs root .*\n.*`usermod -aG kt dev`/, all)
    assert.match(step('member'), /root +ok +not needed: kt's helper serves you/, all)
    for (const name of ['up', 'again', 'connected']) assert.match(step(name), /^connected to /m, all)
    assert.match(step('page'), /"from":"web-/, all)
    assert.match(step('units'), /^\/usr\/bin\/kt --kt-program helper serve/m, all)
    assert.match(step('down'), /^disconnected$/m, all)
    const resolver = 'nameserver 198.51.100.53\n'
    assert.equal(step('resolver'), resolver, all)
    assert.match(
      step('killed'),
      /^nameserver 198\.51\.100\.53\n\/sys\/class\/net:\neth0\nlo\n\n\/var\/lib\/kt:\n$/,
      all,
    )
    assert.equal(step('left'), `${resolver}eth0\nlo\n`, all)
    assert.ok(said.has('end'), all)
  })
})
