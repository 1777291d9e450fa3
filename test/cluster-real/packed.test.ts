// kt as people install it: the npm package and the single file, each in a minimal Debian on a laptop of the cluster, without
// a checkout and without a compiler; the single file also without Node. test/pack looks at what is in them.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nodeOfVersion } from '../support/foreign-node.ts'
import { pack } from '../support/packed.ts'
import { missing } from '../support/programs.ts'
import { kubeconfigs, program, skipOwn } from './cluster.ts'

const node = dirname(dirname(process.execPath))
const npm = join(dirname(node), 'npm')
const skip =
  skipOwn ||
  (process.getuid!() !== 0 && 'making a root file system needs root') ||
  missing('mmdebstrap') ||
  (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0 && 'Python with pip is not installed') ||
  (!existsSync(npm) && 'the Node that runs this has no npm beside it')

/** $1 the new root. What runs in it has processes, mounts and /run of its own, and the laptop's network. */
const ENTER = `set -e
mount --bind "$1" "$1"; cd "$1"
mount --rbind /dev dev; mount -t proc proc proc; mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p old; pivot_root . old; cd /; umount -l /old
exec env -i HOME=/root USER=root LOGNAME=root PATH=/opt/node/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NO_COLOR=1 sh -c "$2"`

/** What a new user does. Each step's name stands before its output. */
const SESSION = `echo from a bare machine > /srv/index.html
touch /began
cd /
say() { echo "== $1"; }
say version; kt --version
say up; kt up -n shop 2>&1
say page; curl -s -m 10 http://web.shop/
busybox httpd -p 127.0.0.1:8099 -h /srv
say exchange; kt exchange web -n shop --expose 8099:80 --background 2>&1
say exchanged; for i in 1 2 3 4 5 6; do curl -s -m 10 http://web.shop/; done
say leave; kt leave web -n shop 2>&1
say shell; kt shell -n shop -- curl -s -m 10 http://web/
say proxy; kt proxy -n shop > /tmp/proxy 2>&1 & proxy=$!
for i in $(seq 100); do grep -q 'Ctrl-C ends it' /tmp/proxy && break; sleep 0.2; done
curl -s -m 10 -x socks5h://127.0.0.1:1080 http://web/
kill -INT $proxy; wait $proxy
say down; kt down 2>&1
say resolver; cat /etc/resolv.conf
say files; find / -xdev -type f -newer /began
say end`

describe('kt as it is installed, in a minimal Debian', { skip, concurrency: false }, () => {
  let work = ''
  let root = ''
  let tarball = ''
  before(
    () => {
      work = mkdtempSync(join(tmpdir(), 'kt-packed-'))
      root = join(work, 'root')
      pack('--if-changed')
      tarball = readdirSync('out').find((name) => name.endsWith('.tgz'))!
      const include = '--include=curl,iproute2,busybox'
      execFileSync('mmdebstrap', ['--quiet', '--variant=minbase', include, 'bookworm', root], { stdio: 'ignore' })
      writeFileSync(join(root, 'etc/resolv.conf'), 'nameserver 198.51.100.53\n')
      mkdirSync(join(root, 'root/.kube'), { mode: 0o700 })
      writeFileSync(join(root, 'root/.kube/config'), readFileSync(kubeconfigs.admin), { mode: 0o600 })
    },
    { timeout: 300_000 },
  )
  after(() => {
    if (work) rmSync(work, { recursive: true, force: true })
  })

  it('the single file works without Node', { timeout: 240_000 }, () => {
    cpSync(join('out', `kt-linux-${process.arch}`), join(root, 'usr/local/bin/kt'))
    assert.equal(existsSync(join(root, 'usr/bin/node')), false)
    works(inside(SESSION))
    rmSync(join(root, 'usr/local/bin/kt'))
  })

  it('the npm package works with the oldest Node that it is for, alone', { timeout: 240_000 }, () => {
    cpSync(nodeOfVersion('22.18.0'), join(root, 'opt/node'), { recursive: true })
    cpSync(npm, join(root, 'opt/npm'), { recursive: true })
    cpSync(join('out', tarball), join(root, tarball))
    const install = `node /opt/npm/bin/npm-cli.js install --offline --no-audit --no-fund --prefix /opt/node -g /${tarball} >&2 || exit 9`
    works(inside(`${install}\n${SESSION}`))
  })

  function inside(script: string): Map<string, string> {
    const command = [
      'laptop',
      '--as',
      'packed',
      'unshare',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--propagation',
      'private',
    ]
    const { stdout, stderr, status } = spawnSync(program!, [...command, 'sh', '-c', ENTER, 'sh', root, script], {
      encoding: 'utf8',
      timeout: 200_000,
      killSignal: 'SIGKILL',
    })
    assert.equal(status, 0, `${stdout}\n${stderr}`)
    const parts = stdout.split(/^== (\w+)\n/m).slice(1)
    return new Map(parts.flatMap((name, i) => (i % 2 === 0 ? [[name, parts[i + 1]] as const] : [])))
  }
})

function works(said: Map<string, string>): void {
  const all = [...said].map(([name, text]) => `== ${name}\n${text}`).join('')
  const step = (name: string) => said.get(name) ?? ''
  assert.match(step('version'), /^\d+\.\d+\.\d+\n$/, all)
  assert.match(step('up'), /^connected to /m, all)
  for (const name of ['page', 'shell', 'proxy']) assert.match(step(name), /"from":"web-/, all)
  assert.equal(step('exchanged'), 'from a bare machine\n'.repeat(6), all)
  assert.match(step('leave'), /^web is as before$/m, all)
  assert.match(step('down'), /^disconnected$/m, all)
  assert.equal(step('resolver'), 'nameserver 198.51.100.53\n', all)
  // What stays are the log, and what the cluster was found to be.
  const left = step('files')
    .split('\n')
    .filter((file) => file && !file.startsWith('/root/.local/state/kt/'))
  assert.deepEqual(
    left.filter((file) => !file.startsWith('/root/.npm/')),
    [],
    all,
  )
}
