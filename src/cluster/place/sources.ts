// ConfigMaps and Secrets as the core sees them: read already, not there, or not to be read. Pure.
import type { V1ConfigMap, V1Secret } from '@kubernetes/client-node'

/** What could not be read, with why. */
export interface Refused {
  refused: string
}

export interface Sources {
  /** Null where there is none of that name. */
  configMaps: ReadonlyMap<string, V1ConfigMap | Refused | null>
  secrets: ReadonlyMap<string, V1Secret | Refused | null>
}

export type SourceKind = 'ConfigMap' | 'Secret'

/** The entries of a source, in the order of their keys; bytes as the cluster holds them. */
export type Entries = Map<string, Buffer>

/**
 * Undefined where it is not there. A ConfigMap's `binaryData` is for files only. Returns a sentence for what cannot be read.
 */
export function entriesOf(
  { configMaps, secrets }: Sources,
  kind: SourceKind,
  name: string,
  binary: boolean,
): Entries | string | undefined {
  const source = kind === 'ConfigMap' ? configMaps.get(name) : secrets.get(name)
  if (!source) return undefined
  if ('refused' in source) return source.refused
  const entries: [string, Buffer][] =
    kind === 'Secret'
      ? Object.entries(source.data ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')])
      : [
          ...Object.entries((source as V1ConfigMap).data ?? {}).map(([key, text]): [string, Buffer] => [
            key,
            Buffer.from(text),
          ]),
          ...(binary ? Object.entries((source as V1ConfigMap).binaryData ?? {}) : []).map(
            ([key, text]): [string, Buffer] => [key, Buffer.from(text, 'base64')],
          ),
        ]
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}
