// Makes every form in which kt is installed, into out/: `./dev pack [FORM...]`, all by default. The same commit makes the same
// bytes, wherever and whenever it is packed. With --if-changed, out/ stays as it is when it was made of the same sources; with
// --strict, a form that this machine cannot make is an error.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NoDebianError } from './debian.ts'
import { ociImage } from './image.ts'
import { inputsOf, isMade, recordMade } from './inputs.ts'
import { krewPlugin } from './krew.ts'
import { linuxPackage, PACKAGERS } from './linux-packages.ts'
import { materialsOf } from './materials.ts'
import { npmPackage } from './npm.ts'
import { makeProduct, type Product, sha256 } from './product.ts'
import { provenance } from './provenance.ts'
import { singleFile } from './single.ts'
import { ARCHITECTURES, PackError } from './tools.ts'
import { billOfMaterials, checksums } from './trust.ts'

/** Each makes files of out/, by name. */
const forms: Record<string, (product: Product) => Promise<Map<string, Buffer>> | Map<string, Buffer>> = {
  npm: (product) => new Map([[`kt-${product.version}.tgz`, npmPackage(product)]]),
  single: async (product) => {
    const made = new Map<string, Buffer>()
    for (const arch of ARCHITECTURES) made.set(`kt-linux-${arch}`, await singleFile(product, arch))
    return made
  },
  krew: krewPlugin,
  image: ociImage,
  ...Object.fromEntries(
    PACKAGERS.map((packager) => [
      packager,
      async (product: Product) => {
        const made = new Map<string, Buffer>()
        for (const arch of ARCHITECTURES)
          made.set(...linuxPackage(product, packager, arch, await singleFile(product, arch)))
        return made
      },
    ]),
  ),
}

const sums = new Map<string, string>()
const words = process.argv.slice(2)
const wanted = words.filter((word) => !['--if-changed', '--strict'].includes(word))
const unknown = wanted.find((name) => !(name in forms))
if (unknown) fail(`there is no form ${unknown}; there are ${Object.keys(forms).join(', ')}`, 2)

const made = wanted.length > 0 ? wanted : Object.keys(forms)
const inputs = inputsOf()
if (words.includes('--if-changed') && isMade(inputs, made)) {
  console.log('out/ is up to date')
  process.exit(0)
}

try {
  const product = await makeProduct()
  rmSync('out', { recursive: true, force: true })
  mkdirSync('out')
  for (const [name, make] of Object.entries(forms)) {
    if (!made.includes(name)) continue
    try {
      for (const [file, bytes] of await make(product)) write(file, bytes)
    } catch (error) {
      // Who did not ask for it gets the others.
      if (!(error instanceof NoDebianError) || wanted.includes(name) || words.includes('--strict')) throw error
      console.error(`pack: left out: ${name}: ${error.message}`)
    }
  }
  write(`kt-${product.version}.cdx.json`, billOfMaterials(product))
  write('NOTICE', product.files.get('NOTICE')!.bytes)
  write(
    `kt-${product.version}.provenance.json`,
    provenance({ sums, forms: made, materials: materialsOf(product), time: product.time }),
  )
  write('SHA256SUMS', checksums(sums))
  recordMade(inputs, made)
} catch (error) {
  if (!(error instanceof PackError)) throw error
  fail(error.message, 1)
}

function write(file: string, bytes: Buffer): void {
  const target = join('out', file)
  sums.set(file, sha256(bytes))
  writeFileSync(`${target}.part`, bytes, { mode: file.startsWith('kt-linux-') ? 0o755 : 0o644 })
  renameSync(`${target}.part`, target)
  console.log(`${target}  ${(bytes.length / 1e6).toFixed(bytes.length < 1e7 ? 2 : 0)} MB`)
}

function fail(message: string, code: number): never {
  console.error(`pack: ${message}`)
  process.exit(code)
}
