// The npm package on each Node that it is for, and on one that is too old; and `npx`, which needs neither a registry nor a compiler.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nodeOfVersion } from '../support/foreign-node.ts'
import { pack } from '../support/packed.ts'
import { missing } from '../support/programs.ts'

const { version, engines } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  version: string
  engines: { node: string }
}
/** The oldest that kt is for, and the newest. What kt is developed on runs all the other tests. */
const OLDEST = '22.18.0'
const NEWEST = '26.12.1'

/** Of the npm that ./dev installs. */
const npx = join(dirname(dirname(dirname(process.execPath))), 'npm/bin/npx-cli.js')

/** Every name that the bundles import of Node is there. Prints what is not. */
const IMPORTS = `import { readdirSync, readFileSync } from 'node:fs'
const folder = process.argv[2]
let seen = 0
for (const file of readdirSync(folder).filter((name) => name.endsWith('.js')))
  for (const [, names, from] of readFileSync(folder + '/' + file, 'utf8').matchAll(/^import (?:[\\w$]+, )?\\{([^}]*)\\} from "(node:[^"]+|[a-z_/0-9]+)";$/gm)) {
    const there = await import(from)
    for (const name of names.split(',').map((one) => one.trim().split(' as ')[0]).filter(Boolean)) {
      seen++
      if (!(name in there)) console.log(file, from, name)
    }
  }
console.log(seen > 100 ? 'all seen' : 'the bundles import in another form: ' + seen)`

describe('the npm package on other versions of Node', { skip: missing('npm'), concurrency: false }, () => {
  let work = ''
  let tree = ''
  before(
    () => {
      work = mkdtempSync(join(tmpdir(), 'kt-versions-'))
      tree = join(work, 'package')
      pack('--if-changed')
      execFileSync('tar', ['-xzf', `out/kt-${version}.tgz`, '-C', work])
      writeFileSync(join(work, 'imports.mjs'), IMPORTS)
    },
    { timeout: 600_000 },
  )
  after(() => rmSync(work, { recursive: true, force: true }))

  /** Runs a program as a person does whose PATH has this Node before the system's programs. */
  function on(nodeVersion: string, command: string, ...args: string[]) {
    return spawnSync(command, args, {
      encoding: 'utf8',
      cwd: work,
      env: { HOME: work, PATH: `${join(nodeOfVersion(nodeVersion), 'bin')}:/usr/bin:/bin`, NO_COLOR: '1' },
      timeout: 120_000,
    })
  }

  for (const one of [OLDEST, NEWEST])
    it(`Node ${one}: kt says its version, loads its parts and finds in Node what it imports`, {
      timeout: 400_000,
    }, () => {
      const said = on(one, join(tree, 'bin/kt'), '--version')
      assert.deepEqual([said.stdout, said.stderr], [`${version}\n`, ''])
      const { stdout, stderr } = on(one, join(tree, 'bin/kt'), 'check', '--json', '--kubeconfig', '/none')
      assert.ok(stdout, stderr)
      const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string; result: string }[] }
      const state = (name: string) => checks.find((check) => check.name === name)?.state
      assert.deepEqual(['addon', 'ciphers'].map(state), ['ok', 'ok'])
      assert.equal(state('Node.js'), one === OLDEST ? 'ok' : 'warning')
      assert.equal(on(one, 'node', 'imports.mjs', join(tree, 'dist')).stdout, 'all seen\n')
    })

  it('the oldest one is what package.json names, and one that is older gets two lines', { timeout: 400_000 }, () => {
    assert.equal(engines.node.split(' ')[0], `>=${OLDEST.replace(/\.0$/, '')}`)
    // Before 20.11, Node refuses options that kt could use.
    const { status, stdout, stderr } = on('20.8.0', join(tree, 'bin/kt'), 'up')
    assert.deepEqual([status, stdout], [1, ''])
    assert.equal(
      stderr,
      'error: kt needs Node.js 22.18 or newer, this is 20.8.0\n       update Node.js, or use the single file of kt, which has its own\n',
    )
  })

  it('npx runs it from the file, without a registry', {
    timeout: 400_000,
    skip: !existsSync(npx) && 'the Node that runs this has no npm beside it',
  }, () => {
    mkdirSync(join(work, 'downloads'))
    copyFileSync(`out/kt-${version}.tgz`, join(work, `downloads/kt-${version}.tgz`))
    const { stdout, stderr } = on(
      OLDEST,
      'sh',
      '-c',
      `cd downloads && node ${npx} --offline --yes ./kt-${version}.tgz check --kubeconfig /none`,
    )
    assert.match(stdout, /^machine\n.*Node\.js +ok +22\.18\.0$/m, stderr)
    assert.match(stdout, /ciphers +ok/)
  })
})
