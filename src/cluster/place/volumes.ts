// What a container's volumes hold, computed as the kubelet does it: files with their modes, and where they are mounted. Volumes that only
// the node has are named, to be copied. Pure.
import type {
  V1Container,
  V1DownwardAPIVolumeFile,
  V1KeyToPath,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node'
import type { Missing, PlacedFile, PlacedMount } from '../place-calls.ts'
import { expand } from './expand.ts'
import { type FieldFacts, podField, resourceField, Unknown } from './fields.ts'
import { entriesOf, type SourceKind, type Sources } from './sources.ts'

export interface VolumeFacts extends FieldFacts {
  container: V1Container
  sources: Sources
  /** The environment, for subPathExpr. */
  variables: ReadonlyMap<string, string>
  /** By `audience/seconds`; a sentence where there is none. Undefined: they were not asked for. */
  tokens: ReadonlyMap<string, { token: string } | Refused> | undefined
}

interface Refused {
  refused: string
}

export interface TokenWish {
  audience: string | undefined
  seconds: number
}

const DEFAULT_MODE = 0o644
// Kubernetes API, ServiceAccountTokenProjection: the default of expirationSeconds.
const TOKEN_S = 3600

export function tokenKey({ audience = '', seconds }: TokenWish): string {
  return `${audience}/${seconds}`
}

/** The volumes that the container mounts. */
export function mountedVolumes({ spec }: FieldFacts['pod'], { volumeMounts = [] }: V1Container): V1Volume[] {
  return (spec?.volumes ?? []).filter(({ name }) => volumeMounts.some((mount) => mount.name === name))
}

/** Which tokens are needed. */
export function tokensOf(volumes: V1Volume[]): TokenWish[] {
  return volumes
    .flatMap(({ projected }) => projected?.sources ?? [])
    .flatMap(({ serviceAccountToken: token }) =>
      token ? { audience: token.audience, seconds: token.expirationSeconds ?? TOKEN_S } : [],
    )
}

/** Parents come before what is mounted inside of them. */
export function mountsOf(facts: VolumeFacts): { mounts: PlacedMount[]; missing: Missing[] } {
  const missing: Missing[] = []
  const volumes = new Map(mountedVolumes(facts.pod, facts.container).map((volume) => [volume.name, volume]))
  const mounts = (facts.container.volumeMounts ?? []).flatMap((mount): PlacedMount[] => {
    const volume = volumes.get(mount.name)
    const path = absolutePath(mount.mountPath)
    if (!volume || !path) return []
    const miss = (name: string, why: string) => missing.push({ name: `${path}: ${name}`, why })
    const placed = { path, volume: volume.name, readOnly: mount.readOnly === true }
    const files = filesOf(volume, facts, miss)
    if (!files) return [{ ...placed, content: { kind: volume.emptyDir ? 'empty' : 'copy' } }]
    const part = subPathOf(mount, facts)
    if (part instanceof Unknown) {
      miss(`subPathExpr ${mount.subPathExpr}`, part.why)
      return []
    }
    if (part === undefined) return [{ ...placed, content: { kind: 'files', files } }]
    return [{ ...placed, content: { kind: 'part', files: partOf(files, part) } }]
  })
  const depth = ({ path }: PlacedMount) => path.split('/').length
  return { mounts: mounts.sort((a, b) => depth(a) - depth(b) || (a.path < b.path ? -1 : 1)), missing }
}

type Miss = (name: string, why: string) => void

/** Undefined for a volume that is not computed. */
function filesOf(volume: V1Volume, facts: VolumeFacts, miss: Miss): PlacedFile[] | undefined {
  const { configMap, secret, downwardAPI, projected } = volume
  const files = new Map<string, PlacedFile>()
  const put = (path: string, data: Buffer, mode: number, stays?: true) => {
    const clean = relativePath(path)
    if (clean) files.set(clean, { path: clean, data: data.toString('base64'), mode, ...(stays && { stays }) })
    else miss(path, 'it would lie outside of its volume')
  }
  const context = { facts, put, miss }
  if (configMap)
    keys(
      context,
      'ConfigMap',
      configMap.name,
      configMap.items,
      configMap.optional,
      configMap.defaultMode ?? DEFAULT_MODE,
    )
  else if (secret)
    keys(context, 'Secret', secret.secretName, secret.items, secret.optional, secret.defaultMode ?? DEFAULT_MODE)
  else if (downwardAPI) downward(context, downwardAPI.items ?? [], downwardAPI.defaultMode ?? DEFAULT_MODE)
  else if (projected) {
    const mode = projected.defaultMode ?? DEFAULT_MODE
    for (const source of projected.sources ?? []) {
      const { serviceAccountToken: token, ...others } = source
      if (source.configMap)
        keys(context, 'ConfigMap', source.configMap.name, source.configMap.items, source.configMap.optional, mode)
      else if (source.secret)
        keys(context, 'Secret', source.secret.name, source.secret.items, source.secret.optional, mode)
      else if (source.downwardAPI) downward(context, source.downwardAPI.items ?? [], mode)
      else if (token) {
        const wish = { audience: token.audience, seconds: token.expirationSeconds ?? TOKEN_S }
        const answer = facts.tokens?.get(tokenKey(wish))
        if (!facts.tokens) put(token.path, Buffer.alloc(0), ownersOnly(facts, mode), true)
        else if (answer && 'token' in answer) put(token.path, Buffer.from(answer.token), ownersOnly(facts, mode))
        else miss(token.path, answer?.refused ?? 'there is no token')
      } else miss(volume.name, `kt does not know ${Object.keys(others).join(', ')}`)
    }
  } else return undefined
  const group = facts.pod.spec?.securityContext?.fsGroup === undefined ? 0 : READ_BY_GROUP
  return [...files.values()].map((file) => ({ ...file, mode: file.mode | group }))
}

// Kubernetes' volume ownership: with an fsGroup, owner and group may read what lies in a volume.
const READ_BY_GROUP = 0o440

/** A token is its user's alone where all containers run as one, or where the pod has an fsGroup. */
function ownersOnly({ pod }: FieldFacts, mode: number): number {
  const { securityContext, containers = [], initContainers = [] } = pod.spec ?? { containers: [] }
  const users = new Set(
    [...containers, ...initContainers].map((one) => one.securityContext?.runAsUser ?? securityContext?.runAsUser),
  )
  const one = users.size === 1 && !users.has(undefined)
  return one || securityContext?.fsGroup !== undefined ? 0o600 : mode
}

interface Context {
  facts: VolumeFacts
  put(path: string, data: Buffer, mode: number): void
  miss: Miss
}

function keys(
  { facts, put, miss }: Context,
  kind: SourceKind,
  name: string | undefined,
  items: V1KeyToPath[] = [],
  optional = false,
  mode: number,
): void {
  const source = `${kind} ${name}`
  const entries = entriesOf(facts.sources, kind, name ?? '', true)
  if (typeof entries === 'string' || !entries) {
    if (entries !== undefined) miss(source, entries)
    else if (!optional) miss(source, 'it is not there')
    return
  }
  if (items.length === 0) for (const [key, data] of entries) put(key, data, mode)
  for (const { key, path, mode: own } of items) {
    const data = entries.get(key)
    if (data) put(path, data, own ?? mode)
    else if (!optional) miss(path, `${source} has no key ${key}`)
  }
}

function downward({ facts, put, miss }: Context, items: V1DownwardAPIVolumeFile[], mode: number): void {
  for (const { path, fieldRef, resourceFieldRef, mode: own } of items) {
    const value = fieldRef
      ? podField(fieldRef.fieldPath, facts)
      : resourceFieldRef
        ? resourceField(resourceFieldRef, undefined, facts)
        : ''
    if (value instanceof Unknown) miss(path, value.why)
    else put(path, Buffer.from(value), own ?? mode)
  }
}

/** Undefined for all of the volume. */
function subPathOf({ subPath, subPathExpr }: V1VolumeMount, { variables }: VolumeFacts): string | Unknown | undefined {
  if (!subPathExpr) return subPath ? (relativePath(subPath) ?? new Unknown('it leaves its volume')) : undefined
  let unknown: string | undefined
  const path = expand(subPathExpr, (name) => {
    const value = variables.get(name)
    if (value === undefined) unknown ??= name
    return value
  })
  if (unknown !== undefined) return new Unknown(`$(${unknown}) is not known`)
  return relativePath(path) ?? new Unknown('it leaves its volume')
}

/** One file with the path '', or what lies in that folder. */
function partOf(files: PlacedFile[], part: string): PlacedFile[] {
  const one = files.find(({ path }) => path === part)
  if (one) return [{ ...one, path: '' }]
  return files
    .filter(({ path }) => path.startsWith(`${part}/`))
    .map((file) => ({ ...file, path: file.path.slice(part.length + 1) }))
}

/** Without empty and `.` parts; undefined where it leaves its folder, or has nothing in it. */
function relativePath(path: string): string | undefined {
  if (path.startsWith('/') || path.includes('\0')) return undefined
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  return parts.length === 0 || parts.includes('..') ? undefined : parts.join('/')
}

function absolutePath(path: string): string | undefined {
  const relative = relativePath(path.replace(/^\/+/, ''))
  return relative && `/${relative}`
}
