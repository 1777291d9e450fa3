// Names of the objects that kt makes for something that has a name of its own. A name is cut and cleaned so that it is a
// DNS label; two different things must not get the same name by that, so each name ends with a hash of all that it stands
// for. Pure.
import { createHash } from 'node:crypto'
import type { InboundKind } from '../inbound-calls.ts'

/** RFC 1123 label. */
const LONGEST = 63
/** Hexadecimal digits: 40 bits. */
const HASH_LENGTH = 10

/** Which requests a mesh is about, as far as its lease is concerned. */
export interface Version {
  header: string
  value: string
  prefix: boolean
}

/** `readable` is for people and may be anything; `meaning` is what makes this name another one. */
function derivedName(readable: string, meaning: readonly string[], suffix = ''): string {
  const hash = createHash('sha256').update(JSON.stringify(meaning)).digest('hex').slice(0, HASH_LENGTH)
  const room = LONGEST - HASH_LENGTH - 1 - suffix.length
  const plain = readable
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, room)
    .replace(/^-+|-+$/g, '')
  return `${plain}${suffix}-${hash}`
}

/** `target` is `web` or `deployment/web`. One lease stands for one target, and of a mesh for one version of it. */
export function leaseName(kind: InboundKind, target: string, version?: Version): string {
  const { header, value, prefix } = version ?? {}
  const more = version ? [header!, value!, prefix ? 'prefix' : 'whole'] : []
  return derivedName(['kt', kind, target, ...(version ? [value!] : [])].join('-'), [kind, target, ...more])
}

/** Of the Service that keeps the selector of `service` for the exchange or mesh `id`. */
export function secondName(service: string, id: string): string {
  return derivedName(service, ['original', service, id], '-kt-original')
}
