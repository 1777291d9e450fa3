// kt for x64 in a root file system with musl alone: the compiled parts, the stack, the npm package. test/cluster-real/packed
// connects to a cluster from such a system.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { assertPassed, bundleTests, makeMuslRoot, noRoots, testArguments } from '../support/foreign-node.ts'
import { pack } from '../support/packed.ts'

const skip =
  noRoots ||
  (process.getuid!() !== 0 && 'making a root file system needs root') ||
  (process.arch !== 'x64' && 'the Node for musl is for x64')

const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version

describe('kt with musl', { skip, concurrency: false }, () => {
  let root = ''
  before(
    () => {
      root = mkdtempSync(join(tmpdir(), 'kt-musl-'))
      pack('--if-changed')
      makeMuslRoot(root)
      mkdirSync(join(root, 'opt'))
      execFileSync('tar', ['-xzf', `out/kt-${version}.tgz`, '-C', join(root, 'opt')])
    },
    { timeout: 600_000 },
  )
  after(() => rmSync(root, { recursive: true, force: true }))

  /** Runs a command of the root file system, with processes and devices. */
  function inside(...command: string[]) {
    const enter = 'mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; exec chroot "$@"'
    const env = ['/bin/env', '-i', 'HOME=/root', 'PATH=/bin:/opt/package/bin']
    const isolated = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    return spawnSync('unshare', [...isolated, 'sh', '-ec', enter, 'sh', root, ...env, ...command], {
      encoding: 'utf8',
      timeout: 300_000,
    })
  }

  it('nothing there is of glibc', () => {
    const script =
      'console.log(process.report.getReport().header.glibcVersionRuntime, process.report.getReport().sharedObjects.join())'
    assert.match(inside('node', '-e', script).stdout, /^undefined .*ld-musl-x86_64/)
    assert.deepEqual(
      ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', 'lib64'].filter((path) =>
        existsSync(join(root, path, 'libc.so.6')),
      ),
      [],
    )
  })

  it('the tests of the stack and of the cipher pass there', { timeout: 600_000 }, async () => {
    for (const bundle of await bundleTests(join(root, 'opt/package')))
      assertPassed(
        inside('node', ...testArguments(`/opt/package/dist/${bundle}`)),
        bundle.startsWith('stack') ? 100 : 3,
      )
  })

  it('kt runs there, and its addons load', () => {
    const { stdout, stderr } = inside('kt', '--version')
    assert.equal(stdout, `${version}\n`, stderr)
    const { checks } = JSON.parse(inside('kt', 'check', '--json', '--kubeconfig', '/none').stdout) as {
      checks: { name: string; state: string; result: string }[]
    }
    for (const name of ['Node.js', 'addon', 'ciphers'])
      assert.equal(checks.find((check) => check.name === name)?.state, 'ok', JSON.stringify(checks))
    // Here `ip` is BusyBox's.
    assert.match(checks.find((check) => check.name === 'iproute2')!.result, /^the command `ip` of iproute2 is missing$/)
  })

  it('the programs run there', () => {
    for (const program of ['kt-launch', 'kt-shell', 'kt-ping']) {
      const { status, signal, stderr } = inside(`/opt/package/native/build/napi8-x64/${program}`)
      assert.ok(signal === null && status !== null && status < 126, `${program}: ${status} ${stderr}`)
    }
  })
})
