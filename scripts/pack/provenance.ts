// Where the files of out/ come from: an in-toto statement with SLSA's provenance. It is not signed: who releases kt signs it
// (docs/contribute/release.md). It has no time and no name of a machine, so that it is the same each time, too.
import type { Material } from './materials.ts'

/** https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md */
interface Statement {
  _type: 'https://in-toto.io/Statement/v1'
  subject: { name: string; digest: { sha256: string } }[]
  predicateType: 'https://slsa.dev/provenance/v1'
  predicate: Provenance
}

/** https://slsa.dev/spec/v1.0/provenance */
interface Provenance {
  buildDefinition: {
    buildType: string
    externalParameters: Record<string, unknown>
    internalParameters: Record<string, unknown>
    resolvedDependencies: readonly Material[]
  }
  runDetails: { builder: { id: string } }
}

/** `./dev pack`, as docs/contribute/release.md describes it. */
const BUILD_TYPE = 'urn:kt:build:pack:v1'
/** Somebody's own machine, which nobody vouches for. A service that builds kt gives its URI in KT_BUILDER_ID. */
const ANY_MACHINE = 'urn:kt:builder:any-machine'

export interface Build {
  /** SHA-256 of each file of out/, by name. */
  sums: ReadonlyMap<string, string>
  forms: readonly string[]
  materials: readonly Material[]
  /** Seconds since 1970: the one time that is in the files. */
  time: number
}

export function provenance({ sums, forms, materials, time }: Build): Buffer {
  const [source] = materials
  const statement: Statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, sum]) => ({ name, digest: { sha256: sum } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: {
          source: { uri: source.uri, digest: source.digest },
          command: ['./dev', 'pack', ...forms],
        },
        internalParameters: { SOURCE_DATE_EPOCH: time },
        resolvedDependencies: materials,
      },
      runDetails: { builder: { id: process.env['KT_BUILDER_ID'] || ANY_MACHINE } },
    },
  }
  return Buffer.from(`${JSON.stringify(statement, null, 1)}\n`)
}
