// What goes along with the files so that they can be judged: a CycloneDX SBOM and checksums.
import type { Product } from './product.ts'
import { ARCHITECTURES, nodeFor } from './tools.ts'

/** A CycloneDX 1.6 bill of materials: the packages in the bundles, and the Node of the single files. */
export function billOfMaterials({ version, commit, time, components }: Product): Buffer {
  const packages = components.map(({ name, version, licence, integrity }) => {
    const [algorithm, digest] = integrity.split('-')
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
    const hashes =
      algorithm === 'sha512' ? [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }] : []
    return { type: 'library', 'bom-ref': purl, name, version, licenses: [{ expression: licence }], purl, hashes }
  })
  const nodes = ARCHITECTURES.map((arch) => {
    const { version } = nodeFor(arch)
    const purl = `pkg:npm/node-linux-${arch}@${version}`
    return { type: 'platform', 'bom-ref': purl, name: `node-linux-${arch}`, version, licenses: [], purl, hashes: [] }
  })
  const bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: { type: 'application', 'bom-ref': `kt@${version}`, name: 'kt', version },
      properties: [{ name: 'kt:commit', value: commit }],
    },
    components: [...packages, ...nodes],
  }
  return Buffer.from(`${JSON.stringify(bom, null, 1)}\n`)
}

/** As `sha256sum -c` reads it. */
export function checksums(files: ReadonlyMap<string, string>): Buffer {
  const lines = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, sum]) => `${sum}  ${name}\n`)
  return Buffer.from(lines.join(''))
}
