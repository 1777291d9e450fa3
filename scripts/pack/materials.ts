// What a build is made of and made with, each with the digest by which it was held: the commit, the lock files, the packages in
// the bundles, Node, and the tools. Provenance and the bill of materials tell of the same.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { debianPackages, debianPurl } from './debian.ts'
import { type Product, sha256 } from './product.ts'
import { ARCHITECTURES, nodeFor, pinnedPackages } from './tools.ts'

export interface Material {
  name: string
  /** Package URL, or what says as much: `git:kt`, `file:package-lock.json`. */
  uri: string
  /** Hexadecimal digests by algorithm, as in-toto names them: `sha256`, `sha512`, `gitCommit`. */
  digest: Record<string, string>
  annotations?: Record<string, unknown>
}

/** npm packages that change what is built, and are not in it. */
const TOOLS = ['esbuild', '@esbuild/linux-x64', '@esbuild/linux-arm64', 'postject', 'typescript']

/** `sha512-BASE64` as an in-toto digest. */
export function integrityDigest(integrity: string): Record<string, string> {
  const at = integrity.indexOf('-')
  return { [integrity.slice(0, at)]: Buffer.from(integrity.slice(at + 1), 'base64').toString('hex') }
}

/** https://github.com/package-url/purl-spec */
export const npmPurl = (name: string, version: string): string => `pkg:npm/${name.replace('@', '%40')}@${version}`

/** Throws PackError, or Error where the lock file does not have a package. */
export function materialsOf({ commit, components }: Product): Material[] {
  const changed = execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }).trim() !== ''
  const source: Material = {
    name: 'kt',
    uri: 'git:kt',
    digest: { gitCommit: commit },
    // Then the commit alone does not say what was built.
    ...(changed && { annotations: { changed: 'the work tree had changes that are not in the commit' } }),
  }
  const files = ['package-lock.json', ...ARCHITECTURES.map((arch) => `runtime/${arch}/package-lock.json`)]
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>
  }
  const packages = [
    ...components,
    ...TOOLS.map((name) => ({ name, ...lock.packages[`node_modules/${name}`] })),
    ...ARCHITECTURES.map((arch) => ({ name: `node-linux-${arch}`, ...nodeFor(arch) })),
  ]
  return [
    source,
    ...[...files, 'scripts/pack/requirements.txt'].map((path) => ({
      name: path,
      uri: `file:${path}`,
      digest: { sha256: sha256(readFileSync(path)) },
    })),
    ...packages.map(({ name, version, integrity }) => ({
      name,
      uri: npmPurl(name, version),
      digest: integrityDigest(integrity),
    })),
    ...ARCHITECTURES.flatMap((arch) =>
      debianPackages.map((one) => ({
        name: one.name,
        uri: debianPurl(one, arch),
        digest: { sha256: one.sha256[arch] },
      })),
    ),
    ...pinnedPackages().flatMap(({ name, version, sha256 }) =>
      sha256.map((digest) => ({ name, uri: `pkg:pypi/${name}@${version}`, digest: { sha256: digest } })),
    ),
  ]
}
