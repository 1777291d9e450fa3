// Where the compiled parts (native/build.ts) are, both when run from src/ and when bundled into dist/: found from the
// package's own root, never from the working directory or the environment, since root loads them.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the package.json above this module. */
export function findPackageRoot(from: string = dirname(fileURLToPath(import.meta.url))): string {
  for (let dir = from; ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'package.json'))) return dir
    if (dirname(dir) === dir) throw new Error(`no package.json above ${from}`)
  }
}

/** Path of a compiled file for this machine. Throws NativeMissingError if it was not built. */
export function nativeFile(name: 'kt_tun.node' | 'kt-launch'): string {
  const path = join(findPackageRoot(), 'native', 'build', `napi8-${process.arch}`, name)
  if (!existsSync(path)) throw new NativeMissingError(path)
  return path
}

class NativeMissingError extends Error {
  readonly code = 'native-missing'
  readonly hint = 'run ./dev setup in the checkout (it needs a C compiler)'

  constructor(path: string) {
    super(`the compiled part ${path} is missing`)
    this.name = 'NativeMissingError'
  }
}
