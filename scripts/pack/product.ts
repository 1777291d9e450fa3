// What every form of kt is made of: the bundles, the compiled parts, and what says where they come from.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bundle } from '../bundle.ts'
import type { Files } from './archive.ts'
import { type Component, componentsOf, notice, type Part } from './components.ts'
import { compileAll } from './native.ts'
import { type Architecture, linkedTerms, nodeFor } from './tools.ts'

export interface Product {
  version: string
  /** The commit that it is made of. */
  commit: string
  /** Seconds since 1970: the commit's, or SOURCE_DATE_EPOCH. The only time that is in any file. */
  time: number
  /** By their path below the package's root: `dist/…`, `native/build/…`, `LICENSE`, `NOTICE`. */
  files: Files
  /** The packages in the bundles. */
  components: readonly Component[]
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Builds it. The current folder is the checkout. */
export async function makeProduct(): Promise<Product> {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  const commit = git('rev-parse', 'HEAD')
  const time = Number(process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct'))
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  const files: Files = compileAll()
  const folder = mkdtempSync('dist.')
  try {
    const components = componentsOf(await bundle(folder))
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      files.set(`dist/${path.slice(folder.length + 1)}`, { bytes: readFileSync(path), mode: 0o644 })
    }
    files.set('LICENSE', { bytes: readFileSync('LICENSE'), mode: 0o644 })
    files.set('NOTICE', { bytes: Buffer.from(notice(components, linkedParts())), mode: 0o644 })
    files.set('build.json', { bytes: buildRecord(manifest.version, commit, time, files), mode: 0o644 })
    return { version: manifest.version, commit, time, files, components }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `kt version --verbose` reads it: src/cli/commands/version.ts. */
function buildRecord(version: string, commit: string, time: number, files: Files): Buffer {
  const sums = [...files].map(([path, { bytes }]) => [path, sha256(bytes)] as const)
  const record = { version, commit, time, sha256: Object.fromEntries(sums.sort(([a], [b]) => (a < b ? -1 : 1))) }
  return Buffer.from(`${JSON.stringify(record, null, 1)}\n`)
}

/** What is linked into the compiled programs, and the Node of the single files, with all that Node contains. */
function linkedParts(): Part[] {
  const { musl, zig } = linkedTerms()
  const { folder } = nodeFor(process.arch as Architecture)
  return [
    { title: 'musl, linked into kt-launch, kt-shell and kt-ping (MIT)', terms: musl },
    { title: "zig's run-time library, linked into the same (MIT)", terms: zig },
    {
      title: 'Node.js, in the single files and what is made of them, with V8, OpenSSL, libuv, ICU and others',
      terms: readFileSync(join(folder, 'LICENSE'), 'utf8').trim(),
    },
  ]
}
