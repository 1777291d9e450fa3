// Everything that ./dev brings from a registry is held by its hash, so that nobody can put another package in its place.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { integrityDigest } from '../../scripts/pack/materials.ts'
import { pinnedPackages } from '../../scripts/pack/tools.ts'

interface Locked {
  version?: string
  integrity?: string
  /** It comes inside of another package, whose integrity is its own. */
  inBundle?: boolean
  link?: boolean
}

for (const path of ['package-lock.json', 'runtime/x64/package-lock.json', 'runtime/arm64/package-lock.json'])
  test(`${path} has the integrity of each package`, () => {
    const { packages } = JSON.parse(readFileSync(path, 'utf8')) as { packages: Record<string, Locked> }
    const names = Object.keys(packages).filter((name) => name !== '')
    assert.ok(names.length > 1)
    for (const name of names) {
      const { integrity, inBundle, link } = packages[name]
      assert.ok(!link, `${name} is a link`)
      if (inBundle) continue
      assert.match(integrity ?? '', /^sha512-[A-Za-z0-9+/]{86}==$/, name)
    }
  })

test('what comes from PyPI has a version and a hash for each architecture', () => {
  const lines = readFileSync('scripts/pack/requirements.txt', 'utf8')
    .split('\n')
    .filter((line) => /^[^\s#]/.test(line))
  const pinned = pinnedPackages()
  assert.equal(pinned.length, lines.length, 'every line is read')
  for (const { name, sha256 } of pinned) assert.equal(sha256.length, 2, name)
})

test('scripts install from lock files and hashes only', () => {
  const scripts = globSync(['dev', 'bin/*', 'scripts/**/*.{ts,sh,cjs}', 'native/*.ts', '.ci/**'], {
    withFileTypes: true,
  })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`)
  assert.ok(scripts.length > 20)
  const seen = { pip: 0, npm: 0 }
  for (const path of scripts)
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const words = line
        .replace(/(^|\s)(#|\/\/).*/, '')
        .replaceAll(/[',"]/g, ' ')
        .replaceAll(/\s+/g, ' ')
      if (/\bpip3? install\b/.test(words)) {
        seen.pip++
        assert.match(words, /--require-hashes/, `${path}: ${line}`)
        assert.match(words, /--no-deps/, `${path}: ${line}`)
      }
      if (/\bnpm ci\b/.test(words)) seen.npm++
      // `npm install` changes a lock file; the others bring what no lock file has.
      assert.doesNotMatch(
        words,
        /\bnpm (install|i|add|exec) [^-]*[a-z@]|\bnpx [a-z@]|\b(curl|wget)\b.*https?:/,
        `${path}: ${line}`,
      )
    }
  assert.ok(seen.pip >= 1 && seen.npm >= 1, JSON.stringify(seen))
})

test('an integrity is written as a digest in hexadecimal', () => {
  assert.deepEqual(integrityDigest('sha256-AAEC/w=='), { sha256: '000102ff' })
})
