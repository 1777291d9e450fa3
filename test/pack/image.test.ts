// The image for pipelines: the layout holds together by its digests, and kt runs from its layers, as its user, with a shell.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { debianPackages } from '../../scripts/pack/debian.ts'
import { pack } from '../support/packed.ts'
import { missing } from '../support/programs.ts'

interface Descriptor {
  mediaType: string
  digest: string
  size: number
  platform?: { architecture: string; os: string }
  annotations?: Record<string, string>
}
interface Config {
  architecture: string
  config: { User: string; Labels: Record<string, string>; Entrypoint: string[] }
  rootfs: { diff_ids: string[] }
}

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const archive = `out/kt-${version}-oci.tar`
const skip = missing('dpkg-deb')

const folder = mkdtempSync(join(tmpdir(), 'kt-image-'))
after(() => rmSync(folder, { recursive: true, force: true }))
before(() => {
  if (skip) return
  pack('--if-changed')
  execFileSync('tar', ['-xf', archive, '-C', folder])
})

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A blob, after a look at its digest and size. */
function blob({ digest, size }: Descriptor): Buffer {
  const bytes = readFileSync(join(folder, 'blobs', digest.replace(':', '/')))
  assert.deepEqual([digestOf(bytes), bytes.length], [digest, size])
  return bytes
}
const json = <T>(descriptor: Descriptor) => JSON.parse(blob(descriptor).toString()) as T

/** The image of each architecture, by Go's name for it. */
function images(): Map<string, { config: Config; layers: Descriptor[] }> {
  const top = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as { manifests: Descriptor[] }
  assert.equal(top.manifests.length, 1)
  assert.equal(top.manifests[0].annotations?.['org.opencontainers.image.ref.name'], version)
  const { manifests } = json<{ manifests: Descriptor[] }>(top.manifests[0])
  return new Map(
    manifests.map((manifest) => {
      const { config, layers } = json<{ config: Descriptor; layers: Descriptor[] }>(manifest)
      return [manifest.platform!.architecture, { config: json<Config>(config), layers }]
    }),
  )
}

test('the layout is one image for two architectures, and every blob is what its digest says', { skip }, () => {
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'oci-layout'), 'utf8')), { imageLayoutVersion: '1.0.0' })
  const all = images()
  assert.deepEqual([...all.keys()], ['amd64', 'arm64'])
  for (const [architecture, { config, layers }] of all) {
    assert.equal(config.architecture, architecture)
    assert.deepEqual(
      layers.map((layer) => digestOf(gunzipSync(blob(layer)))),
      config.rootfs.diff_ids,
    )
    assert.equal(config.config.User, '65532:65532')
    const { Labels } = config.config
    assert.equal(Labels['org.opencontainers.image.version'], version)
    assert.match(Labels['org.opencontainers.image.revision'], /^[0-9a-f]{40}$/)
  }
  // And nothing else is in it.
  assert.equal(readdirSync(join(folder, 'blobs/sha256')).length, 1 + 2 * (1 + 1 + 2))
})

test('the bill of materials and the provenance have the packages of Debian that are in it', { skip }, () => {
  const bom = readFileSync(`out/kt-${version}.cdx.json`, 'utf8')
  const statement = readFileSync(`out/kt-${version}.provenance.json`, 'utf8')
  for (const { name, sha256 } of debianPackages)
    for (const digest of Object.values(sha256)) {
      assert.ok(bom.includes(digest), name)
      assert.ok(statement.includes(digest), name)
    }
})

const cannotRun = skip || (process.getuid?.() !== 0 && 'chroot needs root') || missing('chroot')

test('kt runs from the layers as the user of the image, and so does a script', { skip: cannotRun }, () => {
  const root = join(folder, 'root')
  mkdirSync(root)
  const { layers } = images().get(process.arch === 'x64' ? 'amd64' : 'arm64')!
  for (const layer of layers)
    execFileSync('tar', ['-xzf', join(folder, 'blobs', layer.digest.replace(':', '/')), '--numeric-owner', '-C', root])
  const inside = (userspec: string, ...command: string[]) =>
    spawnSync('chroot', [`--userspec=${userspec}`, root, ...command], {
      encoding: 'utf8',
      env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin', HOME: '/home/kt' },
    })
  const run = inside('65532:65532', '/usr/local/bin/kt', '--version')
  assert.deepEqual([run.status, run.stdout], [0, `${version}\n`], run.stderr)
  const script = inside(
    '65532:65532',
    'sh',
    '-c',
    'set -e; id -un; touch ~/x /tmp/y; kt version | head -n 1; wget --help 2>&1 | head -n 1',
  )
  assert.match(script.stdout, new RegExp(`^kt\nkt +${version} .*\nBusyBox`), script.stderr)
  // Some clusters run a pod under a number that no file knows.
  assert.equal(inside('1000710000:0', 'kt', '--version').stdout, `${version}\n`)
  // The terms of what Debian brings are there.
  for (const { name } of debianPackages) assert.ok(existsSync(join(root, `usr/share/doc/${name}/copyright`)), name)
})
