// The plugin of kubectl: the manifest keeps krew's rules, and installed as krew does it, kt runs and names itself as it is
// typed then.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { load } from 'js-yaml'
import { pack } from '../support/packed.ts'

interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string }
  spec: {
    version: string
    homepage: string
    shortDescription: string
    description: string
    platforms: {
      selector: { matchLabels: { os: string; arch: string } }
      uri: string
      sha256: string
      bin: string
      files?: unknown[]
    }[]
  }
}

const home = mkdtempSync(join(tmpdir(), 'kt krew-'))
after(() => rmSync(home, { recursive: true }))

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
let manifest: Manifest
before(() => {
  pack('--if-changed')
  manifest = load(readFileSync('out/cluster-vpn.yaml', 'utf8')) as Manifest
})

test("the manifest keeps krew's rules", () => {
  const { apiVersion, kind, metadata, spec } = manifest
  assert.deepEqual([apiVersion, kind], ['krew.googlecontainertools.github.com/v1alpha2', 'Plugin'])
  // Lower case with dashes, and without what every plugin is.
  assert.match(metadata.name, /^[a-z]+(-[a-z]+)*$/)
  assert.doesNotMatch(metadata.name, /kube|k8s|plugin/)
  assert.equal(spec.version, `v${version}`)
  assert.match(spec.version, /^v\d+\.\d+\.\d+/)
  assert.ok(spec.shortDescription.length <= 50 && /^[A-Z][^\n]*[^.]$/.test(spec.shortDescription))
  assert.ok(spec.description.split('\n').every((line) => line.length <= 80))
  assert.deepEqual(
    spec.platforms.map(({ selector }) => selector.matchLabels),
    [
      { os: 'linux', arch: 'amd64' },
      { os: 'linux', arch: 'arm64' },
    ],
  )
})

test('each archive has the digest of the manifest, and in it what the manifest starts, with the terms', () => {
  for (const { uri, sha256, bin, files } of manifest.spec.platforms) {
    assert.match(uri, new RegExp(`^https://.*/v${version}/[^/]+\\.tar\\.gz$`))
    const archive = join('out', basename(uri))
    assert.equal(createHash('sha256').update(readFileSync(archive)).digest('hex'), sha256)
    assert.equal(files, undefined, 'everything is unpacked')
    const listed = execFileSync('tar', ['-tvzf', archive], { encoding: 'utf8' })
    assert.match(listed, new RegExp(`^-rwxr-xr-x .* ${bin}$`, 'm'))
    for (const name of ['LICENSE', 'NOTICE']) assert.match(listed, new RegExp(` ${name}$`, 'm'))
  }
})

/** krew unpacks into store/NAME/VERSION and links bin/kubectl-NAME, with underscores for dashes. */
function install(root: string): string {
  const { metadata, spec } = manifest
  const arch = process.arch === 'x64' ? 'amd64' : 'arm64'
  const { uri, bin } = spec.platforms.find(({ selector }) => selector.matchLabels.arch === arch)!
  const store = join(root, 'store', metadata.name, spec.version)
  const links = join(root, 'bin')
  mkdirSync(store, { recursive: true })
  if (!existsSync(links)) mkdirSync(links)
  execFileSync('tar', ['-xzf', join('out', basename(uri)), '-C', store])
  symlinkSync(join(store, bin), join(links, `kubectl-${metadata.name.replaceAll('-', '_')}`))
  return links
}

/** As kubectl starts plugins: the program by its path in PATH, in its own place. */
const KUBECTL = `#!/bin/sh
name=$(printf %s "$1" | tr - _)
shift
exec "$(command -v "kubectl-$name")" "$@"
`

test('installed as krew does it, kubectl starts kt, whose hints are commands of kubectl', () => {
  const links = install(join(home, '.krew'))
  const tools = join(home, 'tools')
  mkdirSync(tools)
  writeFileSync(join(tools, 'kubectl'), KUBECTL, { mode: 0o755 })
  const env = { HOME: home, PATH: `${links}:${tools}:/usr/bin:/bin`, NO_COLOR: '1' }
  const kubectl = (...args: string[]) =>
    spawnSync(join(tools, 'kubectl'), ['cluster-vpn', ...args], { env, cwd: '/', encoding: 'utf8' })
  assert.deepEqual(kubectl('--version').stdout, `${version}\n`)
  assert.match(kubectl('check', '--kubeconfig', '/none').stdout, /kubeconfig/)
  assert.match(kubectl('up', '--help').stdout, /^Usage: kubectl cluster-vpn up/)
  const unknown = kubectl('exchange')
  assert.equal(unknown.status, 2)
  assert.match(unknown.stderr, /`kubectl cluster-vpn /)
  // And the hint, typed as it is printed, is a command.
  const hint = /`kubectl (cluster-vpn [^`]*)`/.exec(kubectl('help', 'no-such-thing').stderr)![1]
  assert.equal(kubectl(...hint.split(' ').slice(1)).status, 0, hint)
})
