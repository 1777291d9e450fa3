// `./dev test cluster --cluster-version V`: which cluster the tests get, with a pretended program that starts clusters.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { ensureCluster } from '../../scripts/real-cluster.ts'

let folder: string
let program: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kt-cluster-version-'))
  program = join(folder, 'cluster')
  writeFileSync(
    program,
    `#!/bin/sh
cd ${folder}
case "$1 $*" in
  *version) [ -e running ] || exit 1; echo "{\\"gitVersion\\": \\"$(cat running)\\"}" ;;
  *readyz) [ -e running ] ;;
  down*) echo "$*" >>asked; rm -f running ;;
  up*) echo "$*" >>asked
    case "$*" in
      *v1.99.0*) exit 1 ;;
      *--version*) echo "\${5}" >running ;;
      *) echo v1.34.4 >running ;;
    esac ;;
esac
`,
  )
  chmodSync(program, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true }))

const running = (version: string) => writeFileSync(join(folder, 'running'), version)
/** What the program was told to do. */
const asked = () => (existsSync(join(folder, 'asked')) ? readFileSync(join(folder, 'asked'), 'utf8') : '')

async function ensure(version?: string, uid = 0) {
  const env: NodeJS.ProcessEnv = { KT_TEST_CLUSTER: program }
  const { message, failed } = await ensureCluster({ version, env, uid })
  return { message: message.replaceAll(program, 'PROGRAM'), failed, usable: env['KT_TEST_CLUSTER'] === program }
}

test('a cluster that is up is taken, whatever its version, unless one was asked for', async () => {
  running('v1.30.14')
  assert.deepEqual(await ensure(), {
    message: 'the cluster of PROGRAM is up (v1.30.14)',
    failed: undefined,
    usable: true,
  })
  assert.equal((await ensure('1.30.14')).message, 'the cluster of PROGRAM is up (v1.30.14)')
  assert.equal(asked(), '')
})

test('a cluster of another version makes room for the one that was asked for', async () => {
  running('v1.34.4')
  const { message, usable } = await ensure('1.37.2')
  assert.match(message, /^started the cluster of PROGRAM \(v1\.37\.2\) in \d+ s$/)
  assert.ok(usable)
  assert.equal(asked(), 'down\nup --nodes 2 --version v1.37.2\n')
})

test("where none is up, one is started in the program's own version, or in the one that was asked for", async () => {
  assert.match((await ensure()).message, /^started the cluster of PROGRAM \(v1\.34\.4\)/)
  rmSync(join(folder, 'running'))
  assert.match((await ensure('v1.37.2')).message, /^started the cluster of PROGRAM \(v1\.37\.2\)/)
  assert.equal(asked(), 'down\nup --nodes 2\ndown\nup --nodes 2 --version v1.37.2\n')
})

test('a version that is not to be had is a failure, never a skip or another version', async () => {
  running('v1.34.4')
  for (const [answer, why] of [
    [await ensure('1.99.0'), /^no cluster of v1\.99\.0: PROGRAM up --nodes 2 --version v1\.99\.0 failed/],
    [await ensure('1.37.2', 1000), /^no cluster of v1\.37\.2: making one needs root/],
  ] as const) {
    assert.match(answer.message, why)
    assert.deepEqual([answer.failed, answer.usable], [true, false])
  }
})

for (const [words, complaint] of [
  [['cluster', '--cluster-version', 'newest'], /--cluster-version newest is no version, which is like 1\.37\.2/],
  [['cluster', '--cluster-versoin=1.37.2'], /Unknown option '--cluster-versoin'/],
  [['unit', '--cluster-version', '1.37.2'], /--cluster-version is for the tests of the cluster, and none is named/],
] as const)
  test(`./dev test ${words.join(' ')} is wrong usage`, () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/test.ts', ...words], { encoding: 'utf8' })
    assert.equal(status, 2)
    assert.match(stderr, complaint)
  })
