// What `./dev pack` makes: the same bytes twice, nothing of this machine, parts that load with any C library, and a kt that
// runs from each form.
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { inputsOf, isMade } from '../../scripts/pack/inputs.ts'
import { generateSshKeyPair } from '../../src/cluster/ssh-key.ts'
import { pack } from '../support/packed.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-packed-'))
const tree = join(folder, 'package')
after(() => rmSync(folder, { recursive: true }))

const version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version
const tarball = `out/kt-${version}.tgz`

before(() => {
  pack('--if-changed')
  execFileSync('tar', ['-xzf', tarball, '-C', folder])
})

test('two builds have the same bytes', () => {
  const first = readFileSync('out/SHA256SUMS', 'utf8')
  execFileSync('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: 'out' })
  pack()
  assert.equal(readFileSync('out/SHA256SUMS', 'utf8'), first)
  assert.match(first, /kt-linux-arm64\n.*kt-linux-x64/)
})

test('with --if-changed, out/ is left as it is, unless a source or a file of it changed', () => {
  assert.equal(pack('--if-changed'), 'out/ is up to date\n')
  const inputs = inputsOf()
  assert.ok(isMade(inputs, ['npm', 'single']))
  assert.ok(!isMade(inputs, ['npm', 'another']))
  const source = 'test/pack/new-source.txt'
  writeFileSync(source, '')
  try {
    assert.notEqual(inputsOf(), inputs)
  } finally {
    rmSync(source)
  }
  const bytes = readFileSync(tarball)
  appendFileSync(tarball, '.')
  assert.ok(!isMade(inputs, ['npm']))
  writeFileSync(tarball, bytes)
})

test('the npm package is below 3 MB and has no dependencies and no scripts', () => {
  assert.ok(statSync(tarball).size < 3e6)
  const manifest = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as Record<string, unknown>
  for (const key of ['dependencies', 'devDependencies', 'optionalDependencies', 'scripts', 'private'])
    assert.equal(manifest[key], undefined)
  assert.deepEqual(manifest['bin'], { kt: 'bin/kt' })
  assert.match(readFileSync(join(tree, 'NOTICE'), 'utf8'), /\nssh2 1\.17\.0 \(MIT\)\n/)
})

test('no file names a place of this machine', () => {
  const places = [process.cwd(), tmpdir() === '/tmp' ? '/tmp/kt-pack-' : tmpdir(), hostname()].filter(
    (name) => name.length > 4,
  )
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const text = readFileSync(join(entry.parentPath, entry.name), 'latin1')
    for (const place of places) assert.ok(!text.includes(place), `${entry.name} has ${place}`)
  }
})

for (const arch of ['x64', 'arm64'])
  test(`the compiled parts for ${arch} name no C library and no version of one`, () => {
    const parts = join(tree, 'native/build', `napi8-${arch}`)
    const names = readdirSync(parts)
    assert.ok(names.includes('kt_tun.node') && names.includes('kt_gcm.node') && names.includes('kt-launch'))
    for (const name of names) {
      const shown = execFileSync(
        'readelf',
        ['--wide', '--file-header', '--program-headers', '--dynamic', '--version-info', join(parts, name)],
        {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      )
      assert.match(shown, arch === 'x64' ? /X86-64/ : /AArch64/)
      assert.doesNotMatch(shown, /\(NEEDED\)|GLIBC_|INTERP/, name)
    }
  })

test('kt runs from the unpacked tarball, wherever that is', () => {
  const elsewhere = join(folder, 'else where')
  cpSync(tree, elsewhere, { recursive: true })
  const env = { HOME: folder, PATH: `${join(process.execPath, '..')}:/usr/bin:/bin` }
  assert.equal(execFileSync(join(elsewhere, 'bin/kt'), ['--version'], { encoding: 'utf8', env }), `${version}\n`)
  const { stdout } = spawnSync(join(elsewhere, 'bin/kt'), ['check', '--json', '--kubeconfig', '/none'], {
    encoding: 'utf8',
    env,
  })
  const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string }[] }
  for (const name of ['addon', 'ciphers']) assert.equal(checks.find((check) => check.name === name)?.state, 'ok', name)
})

