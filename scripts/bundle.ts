// The bundles that run outside development: kt's programs, the agent for the pod, the dashboard's page.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { declarations } from './declarations.ts'

const cjsInterop = "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);"

/**
 * Optional parts of packages that need a compiler where they are installed. kt has a compiled cipher of its own
 * (native/gcm.c), and the packages do without.
 */
const optionalParts: Plugin = {
  name: 'optional-parts',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^cpu-features$|[/]sshcrypto[.]node$/ }, ({ path }) => ({ path, namespace: 'left-out' }))
    onLoad({ filter: /./, namespace: 'left-out' }, ({ path }) => ({
      contents: `throw new Error(${JSON.stringify(`${path} is not part of kt`)})`,
      loader: 'js',
    }))
  },
}

/** Programs of their own. Shared code goes into chunks. */
const programs = Object.fromEntries(
  [
    'cli',
    'index',
    'daemon/helper',
    'daemon/engine',
    'daemon/holder',
    'daemon/list',
    'daemon/check',
    'daemon/probe',
    'cluster/worker',
    'dashboard',
  ]
    .map((name) => [name.split('/').at(-1)!, `src/${name}${name === 'cli' || name === 'dashboard' ? '/main' : ''}.ts`])
    .filter(([, path]) => existsSync(path)),
)

/** Writes all bundles into the folder `out`, and returns the names of the packages in them. The current folder is the checkout. */
export async function bundle(out: string): Promise<string[]> {
  const programsBuilt = await build({
    metafile: true,
    entryPoints: programs,
    outdir: out,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external: ['bufferutil', 'utf-8-validate'],
    // ssh2 names a program for Windows with it.
    define: { __dirname: '""' },
    plugins: [optionalParts],
    banner: { js: cjsInterop },
    sourcemap: false,
    minifySyntax: true,
    legalComments: 'none',
    logLevel: 'warning',
  })

  writeFileSync(join(out, 'index.d.ts'), declarations())

  // The agent is one file, small enough for a Secret, and finds nothing but Node where it runs.
  if (existsSync('src/shadow/agent.ts')) {
    await build({
      entryPoints: { agent: 'src/shadow/agent.ts' },
      outdir: out,
      outExtension: { '.js': '.cjs' },
      bundle: true,
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      plugins: [optionalParts],
      minify: true,
      legalComments: 'none',
      logLevel: 'warning',
    })
  }

  // The dashboard's page, with all it needs: it works without a network.
  await build({
    entryPoints: { page: 'src/dashboard/page/main.tsx' },
    outdir: join(out, 'dashboard'),
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
    outdir: join(out, 'dashboard'),
    bundle: true,
    minify: true,
    target: ['chrome123', 'firefox120', 'safari17.5'],
    logLevel: 'warning',
  })
  for (const file of ['index.html', 'icon.svg'])
    copyFileSync(`src/dashboard/page/${file}`, join(out, 'dashboard', file))
  // The terms of what is in the bundle go along with it.
  writeFileSync(
    join(out, 'dashboard/LICENSES.txt'),
    PAGE_PACKAGES.map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, 'utf8')}`).join('\n'),
  )
  // What is in the agent is in the programs, too.
  return [...new Set([...packagesOf(Object.keys(programsBuilt.metafile.inputs)), ...PAGE_PACKAGES])].sort()
}

const PAGE_PACKAGES = ['preact', 'uplot']

/** `@scope/name` or `name` of each path in node_modules. */
function packagesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [])
}
