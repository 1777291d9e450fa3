// Makes what runs outside development: bundles in dist/, and the addon in native/build. Fast enough to run each time.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
process.chdir(root)

const cjsInterop = "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);"

/** Programs of their own. Shared code goes into chunks; packages with addons stay in node_modules. */
const programs = Object.fromEntries(
  [
    'cli',
    'daemon/helper',
    'daemon/engine',
    'daemon/holder',
    'daemon/list',
    'daemon/check',
    'cluster/worker',
    'dashboard',
  ]
    .map((name) => [name.split('/').at(-1)!, `src/${name}${name === 'cli' || name === 'dashboard' ? '/main' : ''}.ts`])
    .filter(([, path]) => existsSync(path)),
)

rmSync('dist', { recursive: true, force: true })
mkdirSync('dist', { recursive: true })
await build({
  entryPoints: programs,
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  external: ['ssh2', 'cpu-features', '*.node', 'bufferutil', 'utf-8-validate'],
  banner: { js: cjsInterop },
  sourcemap: false,
  minifySyntax: true,
  legalComments: 'none',
  logLevel: 'warning',
})

// The agent is one file, small enough for a Secret, and finds nothing but Node where it runs.
if (existsSync('src/shadow/agent.ts')) {
  await build({
    entryPoints: { agent: 'src/shadow/agent.ts' },
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    external: ['cpu-features', '*.node'],
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
  })
}

// The dashboard's page, with all it needs: it works without a network.
await build({
  entryPoints: { page: 'src/dashboard/page/main.tsx' },
  outdir: 'dist/dashboard',
  bundle: true,
  format: 'iife',
  platform: 'browser',
  target: ['chrome123', 'firefox120', 'safari17.5'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
})
await build({
  entryPoints: ['src/dashboard/page/page.css'],
  outdir: 'dist/dashboard',
  bundle: true,
  minify: true,
  target: ['chrome123', 'firefox120', 'safari17.5'],
  logLevel: 'warning',
})
for (const file of ['index.html', 'icon.svg']) copyFileSync(`src/dashboard/page/${file}`, `dist/dashboard/${file}`)
// The terms of what is in the bundle go along with it.
writeFileSync(
  'dist/dashboard/LICENSES.txt',
  ['preact', 'uplot'].map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8')}`).join('\n'),
)

if (existsSync('native/build.ts')) execFileSync(process.execPath, ['native/build.ts'], { stdio: 'inherit' })
// Beside the agent, with which it goes into the shadow.
const cipher = `native/build/napi8-${process.arch}/kt_gcm.node`
if (existsSync(cipher)) copyFileSync(cipher, 'dist/kt_gcm.node')

const crypto = 'node_modules/ssh2/lib/protocol/crypto/build/Release/sshcrypto.node'
if (!existsSync(crypto)) {
  console.error(
    "build: ssh2's native ciphers were not built: kt works, at about two thirds of its speed\n" +
      'build: install a C++ compiler, make and Python 3, then: rm -rf node_modules && ./dev setup',
  )
} else if (statSync(crypto).size === 0) {
  throw new Error(`${crypto} is empty`)
}
