// The npm package: one tarball without dependencies and without install scripts.
import { existsSync, readFileSync } from 'node:fs'
import { type Files, gzip, tar } from './archive.ts'
import type { Product } from './product.ts'

/** `kt` is another package of the registry. The command is `kt` all the same. */
export const NPM_NAME = 'kt-cluster-vpn'

export function npmPackage({ version, files, time }: Product): Buffer {
  const all: Files = new Map()
  for (const [path, entry] of files) all.set(`package/${path}`, entry)
  for (const path of ['bin/kt', 'bin/start.mjs', 'README.md'])
    all.set(`package/${path}`, { bytes: readFileSync(path), mode: path === 'bin/kt' ? 0o755 : 0o644 })
  all.set('package/package.json', { bytes: manifest(version), mode: 0o644 })
  return gzip(tar(all, { time }))
}

function manifest(version: string): Buffer {
  const ours = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, unknown>
  const { description, license, type, engines, bin, exports, types } = ours
  // The library's entries are there once the checkout has them.
  const library = exports === undefined || !existsSync('src/index.ts') ? {} : { exports, types }
  const shown = {
    name: NPM_NAME,
    version,
    description,
    license,
    type,
    os: ['linux'],
    cpu: ['x64', 'arm64'],
    engines,
    bin,
    ...library,
  }
  return Buffer.from(`${JSON.stringify(shown, null, 2)}\n`)
}
