// What goes along with the files of out/ so that they can be judged: provenance, bill of materials, and the terms of all that
// is inside.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { before, test } from 'node:test'
import type { Material } from '../../scripts/pack/materials.ts'
import { provenance } from '../../scripts/pack/provenance.ts'
import { pack } from '../support/packed.ts'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')

before(() => void pack('--if-changed'))

interface Statement {
  _type: string
  predicateType: string
  subject: { name: string; digest: { sha256: string } }[]
  predicate: {
    buildDefinition: {
      buildType: string
      externalParameters: { source: { digest: { gitCommit: string } }; command: string[] }
      resolvedDependencies: Material[]
    }
    runDetails: { builder: { id: string } }
  }
}
const statement = () => JSON.parse(readFileSync(`out/kt-${version}.provenance.json`, 'utf8')) as Statement

test('the provenance is an in-toto statement about every file of out/, by its digest', () => {
  const { _type, predicateType, subject, predicate } = statement()
  assert.equal(_type, 'https://in-toto.io/Statement/v1')
  assert.equal(predicateType, 'https://slsa.dev/provenance/v1')
  const files = readdirSync('out').filter((name) => !/^(\..*|SHA256SUMS|.*\.provenance\.json)$/.test(name))
  assert.deepEqual(
    subject.map(({ name, digest }) => [name, digest.sha256]),
    files.sort().map((name) => [name, sha256(`out/${name}`)]),
  )
  // URIs, as SLSA wants them.
  for (const uri of [predicate.buildDefinition.buildType, predicate.runDetails.builder.id])
    assert.ok(URL.canParse(uri), uri)
  assert.match(readFileSync('out/SHA256SUMS', 'utf8'), /\.provenance\.json$/m)
})

test('the provenance names the commit, the lock files, Node and zig, each with a digest of the right length', () => {
  const { buildDefinition } = statement().predicate
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim()
  assert.equal(buildDefinition.externalParameters.source.digest.gitCommit, commit)
  const materials = buildDefinition.resolvedDependencies
  const lengths: Record<string, number> = { gitCommit: 40, sha256: 64, sha512: 128 }
  for (const { uri, digest } of materials) {
    assert.ok(Object.keys(digest).length > 0, uri)
    for (const [algorithm, value] of Object.entries(digest))
      assert.match(value, new RegExp(`^[0-9a-f]{${lengths[algorithm]}}$`), `${uri} ${algorithm}`)
  }
  const of = (uri: RegExp) => materials.filter((one) => uri.test(one.uri))
  assert.equal(of(/^file:package-lock\.json$/)[0].digest['sha256'], sha256('package-lock.json'))
  for (const arch of ['x64', 'arm64']) {
    const { packages } = JSON.parse(readFileSync(`runtime/${arch}/package-lock.json`, 'utf8')) as {
      packages: Record<string, { integrity: string }>
    }
    const hex = Buffer.from(packages[`node_modules/node-linux-${arch}`].integrity.slice(7), 'base64').toString('hex')
    assert.equal(of(new RegExp(`^pkg:npm/node-linux-${arch}@`))[0].digest['sha512'], hex)
  }
  assert.equal(of(/^pkg:pypi\/ziglang@/).length, 2)
  assert.equal(of(/^pkg:npm\/ssh2@/).length, 1)
})

test('the one who builds is whom KT_BUILDER_ID says, or any machine', () => {
  const builder = () => {
    const materials = [{ name: 'kt', uri: 'git:kt', digest: { gitCommit: '0' } }]
    const bytes = provenance({ sums: new Map(), forms: ['npm'], materials, time: 0 })
    return (JSON.parse(bytes.toString()) as Statement).predicate.runDetails.builder.id
  }
  const before = process.env['KT_BUILDER_ID']
  try {
    delete process.env['KT_BUILDER_ID']
    assert.equal(builder(), 'urn:kt:builder:any-machine')
    process.env['KT_BUILDER_ID'] = 'https://ci.example/kt'
    assert.equal(builder(), 'https://ci.example/kt')
  } finally {
    if (before === undefined) delete process.env['KT_BUILDER_ID']
    else process.env['KT_BUILDER_ID'] = before
  }
})

test("NOTICE has the terms of Node and of all that Node contains, and of what is linked into kt's programs", () => {
  const text = readFileSync('out/NOTICE', 'utf8')
  for (const name of ['V8', 'OpenSSL', 'libuv', 'ICU', 'zlib', 'nghttp2'])
    assert.match(text, new RegExp(`^- ${name}, located at .*, is licensed as follows`, 'm'))
  assert.match(text, /Copyright © 2005-2020 Rich Felker/)
  assert.match(text, /Copyright \(c\) Zig contributors/)
  assert.match(text, /^ssh2 1\.17\.0 \(MIT\)$/m)
})

test('the single file has these terms with it', () => {
  const program = `out/kt-linux-${process.arch}`
  const shown = execFileSync(program, ['version', '--licences'], {
    encoding: 'utf8',
    env: { HOME: '/', PATH: '/usr/bin' },
  })
  assert.equal(shown, readFileSync('out/NOTICE', 'utf8'))
})

test('the bill of materials has Node with its hash, and what is linked', () => {
  const { components } = JSON.parse(readFileSync(`out/kt-${version}.cdx.json`, 'utf8')) as {
    components: { name: string; type: string; licenses: unknown[]; hashes?: { alg: string; content: string }[] }[]
  }
  for (const arch of ['x64', 'arm64']) {
    const node = components.find(({ name }) => name === `node-linux-${arch}`)
    assert.ok(node)
    assert.deepEqual([node.type, node.licenses.length, node.hashes?.[0].alg], ['platform', 1, 'SHA-512'])
    assert.match(node.hashes![0].content, /^[0-9a-f]{128}$/)
  }
  assert.ok(components.some(({ name }) => name === 'musl'))
})
