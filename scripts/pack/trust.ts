// What goes along with the files so that they can be judged: a CycloneDX SBOM and checksums.
import { debianPackages, debianPurl } from './debian.ts'
import { integrityDigest, npmPurl } from './materials.ts'
import type { Product } from './product.ts'
import { ARCHITECTURES, nodeFor, pinnedPackages } from './tools.ts'

/** A CycloneDX 1.6 bill of materials: the packages in the bundles, and what the compiled parts and the single files contain. */
export function billOfMaterials({ version, commit, time, components }: Product): Buffer {
  const packages = components.map(({ name, version, licence, integrity }) => {
    const purl = npmPurl(name, version)
    return { type: 'library', 'bom-ref': purl, name, version, ...licences(licence), purl, hashes: hashes(integrity) }
  })
  const nodes = ARCHITECTURES.map((arch) => {
    const { version, integrity } = nodeFor(arch)
    const name = `node-linux-${arch}`
    const purl = npmPurl(name, version)
    // Its LICENSE, in NOTICE, has the terms of V8, OpenSSL, libuv and the others that it contains.
    const ofNode = { licenses: [{ license: { name: 'Node.js LICENSE, in NOTICE' } }] }
    return { type: 'platform', 'bom-ref': purl, name, version, ...ofNode, purl, hashes: hashes(integrity) }
  })
  const zig = pinnedPackages().find(({ name }) => name === 'ziglang')!
  const linked = ['musl', 'zig-runtime'].map((name) => ({
    ...{ type: 'library', 'bom-ref': `${name}@ziglang-${zig.version}`, name, ...licences('MIT') },
    description: `as ziglang ${zig.version} brings it, linked into kt-launch, kt-shell and kt-ping`,
  }))
  const bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: { type: 'application', 'bom-ref': `kt@${version}`, name: 'kt', version },
      properties: [{ name: 'kt:commit', value: commit }],
    },
    components: [...packages, ...linked, ...nodes, ...inImage()],
  }
  return Buffer.from(`${JSON.stringify(bom, null, 1)}\n`)
}

/** What the image has beside kt. */
function inImage(): unknown[] {
  return ARCHITECTURES.flatMap((arch) =>
    debianPackages.map((one) => {
      const purl = debianPurl(one, arch)
      const hashes = [{ alg: 'SHA-256', content: one.sha256[arch] }]
      const { name, version, licence } = one
      return {
        type: 'library',
        'bom-ref': purl,
        name,
        version,
        ...licences(licence),
        purl,
        hashes,
        description: 'in the image',
      }
    }),
  )
}

const licences = (expression: string) => ({ licenses: [{ expression }] })

/** CycloneDX writes the algorithms otherwise than npm. */
const ALGORITHMS: Record<string, string> = { sha1: 'SHA-1', sha256: 'SHA-256', sha512: 'SHA-512' }

function hashes(integrity: string): { alg: string; content: string }[] {
  return Object.entries(integrityDigest(integrity)).map(([name, content]) => ({ alg: ALGORITHMS[name], content }))
}

/** As `sha256sum -c` reads it. */
export function checksums(files: ReadonlyMap<string, string>): Buffer {
  const lines = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, sum]) => `${sum}  ${name}\n`)
  return Buffer.from(lines.join(''))
}
