// What `./dev` downloads: it is pinned, and when a download fails, the reason is shown and what to do.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'

const folder = mkdtempSync(join(tmpdir(), 'kt-install-'))
after(() => rmSync(folder, { recursive: true }))

/** Runs npm-ci.sh with a pretended npm. */
function install(npm: string) {
  writeFileSync(join(folder, 'npm'), `#!/bin/sh\n${npm}\n`)
  chmodSync(join(folder, 'npm'), 0o755)
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` }
  const args = [resolve('scripts/npm-ci.sh'), 'the packages', '--prefix', 'somewhere']
  const { status, stdout, stderr } = spawnSync('/bin/sh', args, { env, encoding: 'utf8', timeout: 20_000 })
  return { status, stdout, said: stderr.trim().split('\n') }
}

test('an installation that works says what it installs', () => {
  const { status, stdout, said } = install(
    'case "$*" in "ci "*" --prefix somewhere") echo added 3 packages ;; *) exit 1 ;; esac',
  )
  assert.deepEqual([status, stdout, said], [0, '', ['dev: installing the packages']])
})

for (const label of ['npm error', 'npm ERR!'])
  test(`one that fails shows npm's reason without its stack, and what to do (${label})`, () => {
    const { status, stdout, said } = install(`[ "$1" = config ] && { echo http://registry.test/; exit; }
cat >&2 <<'EOF'
${label} code ECONNREFUSED
${label} FetchError: request to http://registry.test/npm failed, reason: connect ECONNREFUSED {
${label}     at ClientRequest.<anonymous> (/usr/lib/node_modules/npm/lib/index.js:130:14)
${label}   port: 9,
${label} }
${label}
EOF
exit 7`)
    assert.deepEqual([status, stdout], [1, ''])
    assert.deepEqual(said, [
      'dev: installing the packages',
      `  | ${label} code ECONNREFUSED`,
      `  | ${label} FetchError: request to http://registry.test/npm failed, reason: connect ECONNREFUSED`,
      'dev: npm could not install the packages (the lines above say why)',
      'dev: see that the registry http://registry.test/ can be reached and that the disk is not full, then run the same again',
    ])
  })

for (const arch of ['x64', 'arm64'])
  test(`Node and npm for ${arch} are pinned by version and integrity`, () => {
    const read = (file: string) => JSON.parse(readFileSync(`runtime/${arch}/${file}`, 'utf8'))
    const { dependencies } = read('package.json') as { dependencies: Record<string, string> }
    assert.deepEqual(Object.keys(dependencies), [`node-linux-${arch}`, 'npm'])
    const { packages } = read('package-lock.json') as { packages: Record<string, Record<string, string>> }
    for (const [name, version] of Object.entries(dependencies)) {
      const locked = packages[`node_modules/${name}`]
      assert.equal(locked['version'], version)
      assert.match(locked['integrity'], /^sha512-/)
    }
    // What comes inside of the package of npm is held by that package's integrity.
    for (const [path, entry] of Object.entries(packages))
      assert.ok(path === '' || entry['integrity'] || entry['inBundle'], path)
  })
