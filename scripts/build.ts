// Makes what runs outside development: bundles in dist/, and the addon in native/build. Fast enough to run each time.
// The bundles are made in a folder of their own beside dist/ and moved there when all is done, so that a kt that runs
// meanwhile, or another build, never sees a half.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publish } from './publish.ts'

/** A folder of a build this old was left by one that was killed. */
const LEFT_MS = 3600_000

process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'))

class BuildError extends Error {}

async function make(out: string): Promise<void> {
  const { bundle } = await import('./bundle.ts').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new BuildError(
      `${error.message.split(' imported from')[0]}: the packages are not whole\nrm -rf node_modules, then run ./dev setup again`,
    )
  })
  await bundle(out)
  if (spawnSync(process.execPath, ['native/build.ts'], { stdio: 'inherit' }).status !== 0)
    throw new BuildError('the addon was not built (see above)')
  publish(out, 'dist', Date.now())
}

for (const name of readdirSync('.').filter((name) => /^dist\.\w{6}$/.test(name)))
  if (Date.now() - statSync(name).mtimeMs > LEFT_MS) rmSync(name, { recursive: true, force: true })
let out: string | undefined
try {
  out = mkdtempSync('dist.')
  await make(out)
} catch (error) {
  // esbuild has shown its own errors, where they are in the sources.
  const text = 'errors' in (error as object) ? 'the bundles were not built (see above)' : (error as Error).message
  for (const line of text.split('\n')) console.error(`build: ${line}`)
  process.exitCode = 1
} finally {
  if (out) rmSync(out, { recursive: true, force: true })
}
