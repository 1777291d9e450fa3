// The single file: Node with kt inside (Node's "single executable applications").
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Product } from './product.ts'
import { type Architecture, nodeFor, PackError } from './tools.ts'

/** What Node looks for: https://nodejs.org/api/single-executable-applications.html */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

type Inject = (executable: string, name: string, data: Buffer, options: { sentinelFuse: string }) => Promise<void>

const made = new WeakMap<Product, Map<Architecture, Promise<Buffer>>>()

/** An executable for `arch`: Node, the bundles, and the compiled parts. Made once for a product. */
export function singleFile(product: Product, arch: Architecture): Promise<Buffer> {
  const ofProduct = made.get(product) ?? new Map<Architecture, Promise<Buffer>>()
  made.set(product, ofProduct)
  const bytes = ofProduct.get(arch) ?? makeSingleFile(product, arch)
  ofProduct.set(arch, bytes)
  return bytes
}

async function makeSingleFile({ files }: Product, arch: Architecture): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'kt-single-'))
  try {
    const assets: Record<string, string> = {}
    const add = (key: string, bytes: Buffer) => {
      assets[key] = join(folder, key)
      mkdirSync(dirname(assets[key]), { recursive: true })
      writeFileSync(assets[key], bytes)
    }
    // The ciphers of both architectures go to the agent; the other parts are for this machine.
    for (const [path, { bytes }] of files)
      if (!path.startsWith('native/') || path.includes(`-${arch}/`) || path.endsWith('kt_gcm.node')) add(path, bytes)
    add(
      'bundles.json',
      Buffer.from(JSON.stringify([...files.keys()].filter((path) => /^dist\/[^/]+\.js$/.test(path)).sort())),
    )
    const blob = join(folder, 'sea.blob')
    const config = {
      main: join(import.meta.dirname, 'sea-main.cjs'),
      output: blob,
      disableExperimentalSEAWarning: true,
      useSnapshot: false,
      // It would be bound to the processor that it is made on, and is not the same each time.
      useCodeCache: false,
      execArgv: ['--disable-warning=ExperimentalWarning'],
      assets: Object.fromEntries(Object.entries(assets).sort(([a], [b]) => (a < b ? -1 : 1))),
    }
    writeFileSync(join(folder, 'sea.json'), JSON.stringify(config))
    // With the pinned Node of this machine's architecture: the format is the same for all.
    const node = join(nodeFor(process.arch as Architecture).folder, 'bin/node')
    const { status, stderr } = spawnSync(node, ['--experimental-sea-config', join(folder, 'sea.json')], {
      encoding: 'utf8',
    })
    if (status !== 0) throw new PackError(`node --experimental-sea-config: ${stderr}`)
    const executable = join(folder, 'kt')
    writeFileSync(executable, readFileSync(join(nodeFor(arch).folder, 'bin/node')), { mode: 0o755 })
    const { inject } = createRequire(import.meta.url)('postject') as { inject: Inject }
    await inject(executable, 'NODE_SEA_BLOB', readFileSync(blob), { sentinelFuse: FUSE })
    return readFileSync(executable)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
