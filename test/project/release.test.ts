// `./dev release` in a small checkout whose ./dev is pretended: it stops at what is wrong, leaves the checkout as it was then,
// and sends nothing.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { changesOf, checkVersion, differences, withVersion } from '../../scripts/release/preparation.ts'
import { missing } from '../support/programs.ts'

const skip = missing('git')
const folder = mkdtempSync(join(tmpdir(), 'kt-release-'))
after(() => rmSync(folder, { recursive: true }))

/** Packs one file and its provenance; RANDOM and BROKEN make it fail in their ways. */
const DEV = `#!/bin/sh
echo "$*" >>../asked
case $1 in
  "$BROKEN") exit 3 ;;
  pack)
    version=$(sed -n 's/.*"version": "\\(.*\\)".*/\\1/p' package.json)
    mkdir -p out
    echo "kt $RANDOM_BYTES" >out/kt-$version.tgz
    [ -z "$RANDOM_BYTES" ] || date +%N >>out/kt-$version.tgz
    printf '{"predicate":{"buildDefinition":{"resolvedDependencies":[{"digest":{"gitCommit":"%s"}}]}}}' \\
      "$(git rev-parse HEAD)" >out/kt-$version.provenance.json
    (cd out && sha256sum kt-$version.* >SHA256SUMS) ;;
esac
`
const CHANGES = '# Changes\n\n## 0.2.0 (soon)\n\n- Something new.\n\n## 0.1.0\n\nThe first.\n'

let root: string
beforeEach(() => {
  if (skip) return
  const parent = mkdtempSync(join(folder, 'case-'))
  root = join(parent, 'checkout')
  git(parent, 'init', '--quiet', '--initial-branch=main', root)
  writeFileSync(join(root, 'dev'), DEV, { mode: 0o755 })
  writeFileSync(join(root, 'package.json'), '{\n  "name": "kt",\n  "version": "0.1.0"\n}\n')
  const lock =
    '{\n  "version": "0.1.0",\n  "packages": { "": { "version": "0.1.0" }, "a": { "version": "0.1.0" } }\n}\n'
  writeFileSync(join(root, 'package-lock.json'), lock)
  writeFileSync(join(root, 'CHANGELOG.md'), CHANGES)
  writeFileSync(join(root, '.gitignore'), 'out/\n')
  // Whoever would send something would fail here.
  git(root, 'remote', 'add', 'origin', 'https://nowhere.invalid/kt')
  git(root, 'add', '--all')
  git(root, 'commit', '--quiet', '--message', 'Begin')
})

const identity = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' }
const env = { ...process.env, ...identity, GIT_CONFIG_GLOBAL: '/dev/null' }

function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, { cwd, encoding: 'utf8', env }).trim()
}

function release(args: string[], more: Record<string, string> = {}) {
  const script = resolve('scripts/release/main.ts')
  const result = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...env, ...more },
    timeout: 60_000,
  })
  return { status: result.status, said: result.stdout + result.stderr }
}

const state = () => [git(root, 'rev-parse', 'HEAD'), git(root, 'status', '--porcelain'), git(root, 'tag')].join('\n')
const asked = () => readFileSync(join(root, '../asked'), 'utf8').trim().split('\n')

test('it raises the version, tests, packs twice, tags here, and says what would be sent', { skip }, () => {
  const { status, said } = release(['0.2.0'])
  assert.equal(status, 0, said)
  assert.deepEqual(asked(), ['check', 'test', 'test pack', 'pack --strict', 'pack --strict'])
  assert.equal(git(root, 'log', '-1', '--format=%s'), 'Release 0.2.0')
  assert.deepEqual(git(root, 'diff', '--stat', 'HEAD~1', '--name-only').split('\n'), [
    'package-lock.json',
    'package.json',
  ])
  assert.equal(git(root, 'tag', '--list', '--format=%(subject)%(body)'), 'kt 0.2.0- Something new.')
  assert.equal(git(root, 'rev-parse', 'v0.2.0^{commit}'), git(root, 'rev-parse', 'HEAD'))
  assert.equal(git(root, 'status', '--porcelain'), '')
  assert.match(said, /^Nothing was sent\. To send it, in this order:$/m)
  assert.match(said, / MB {2}out\/kt-0\.2\.0\.tgz$/m)
  assert.match(said, /^ {2}git push origin HEAD v0\.2\.0$/m)
  // What takes it back, as it is printed.
  const back = /^To take it back: (.*)$/m.exec(said)![1]
  execFileSync('sh', ['-c', back], { cwd: root, env })
  assert.equal(git(root, 'log', '-1', '--format=%s'), 'Begin')
})

