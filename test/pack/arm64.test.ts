// kt for arm64, run on this machine by qemu with Debian's C library for arm64: the compiled parts, the stack, and the single file.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nodeFor } from '../../scripts/pack/tools.ts'
import type { CheckRequest } from '../../src/control/check.ts'
import { assertPassed, bundleTests, noRoots, testArguments, unpackDebian } from '../support/foreign-node.ts'
import { pack } from '../support/packed.ts'
import { missing } from '../support/programs.ts'

const skip =
  noRoots ||
  missing('qemu-aarch64-static') ||
  (process.arch === 'arm64' && 'this machine is arm64: the other tests of this folder run it')

const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version

describe('kt for arm64', { skip, concurrency: false }, () => {
  let work = ''
  let root = ''
  let tree = ''
  before(
    () => {
      work = mkdtempSync(join(tmpdir(), 'kt-arm64-'))
      ;[root, tree] = [join(work, 'root'), join(work, 'package')]
      pack('--if-changed')
      execFileSync('tar', ['-xzf', `out/kt-${version}.tgz`, '-C', work])
      unpackDebian(root, 'arm64', 'bookworm', ['libc6', 'libstdc++6', 'libgcc-s1'])
    },
    { timeout: 600_000 },
  )
  after(() => rmSync(work, { recursive: true, force: true }))

  /** Runs a program for arm64. */
  function emulated(program: string, ...args: string[]) {
    return spawnSync('qemu-aarch64-static', ['-L', root, program, ...args], {
      encoding: 'utf8',
      cwd: '/',
      env: { HOME: work, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      timeout: 600_000,
    })
  }
  const node = () => join(nodeFor('arm64').folder, 'bin/node')

  it('both addons load into Node for arm64, and every program runs there', () => {
    const script = `for (const name of ['kt_tun', 'kt_gcm']) console.log(process.arch, Object.keys(require(process.argv[1] + '/' + name + '.node')).sort().join())`
    const parts = join(tree, 'native/build/napi8-arm64')
    const { stdout, stderr } = emulated(node(), '-e', script, parts)
    assert.match(stdout, /^arm64 .*\bopen\b.*\narm64 create,encrypt,isAuthentic,open,seal\n$/, stderr)
    for (const program of ['kt-launch', 'kt-shell', 'kt-ping']) {
      const { status, signal, stderr } = emulated(join(parts, program))
      assert.ok(signal === null && status !== null && status < 126, `${program}: ${status} ${signal} ${stderr}`)
    }
  })

  it('the tests of the stack and of the cipher pass there', { timeout: 1_200_000 }, async () => {
    for (const bundle of await bundleTests(tree))
      assertPassed(emulated(node(), ...testArguments(join(tree, 'dist', bundle))), bundle.startsWith('stack') ? 100 : 3)
  })

  it('the npm package runs there', () => {
    const { stdout, stderr } = emulated(node(), join(tree, 'bin/start.mjs'), '--version')
    assert.equal(stdout, `${version}\n`, stderr)
  })

  it('the single file runs there, and loads the parts that are in it', () => {
    const program = resolve('out/kt-linux-arm64')
    assert.equal(emulated(program, '--version').stdout, `${version}\n`)
    assert.match(emulated(program, 'version', '--verbose').stdout, /linux-arm64\)\ninstalled +single file \//)
    // `kt check` starts itself again, which the kernel of another processor cannot do: this is the part that it starts.
    const none = {
      nodeSelector: {},
      labels: {},
      annotations: {},
      podResources: {},
      tolerations: [],
      imagePullSecrets: [],
    }
    const request: CheckRequest = {
      config: { kubeconfig: '/none', shadow: 'agent', readyTimeoutS: 1, owner: 'test@here', env: {}, ...none },
      include: [],
      exclude: [],
      tryShadow: false,
      root: 'root',
    }
    const { stdout, stderr } = emulated(program, '--kt-program', 'check', JSON.stringify(request))
    for (const name of ['addon', 'ciphers']) assert.match(stdout, new RegExp(`"name":"${name}","state":"ok"`), stderr)
  })
})
