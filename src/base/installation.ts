// Where the parts of this kt are: in a checkout, in an installed npm package, or inside one executable file (Node's SEA),
// whose parts are assets. Everything is found from kt itself, never from the working directory or the environment, since
// root runs some of it.
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { getRawAsset, isSea } from 'node:sea'
import { fileURLToPath } from 'node:url'
import { makeFolders } from './make-folders.ts'

/** kt's programs, each with its source below src/. */
const programs = {
  helper: 'daemon/helper',
  engine: 'daemon/engine',
  holder: 'daemon/holder',
  list: 'daemon/list',
  check: 'daemon/check',
  probe: 'daemon/probe',
  worker: 'cluster/worker',
  dashboard: 'dashboard/main',
} as const
export type ProgramName = keyof typeof programs

/** The first argument of the single file when it is to run one of the programs: scripts/pack/sea-main.cjs. */
const PROGRAM_ARGUMENT = '--kt-program'

export type NativeName = 'kt_tun.node' | 'kt_gcm.node' | 'kt-launch' | 'kt-shell' | 'kt-ping'

const single = isSea()
const here = dirname(fileURLToPath(import.meta.url))
const fromSource = import.meta.url.endsWith('.ts')
/** The folder with bin/, dist/ and native/. Means nothing in a single file. */
const root = fromSource ? dirname(dirname(here)) : dirname(here)
const checkout = !single && existsSync(join(root, 'native/build.ts'))

/** How this kt came here, in words; for an npm package also whether its files are those of the build. */
export function installedAs(): string {
  if (single) return `single file ${process.execPath}`
  if (checkout) return `checkout in ${root}`
  const { commit, sha256 } = JSON.parse(readFileSync(join(root, 'build.json'), 'utf8')) as {
    commit: string
    sha256: Record<string, string>
  }
  const differs = Object.keys(sha256).filter((path) => digestOf(join(root, path)) !== sha256[path])
  const state =
    differs.length > 0
      ? `not as it was built: ${differs.join(', ')}`
      : `all ${Object.keys(sha256).length} files are those of the build (${commit.slice(0, 12)})`
  return `npm package in ${root}: ${state}`
}

/** The terms of all that is in a packed kt. Undefined in a checkout, where each package has its own. */
export function notices(): string | undefined {
  if (single) return asset('NOTICE').toString()
  const file = join(root, 'NOTICE')
  return checkout || !existsSync(file) ? undefined : readFileSync(file, 'utf8')
}

function digestOf(file: string): string | undefined {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  } catch {
    return undefined
  }
}

/** What to do when a part of kt is missing, as a person is told. */
export const REPAIR = checkout ? 'run ./dev setup again' : 'install kt again'

/** The folder that belongs to kt as a whole; of a single file, the one that it lies in. */
export const ownFolder = single ? dirname(process.execPath) : root

/** What a person starts: `bin/kt`, or the single file. */
export const ownProgram = single ? process.execPath : join(root, 'bin/kt')

/** What follows `process.execPath` to start one of kt's programs. `nodeOptions` are left out in a single file. */
export function programArguments(name: ProgramName, nodeOptions: readonly string[] = []): string[] {
  if (single) return [PROGRAM_ARGUMENT, name]
  const file = fromSource ? join(root, 'src', `${programs[name]}.ts`) : join(here, `${name}.js`)
  if (!existsSync(file)) throw new MissingPartError(file)
  return [...nodeOptions, file]
}

/** A file of the build (dist/), by its path there: `agent.cjs`, `dashboard/page.js`. Throws MissingPartError. */
export function builtFile(path: string): Buffer {
  if (single) return asset(`dist/${path}`)
  const file = join(root, 'dist', path)
  try {
    return readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new MissingPartError(file)
    throw error
  }
}

/** A compiled part for nodes of architecture `arch`, if this kt brings it. */
export function nativeBytes(name: NativeName, arch: string): Buffer | undefined {
  try {
    return single ? asset(nativePath(name, arch)) : readFileSync(join(root, nativePath(name, arch)))
  } catch {
    return undefined
  }
}

/** Loads an addon into this process. Throws Error. */
export function loadAddon<T>(name: NativeName): T {
  return useNative(name, (path) => {
    if (!single) return createRequire(import.meta.url)(path) as T
    const module = { exports: {} as T }
    process.dlopen(module, path)
    return module.exports
  })
}

/** Calls `use` with the path of a compiled part for this machine, which may be gone afterwards. Throws MissingPartError. */
export function useNative<T>(name: NativeName, use: (path: string) => T): T {
  const path = nativePath(name, process.arch)
  if (single) return extracted(name, asset(path), use)
  const file = join(root, path)
  if (!existsSync(file)) throw new MissingPartError(file)
  return use(file)
}

const nativePath = (name: NativeName, arch: string) => `native/build/napi8-${arch}/${name}`

function asset(key: string): Buffer {
  try {
    return Buffer.from(getRawAsset(key))
  } catch {
    throw new MissingPartError(key)
  }
}

/**
 * Writes `bytes` where only this user can change them, and removes them after `use`. A folder may forbid programs
 * (noexec), which shows only when one is used, so several are tried.
 */
function extracted<T>(name: string, bytes: Buffer, use: (path: string) => T): T {
  let failure: unknown
  for (const parent of privatePlaces()) {
    let folder: string | undefined
    try {
      makeFolders(parent, 0o700)
      folder = mkdtempSync(join(parent, 'kt-part-'))
      const file = join(folder, name)
      writeFileSync(file, bytes, { mode: 0o700, flag: 'wx' })
      chmodSync(file, 0o700)
      return use(file)
    } catch (error) {
      failure = error
    } finally {
      if (folder) rmSync(folder, { recursive: true, force: true })
    }
  }
  throw failure
}

/** For root none that another user could exchange: sudo may leave the user's HOME and XDG variables in the environment. */
function privatePlaces(): string[] {
  const { uid, homedir } = userInfo()
  if (uid === 0) return ['/run', join(homedir, '.cache/kt'), '/var/tmp', '/tmp']
  const { XDG_CACHE_HOME: cache, XDG_RUNTIME_DIR: runtime } = process.env
  const own = cache?.startsWith('/') ? cache : join(homedir, '.cache')
  return [join(own, 'kt'), ...(runtime?.startsWith('/') ? [join(runtime, 'kt')] : []), '/tmp']
}

export class MissingPartError extends Error {
  readonly code = 'missing-part'
  readonly hint = REPAIR

  constructor(path: string) {
    super(`the part ${path} of kt is missing`)
    this.name = 'MissingPartError'
  }
}