test('where no compiled cipher loads, kt check and the agent say what speed is lost', async () => {
  const without = join(folder, 'without')
  cpSync(tree, without, { recursive: true })
  for (const arch of ['x64', 'arm64']) rmSync(join(without, `native/build/napi8-${arch}/kt_gcm.node`))
  const env = { HOME: folder, PATH: `${join(process.execPath, '..')}:/usr/bin:/bin` }
  const lost = /cannot be loaded \(.*\): kt encrypts with node:crypto, for two to three times the CPU time/
  const said = spawnSync(join(without, 'bin/kt'), ['check', '--json', '--kubeconfig', '/none'], {
    encoding: 'utf8',
    env,
  })
  const { checks } = JSON.parse(said.stdout) as { checks: { name: string; state: string; result: string }[] }
  const line = checks.find(({ name }) => name === 'ciphers')
  assert.equal(line?.state, 'warning')
  assert.match(line.result, lost)
  writeFileSync(join(without, 'host_key'), generateSshKeyPair('host').privateKey)
  const agent = spawn(process.execPath, [join(without, 'dist/agent.cjs')], {
    env: { KT_AGENT_DIR: without, KT_AGENT_PORT: '0', KT_AGENT_ANY_KEY: '1' },
    timeout: 30_000,
  })
  let log = ''
  for await (const chunk of agent.stdout) {
    log += chunk
    if (lost.test(log)) agent.kill('SIGKILL')
  }
  assert.match(log, lost)
})

test('kt version --verbose says how kt came here, and sees a file that was changed', () => {
  const changed = join(folder, 'changed')
  cpSync(tree, changed, { recursive: true })
  const env = { HOME: folder, PATH: `${join(process.execPath, '..')}:/usr/bin:/bin` }
  const say = () => execFileSync(join(changed, 'bin/kt'), ['version', '--verbose'], { encoding: 'utf8', env })
  assert.match(say(), /^installed +npm package in .*changed: all \d+ files are those of the build \([0-9a-f]{12}\)$/m)
  appendFileSync(join(changed, 'dist/agent.cjs'), '//')
  assert.match(say(), /^installed +npm package in .*changed: not as it was built: dist\/agent\.cjs$/m)
})

test('the single file runs without Node, loads its parts, and leaves nothing behind', () => {
  const home = mkdtempSync(join(folder, 'home-'))
  const env = { HOME: home, XDG_CACHE_HOME: join(home, 'cache'), PATH: '/usr/bin:/bin' }
  const program = join(process.cwd(), `out/kt-linux-${process.arch}`)
  for (const asked of ['--version', '-V'])
    assert.equal(execFileSync(program, [asked], { encoding: 'utf8', env, cwd: '/' }), `${version}\n`)
  const { stdout } = spawnSync(program, ['check', '--json', '--kubeconfig', '/none'], {
    encoding: 'utf8',
    env,
    cwd: '/',
  })
  const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string }[] }
  for (const name of ['addon', 'ciphers']) assert.equal(checks.find((check) => check.name === name)?.state, 'ok', name)
  assert.deepEqual(
    readdirSync(home, { recursive: true }).filter((path) => /part/.test(String(path))),
    [],
  )
})

test('the bill of materials has each package of the bundles with its licence', () => {
  const bom = JSON.parse(readFileSync(`out/kt-${version}.cdx.json`, 'utf8')) as {
    components: { purl?: string; type: string; name: string; licenses: { expression: string }[]; hashes: unknown[] }[]
  }
  const libraries = bom.components.filter(({ type, purl }) => type === 'library' && purl?.startsWith('pkg:npm/'))
  for (const name of ['ssh2', 'zod', '@kubernetes/client-node', 'preact'])
    assert.ok(
      libraries.some((one) => one.name === name),
      name,
    )
  for (const { name, licenses, hashes } of libraries) assert.ok(licenses[0].expression && hashes.length === 1, name)
})
