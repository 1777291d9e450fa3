// The objects of the API-server double: plain JSON by resource, namespace and name, with resource versions and the
// history that watches start from. Knows nothing of HTTP.
import { randomUUID } from 'node:crypto'

export interface KubeObject {
  apiVersion?: string
  kind?: string
  metadata: {
    name: string
    namespace?: string
    uid?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
    ownerReferences?: { uid: string }[]
    resourceVersion?: string
    creationTimestamp?: string
    deletionTimestamp?: string
    generateName?: string
  }
  // biome-ignore lint/suspicious/noExplicitAny: objects of any kind, as they come over the wire
  [field: string]: any
}

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED'

export interface Change {
  type: ChangeType
  resource: string
  version: number
  object: KubeObject
}

export interface Selection {
  resource: string
  /** Undefined: all namespaces, or a resource without. */
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
}

export class ObjectStore {
  #objects = new Map<string, KubeObject>()
  #history: Change[] = []
  #listeners = new Set<(change: Change) => void>()
  #version = 1000

  get version(): string {
    return String(this.#version)
  }

  /** All changes from now on, until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What happened after `version`. */
  since(version: string): Change[] {
    return this.#history.filter((change) => change.version > Number(version))
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(key(resource, namespace, name))
  }

  list(selection: Selection): KubeObject[] {
    return [...this.#objects]
      .filter(([path, object]) => path.startsWith(`${selection.resource}/`) && matches(object, selection))
      .map(([, object]) => object)
  }

  /** Undefined when there is one of that name already. */
  create(resource: string, object: KubeObject): KubeObject | undefined {
    const metadata = object.metadata
    if (!metadata.name && metadata.generateName)
      metadata.name = metadata.generateName + randomUUID().replaceAll('-', '').slice(0, 5)
    if (this.get(resource, metadata.namespace, metadata.name)) return undefined
    metadata.uid = randomUUID()
    metadata.creationTimestamp = new Date().toISOString().replace(/\.\d+/, '')
    return this.#put('ADDED', resource, object)
  }

  replace(resource: string, object: KubeObject): KubeObject {
    return this.#put('MODIFIED', resource, object)
  }

  remove(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const object = this.get(resource, namespace, name)
    return object && this.#put('DELETED', resource, object)
  }

  #put(type: ChangeType, resource: string, object: KubeObject): KubeObject {
    const copy = structuredClone(object)
    copy.metadata.resourceVersion = String(++this.#version)
    const path = key(resource, copy.metadata.namespace, copy.metadata.name)
    if (type === 'DELETED') this.#objects.delete(path)
    else this.#objects.set(path, copy)
    const change = { type, resource, version: this.#version, object: copy }
    this.#history.push(change)
    for (const listener of [...this.#listeners]) listener(change)
    return copy
  }
}

const key = (resource: string, namespace: string | undefined, name: string) => `${resource}/${namespace ?? ''}/${name}`

/** Namespace, labels (`a=b`, `a!=b`, `a in (b,c)`, `a`) and fields (`metadata.name=x`) as the API has them. */
export function matches(object: KubeObject, selection: Selection): boolean {
  if (selection.namespace !== undefined && object.metadata.namespace !== selection.namespace) return false
  const labels = object.metadata.labels ?? {}
  return (
    terms(selection.labelSelector).every((term) => holds(term, (name) => labels[name])) &&
    terms(selection.fieldSelector).every((term) => holds(term, (path) => field(object, path)))
  )
}

const terms = (selector: string | undefined) => (selector ?? '').split(/,(?![^(]*\))/).filter((term) => term !== '')

function holds(term: string, value: (name: string) => string | undefined): boolean {
  const set = /^\s*(\S+)\s+(in|notin)\s+\((.*)\)\s*$/.exec(term)
  if (set) return set[3].split(/\s*,\s*/).includes(value(set[1]) ?? '') === (set[2] === 'in')
  const compare = /^\s*([^=!\s]+)\s*(==?|!=)\s*(.*?)\s*$/.exec(term)
  if (compare) return ((value(compare[1]) ?? '') === compare[3]) === (compare[2] !== '!=')
  return term.trim().startsWith('!') ? value(term.trim().slice(1)) === undefined : value(term.trim()) !== undefined
}

function field(object: KubeObject, path: string): string | undefined {
  // biome-ignore lint/suspicious/noExplicitAny: walks down any object
  const found = path.split('.').reduce<any>((at, part) => at?.[part], object)
  return found === undefined ? undefined : String(found)
}

/** RFC 7386; near enough to a strategic merge for objects without merge keys. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch
  const result = { ...(target && typeof target === 'object' && !Array.isArray(target) ? target : {}) } as Record<
    string,
    unknown
  >
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = mergePatch(result[name], value)
  }
  return result
}

/** RFC 6902, the operations `add`, `replace`, `remove` and `test`. Throws RangeError when it does not apply. */
export function jsonPatch<T>(target: T, operations: { op: string; path: string; value?: unknown }[]): T {
  const result = structuredClone(target)
  for (const { op, path, value } of operations) {
    const parts = path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = parts.pop()!
    // biome-ignore lint/suspicious/noExplicitAny: walks down any object
    const parent = parts.reduce<any>((at, part) => at?.[part], result)
    if (parent === undefined) throw new RangeError(`no such path: ${path}`)
    if (op === 'test' && JSON.stringify(parent[last]) !== JSON.stringify(value)) throw new RangeError(`test ${path}`)
    else if (op === 'remove') Array.isArray(parent) ? parent.splice(Number(last), 1) : delete parent[last]
    else if (op === 'add' && Array.isArray(parent)) parent.splice(last === '-' ? parent.length : Number(last), 0, value)
    else if (op === 'add' || op === 'replace') parent[last] = value
  }
  return result
}
