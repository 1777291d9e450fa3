// What `./dev` does about the system's programs, on machines that have almost nothing: a PATH of a few pretended programs.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'

let folder: string
let asked: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-prepare-'))
  asked = join(folder, 'asked')
  for (const name of ['sh', 'tr', 'sed', 'tail', 'mktemp', 'rm', 'grep'])
    symlinkSync(`/bin/${name}`, join(folder, name))
})
afterEach(() => rmSync(folder, { recursive: true }))

function have(name: string, script = 'exit 0'): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, name), 0o755)
}

function prepare(uid: number, ...purposes: string[]): { status: number | null; said: string; asked: string } {
  have('id', `echo ${uid}`)
  const { status, stderr, stdout } = spawnSync('/bin/sh', [resolve('scripts/prepare.sh'), ...purposes], {
    env: { PATH: folder, ASKED: asked },
    encoding: 'utf8',
    timeout: 10_000,
  })
  assert.equal(stdout, '')
  return { status, said: stderr, asked: existsSync(asked) ? readFileSync(asked, 'utf8') : '' }
}
const recorder = (name: string) => `echo "${name} $*" >>"$ASKED"`

test('root with apt gets all of it by one installation, and is told which', () => {
  have('apt-get', recorder('apt-get'))
  const { status, said, asked } = prepare(0, 'download', 'compile', 'demo')
  assert.equal(status, 0)
  const install =
    'apt-get install -y --no-install-recommends npm ca-certificates gcc libc6-dev iproute2 mount util-linux'
  assert.equal(asked, `apt-get update\n${install}\n`)
  assert.match(said, /^dev: these programs are missing: npm cc ip mount nsenter unshare setpriv\n/)
  assert.match(said, /installing them: apt-get update && apt-get install/)
})

for (const [manager, wanted] of [
  ['dnf', 'dnf install -y npm gcc glibc-devel iproute util-linux\n'],
  ['apk', 'apk add npm gcc musl-dev linux-headers iproute2 mount util-linux-misc setpriv\n'],
])
  test(`root with ${manager} gets that system's packages`, () => {
    have(manager, recorder(manager))
    const { status, asked } = prepare(0, 'download', 'compile', 'demo')
    assert.deepEqual([status, asked], [0, wanted])
  })

test('what is there is not installed again, and nothing is said', () => {
  for (const name of ['apt-get', 'cc']) have(name, recorder(name))
  assert.deepEqual(prepare(0, 'compile'), { status: 0, said: '', asked: '' })
})

test('others get one command that installs all of it, with sudo where it is', () => {
  have('apt-get', recorder('apt-get'))
  const wanted = 'apt-get install -y --no-install-recommends npm ca-certificates gcc libc6-dev\n'
  const without = prepare(1000, 'download', 'compile')
  assert.equal(without.status, 1)
  assert.ok(without.said.endsWith(`install them as root, then run the same again:\ndev:   apt-get update && ${wanted}`))
  have('sudo')
  const { status, said, asked } = prepare(1000, 'download', 'compile')
  assert.equal(status, 1)
  assert.ok(said.endsWith(`dev:   sudo apt-get update && sudo ${wanted}`), said)
  assert.equal(asked, '')
})

test('who may install nothing needs no compiler where Python can bring zig', () => {
  have('apt-get', recorder('apt-get'))
  have('python3', '[ "$*" = "-m pip --version" ]')
  assert.deepEqual(prepare(1000, 'compile'), { status: 0, said: '', asked: '' })
  assert.match(prepare(0, 'compile').asked, / gcc /)
})

test('an unknown system is told the programs', () => {
  const { status, said } = prepare(0, 'compile')
  assert.equal(status, 1)
  assert.match(said, /missing: cc\n.*this system's package manager/)
})

test('an installation that fails is shown with its reason and what to do', () => {
  have('apt-get', '[ "$1" = update ] || { echo "E: no space left"; exit 100; }')
  const { status, said } = prepare(0, 'compile')
  assert.equal(status, 1)
  assert.match(said, /\| E: no space left\ndev: the packages could not be installed .*\ndev: when the cause is gone/)
})

test('what only a few tests use is named in one list; --all installs it', () => {
  have('apt-get', recorder('apt-get'))
  const some = prepare(0, 'test')
  assert.equal(some.status, 0)
  assert.match(some.asked, /install .* sudo procps iputils-ping curl bind9-dnsutils/)
  assert.doesNotMatch(some.asked, /chromium/)
  assert.match(some.said, /some tests are skipped, since these programs are missing: .*tshark \(captures as Wireshark/)
  assert.match(some.said, /to run them too: apt-get update && apt-get install .*chromium/)
  rmSync(asked)
  const all = prepare(0, '--all', 'test')
  assert.match(all.asked, /chromium/)
  assert.doesNotMatch(all.said, /skipped/)
})

test('the demo of an ordinary user without sudo ends before anything is installed', () => {
  have('apt-get', recorder('apt-get'))
  const { status, said, asked } = prepare(1000, 'download', 'demo')
  assert.equal(status, 1)
  assert.match(said, /^dev: the demo .*needs root, and there is no sudo here\ndev: run it as root/)
  assert.doesNotMatch(said, /missing/)
  assert.equal(asked, '')
})

test('an ordinary user is told which tests need root', () => {
  have('apt-get')
  const names = ['ip', 'mount', 'nsenter', 'unshare', 'setpriv', 'sudo', 'sysctl', 'ping', 'curl', 'dig', 'nc']
  for (const name of [...names, 'openssl', 'ssh-keygen', 'sshd']) have(name)
  const { status, said } = prepare(1000, 'test')
  assert.equal(status, 0)
  assert.match(said, /tests that need root are skipped/)
})
