// What kt writes down in the cluster about an exchange, mesh or run, and how a Service is changed and put back by it.
// Pure. The rule for putting back: field by field, and a field only while it still holds what kt wrote.
import type { V1Service } from '@kubernetes/client-node'
import type { InboundKind } from '../inbound-calls.ts'

/** Label with the id, on everything that belongs to one exchange. */
export const ID_LABEL = 'kt/exchange'
/** Annotation with a Record: on the Service (scale mode: on the workload too), and on the lease. */
export const RECORD_ANNOTATION = 'kt/exchange'

export const MANAGED_LABELS = { 'app.kubernetes.io/managed-by': 'kt', 'app.kubernetes.io/name': 'kt' }
export const MANAGED_SELECTOR = 'app.kubernetes.io/managed-by=kt,app.kubernetes.io/name=kt'

export type Labels = Record<string, string>

export interface InboundRecord {
  version: 1
  kind: InboundKind
  mode: 'selector' | 'scale' | 'run'
  id: string
  /** `web`, or `deployment/web` */
  target: string
  /** `user@machine/ID` */
  holder: string
  since: string
  lease: string
  /** Of a mesh: the header or label, `kt-version: abc`. */
  mark?: string
  /** The second Service. */
  original?: string
  /** Selector before, and what kt put in its place (selector mode). */
  selector?: Labels
  written?: Labels
  /** Scale mode: what was scaled, and the number to go back to. */
  workload?: { kind: 'Deployment' | 'StatefulSet'; name: string }
  replicas?: number
}

/** Undefined for none, or for one that is not kt's. */
export function readRecord(annotations: Labels | undefined): InboundRecord | undefined {
  const text = annotations?.[RECORD_ANNOTATION]
  if (text === undefined) return undefined
  try {
    const record = JSON.parse(text) as InboundRecord
    return record.version === 1 && typeof record.id === 'string' ? record : undefined
  } catch {
    return undefined
  }
}

export function shadowLabel(id: string): string {
  return `kt-${id}`
}

// Keys that only controllers may give to pods.
const RESERVED = /^(job-name|controller-uid|(batch\.)?kubernetes\.io\/|batch\.kubernetes\.io\/)/

/**
 * The selector that leads to the shadow: the same keys with a value of ours. With a key of our own instead, a `kubectl
 * apply` of the Service would merge the two to a selector that matches nothing at all; like this it puts the old one back.
 */
export function writtenSelector(selector: Labels, id: string): Labels {
  const keys = Object.keys(selector).filter((key) => !RESERVED.test(key))
  if (keys.length === 0) return { [ID_LABEL]: id } // as on all that belongs to it
  return Object.fromEntries(keys.map((key) => [key, shadowLabel(id)]))
}

export interface MergePatch {
  metadata: { resourceVersion?: string; annotations?: Record<string, string | null> }
  spec?: { selector?: Record<string, string | null>; replicas?: number }
}

/** Leads the Service to the shadow. Undefined when it does already. */
export function switchPatch(service: V1Service, record: InboundRecord): MergePatch | undefined {
  const now = service.spec?.selector ?? {}
  const written = record.written ?? {}
  if (sameLabels(now, written) && readRecord(service.metadata?.annotations)?.id === record.id) return undefined
  return {
    metadata: {
      resourceVersion: service.metadata?.resourceVersion,
      annotations: { [RECORD_ANNOTATION]: JSON.stringify(record) },
    },
    spec: { selector: labelChange(now, written) },
  }
}

export interface RestorePlan {
  /** Undefined when nothing is to be written. */
  patch: MergePatch | undefined
  restored: string[]
  kept: string[]
}

/**
 * Puts a Service back. `record` is what the Service itself says, or, where somebody removed the annotation, what is
 * known from elsewhere.
 */
export function restorePlan(service: V1Service, record: InboundRecord): RestorePlan {
  const name = `Service ${service.metadata?.name}`
  const now = service.spec?.selector ?? {}
  const old = record.selector ?? {}
  const written = record.written ?? {}
  const change: Record<string, string | null> = {}
  const theirs: string[] = []
  for (const key of new Set([...Object.keys(now), ...Object.keys(old), ...Object.keys(written)])) {
    if (now[key] === old[key]) continue
    const ours = now[key] === written[key]
    if (ours) change[key] = old[key] ?? null
    else theirs.push(now[key] === undefined ? `without ${key}` : `${key}=${now[key]}`)
  }
  const restored = Object.keys(change).length > 0 ? [`the selector of ${name}`] : []
  const kept = theirs.length > 0 ? [`the selector of ${name} was changed meanwhile: ${theirs.join(', ')} is kept`] : []
  const annotated = readRecord(service.metadata?.annotations)?.id === record.id
  if (restored.length === 0 && !annotated) return { patch: undefined, restored, kept }
  return {
    patch: {
      metadata: {
        resourceVersion: service.metadata?.resourceVersion,
        ...(annotated && { annotations: { [RECORD_ANNOTATION]: null } }),
      },
      ...(restored.length > 0 && { spec: { selector: change } }),
    },
    restored,
    kept,
  }
}

/** True while some of the Service's requests go to the shadow of this record. */
export function leadsToShadow(service: V1Service, record: Pick<InboundRecord, 'written'>): boolean {
  const written = Object.entries(record.written ?? {})
  const now = service.spec?.selector ?? {}
  return written.length > 0 && written.some(([key, value]) => now[key] === value)
}

export function sameLabels(one: Labels, other: Labels): boolean {
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key])
}

function labelChange(from: Labels, to: Labels): Record<string, string | null> {
  const gone = Object.keys(from).filter((key) => !(key in to))
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...to }
}

/** `a=b,c=d` */
export function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

/** `ann@laptop` of `ann@laptop/4711`. */
export function personOf(holder: string | undefined): string {
  return (holder ?? '').replace(/\/[^/]*$/, '') || 'somebody'
}