test('the version that is there already is released without another commit', { skip }, () => {
  const { status, said } = release(['0.1.0', '--without-tests'])
  assert.equal(status, 0, said)
  assert.equal(git(root, 'log', '-1', '--format=%s'), 'Begin')
  assert.match(said, /^The tests were not run\.$/m)
  assert.match(release(['0.1.0']).said, /^release: the tag v0\.1\.0 exists\n {9}name another version/m)
})

for (const [name, args, more, words] of [
  ['a check that fails', ['0.2.0'], { BROKEN: 'check' }, /\.\/dev check failed \(exit code 3\)/],
  ['a test that fails', ['0.2.0'], { BROKEN: 'test' }, /\.\/dev test failed/],
  ['two builds that differ', ['0.2.0'], { RANDOM_BYTES: '1' }, /two builds of one commit differ in kt-0\.2\.0\.tgz/],
  ['an earlier version', ['0.0.9'], {}, /0\.0\.9 comes before 0\.1\.0/],
  ['a version without changes', ['0.3.0'], {}, /CHANGELOG\.md says nothing of 0\.3\.0/],
] as const)
  test(`${name}: nothing is left of the release`, { skip }, () => {
    const before = state()
    const { status, said } = release([...args], more)
    assert.equal(status, 1, said)
    assert.match(said, words)
    assert.match(said, /^release: nothing was sent, and the checkout is as it was$/m)
    assert.equal(state(), before)
  })

test('a checkout with changes is not released, and they stay', { skip }, () => {
  writeFileSync(join(root, 'new'), '')
  const { status, said } = release(['0.2.0'])
  assert.equal(status, 1)
  assert.match(said, /the checkout has changes: \?\? new/)
  assert.equal(git(root, 'status', '--porcelain'), '?? new')
})

test('wrong usage is exit code 2', { skip }, () => {
  for (const args of [[], ['0.2.0', '0.3.0'], ['0.2.0', '--send']])
    assert.equal(release(args).status, 2, args.join(' '))
})

test('versions follow each other as numbers, and a candidate comes before its release', () => {
  for (const [wanted, current] of [
    ['0.10.0', '0.9.9'],
    ['1.0.0', '1.0.0-rc.1'],
    ['0.1.0', '0.1.0'],
  ])
    checkVersion(wanted, current)
  for (const [wanted, current] of [
    ['0.9.9', '0.10.0'],
    ['1.0.0-rc.1', '1.0.0'],
    ['v1.0.0', '0.1.0'],
    ['1.0', '0.1.0'],
    ['1.0.0; rm', '0.1.0'],
  ])
    assert.throws(() => checkVersion(wanted, current), { name: 'Error' }, wanted)
})

test('the changes are those of the version alone', () => {
  assert.equal(changesOf('0.2.0', CHANGES), '- Something new.')
  assert.equal(changesOf('0.1.0', CHANGES), 'The first.')
  assert.throws(() => changesOf('0.2', CHANGES))
  assert.throws(() => changesOf('0.2.0', '## 0.2.0\n\n## 0.1.0\nx'), /is empty/)
})

test("the version is changed where it is kt's", () => {
  const lock = '{ "version": "1", "packages": { "": { "version": "1" }, "a": { "version": "1" } } }'
  assert.equal(
    withVersion(lock, '2', true),
    '{ "version": "2", "packages": { "": { "version": "2" }, "a": { "version": "1" } } }',
  )
  assert.equal(withVersion('{ "version": "1", "x": { "version": "1" } }', '2', false).match(/"2"/g)?.length, 1)
})

test('a file that only one build has is a difference', () => {
  const line = (letter: string, name: string) => `${letter.repeat(64)}  ${name}\n`
  assert.deepEqual(differences(line('a', 'x'), line('a', 'x')), [])
  assert.deepEqual(differences(line('a', 'x'), line('a', 'x') + line('b', 'y')), ['y'])
  assert.deepEqual(differences(line('a', 'x'), line('b', 'x')), ['x'])
})
