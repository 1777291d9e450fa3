// Packages of Debian 12 for the image, held by version and hash (debian.json). They are downloaded by apt-get for either
// architecture, with folders of its own, so that nothing of this machine changes and no root is needed.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { sha256 } from './product.ts'
import { type Architecture, PackError } from './tools.ts'

export interface DebianPackage {
  name: string
  version: string
  /** SPDX expression of what is taken from it. */
  licence: string
  sha256: Record<Architecture, string>
}

export const debianPackages = JSON.parse(
  readFileSync(join(import.meta.dirname, 'debian.json'), 'utf8'),
) as readonly DebianPackage[]

export const debianNames: Record<Architecture, string> = { x64: 'amd64', arm64: 'arm64' }

/** https://github.com/package-url/purl-spec */
export const debianPurl = ({ name, version }: DebianPackage, arch: Architecture): string =>
  `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${debianNames[arch]}`

/** A Debian without apt's lists, or none at all. The other forms can be made there. */
export class NoDebianError extends PackError {}

/** Unpacks all of them for `arch` and returns the folder. Throws NoDebianError, or PackError for other bytes. */
export function debianTree(arch: Architecture): string {
  const folder = resolve('.tools/debian', arch)
  const place = join(folder, 'tree')
  const wanted = JSON.stringify(debianPackages)
  const stamp = join(folder, 'unpacked')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return place
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  const missing = debianPackages.filter((one) => !existsSync(fileOf(one, arch)))
  if (missing.length > 0) download(missing, arch)
  for (const one of debianPackages) {
    const file = fileOf(one, arch)
    if (sha256(readFileSync(file)) !== one.sha256[arch])
      throw new PackError(
        `${one.name} ${one.version} for ${arch} is not the package that scripts/pack/debian.json pins`,
      )
    run('dpkg-deb', ['--extract', file, place])
  }
  writeFileSync(stamp, wanted)
  return place
}

const fileOf = ({ name, sha256 }: DebianPackage, arch: Architecture) =>
  resolve('.tools/debian', arch, `${name}-${sha256[arch].slice(0, 12)}.deb`)

function download(packages: readonly DebianPackage[], arch: Architecture): void {
  console.error(`pack: downloading ${packages.map(({ name }) => name).join(', ')} of Debian for ${arch} into .tools/`)
  const folder = mkdtempSync(resolve('.tools/debian', `${arch}.`))
  try {
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'got'])
      mkdirSync(join(folder, part), { recursive: true })
    writeFileSync(join(folder, 'status'), '')
    const settings = {
      'Dir::State': join(folder, 'state'),
      'Dir::State::status': join(folder, 'status'),
      'Dir::Cache': join(folder, 'cache'),
      'APT::Architecture': debianNames[arch],
      'APT::Architectures': debianNames[arch],
      'Acquire::Languages': 'none',
      'APT::Sandbox::User': '', // the user _apt may not write below the checkout
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    run('apt-get', [...options, '--quiet', '--quiet', 'update'])
    const named = packages.map(({ name, version }) => `${name}=${version}`)
    run('apt-get', [...options, '--quiet', '--quiet', 'download', ...named], join(folder, 'got'))
    const got = readdirSync(join(folder, 'got'))
    for (const one of packages) {
      const file = got.find((name) => name.startsWith(`${one.name}_`))
      if (!file) throw new NoDebianError(`apt-get did not bring ${one.name}`)
      renameSync(join(folder, 'got', file), fileOf(one, arch))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run(program: string, args: readonly string[], cwd?: string): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', cwd, timeout: 300_000 })
  if (error || status !== 0)
    throw new NoDebianError(
      `the image needs the packages of Debian 12 that scripts/pack/debian.json names: ${error?.message ?? `${program}: ${stderr.trim().split('\n').at(-1)}`}`,
    )
}
