// The lease that says who holds an exchange, mesh or run. Whether a holder lives is judged by whether its lease changes
// while one watches: clocks of two machines are never compared.
import type { V1Lease } from '@kubernetes/client-node'
import type { ClusterError } from '../calls.ts'
import { clusterError, fromStatus } from '../errors.ts'
import { type ApiPort, MERGE } from '../follow.ts'
import type { HeldLease } from '../inbound-calls.ts'
import { AGAIN, attempts, isOutdated } from './attempts.ts'
import type { InboundContext } from './context.ts'
import {
  ID_LABEL,
  type InboundRecord,
  MANAGED_LABELS,
  MANAGED_SELECTOR,
  personOf,
  RECORD_ANNOTATION,
  readRecord,
} from './record.ts'

/** The holder renews this often. */
const RENEW_S = 5
/** More than two renewals: a lease that does not change in this time has no holder. */
export const WATCH_MS = 12_000
const LOOK_MS = 1_000

type LeaseContext = Pick<InboundContext, 'api' | 'namespace' | 'sleep' | 'wall'>

export const leasePath = (namespace: string, name?: string) =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases${name ? `/${name}` : ''}`

export interface TakenLease {
  name: string
  uid: string
  /** When it was taken, by the API server's clock. */
  since: string
}

/**
 * Throws `held` when somebody has it, unless `force`: then it is theirs no longer from this moment on, which their next
 * renewal finds out. `expected`: only while it is at this resourceVersion. Throws `name-taken` where a Lease of that name
 * is about something else: that is not touched, whatever `force` says.
 */
export async function takeLease(
  { api, namespace, sleep, wall }: LeaseContext,
  record: Omit<InboundRecord, 'since'>,
  force: boolean,
  expected?: string,
): Promise<TakenLease> {
  return await attempts(sleep, `taking the Lease ${record.lease}`, async () => {
    // What it says of time is for people; it is what the API server's clock says.
    const { status, body, serverTime } = await getLease(api, namespace, record.lease)
    const now = isoTime(serverTime, wall)
    const annotations = { [RECORD_ANNOTATION]: JSON.stringify({ ...record, since: now }) }
    const labels = { ...MANAGED_LABELS, [ID_LABEL]: record.id }
    const spec = {
      holderIdentity: record.holder,
      leaseDurationSeconds: 3 * RENEW_S,
      acquireTime: microTime(now),
      renewTime: microTime(now),
    }
    if (status === 404) {
      const lease = {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: record.lease, namespace, labels, annotations },
        spec,
      }
      const answer = await api.ask('POST', leasePath(namespace), { body: lease })
      if (isOutdated(answer.status)) return AGAIN
      if (answer.status >= 400) throw fromStatus(answer.status, answer.body, `creating the Lease ${record.lease}`)
      return { name: record.lease, uid: (answer.body as V1Lease).metadata!.uid!, since: now }
    }
    const from = readRecord(body.metadata?.annotations)
    if (!from || !sameMeaning(from, record))
      throw clusterError(
        'name-taken',
        `there is a Lease ${record.lease} which is not about ${record.target}`,
        `rename or delete it: kt needs that name for ${record.target}`,
      )
    if (!force && body.spec?.holderIdentity !== record.holder) throw held(from, record.target, namespace)
    const { uid, resourceVersion } = body.metadata!
    if (expected && resourceVersion !== expected) throw held(from, record.target, namespace)
    const change = { metadata: { uid, resourceVersion, labels, annotations }, spec }
    const answer = await api.ask('PATCH', leasePath(namespace, record.lease), { body: change, contentType: MERGE })
    if (isOutdated(answer.status) || answer.status === 404) return AGAIN
    if (answer.status >= 400) throw fromStatus(answer.status, answer.body, `taking over the Lease ${record.lease}`)
    return { name: record.lease, uid: uid!, since: now }
  })
}

/** Both are about the same exchange, run or version of a mesh, whoever holds them and by whatever name. */
export function sameMeaning(one: Meaning, other: Meaning): boolean {
  return one.kind === other.kind && one.target === other.target && plainMark(one.mark) === plainMark(other.mark)
}

type Meaning = Pick<InboundRecord, 'kind' | 'target' | 'mark'>

/** Names of headers are compared without case (RFC 9110 5.1). */
function plainMark(mark: string | undefined): string | undefined {
  return mark?.replace(/^[^:]*/, (header) => header.toLowerCase())
}

/**
 * Leases by other names that are about the same: an older kt named them in another way. None where leases may not be
 * listed.
 */
export async function leasesByOtherNames(
  { api, namespace }: LeaseContext,
  record: Omit<InboundRecord, 'since'>,
): Promise<HeldLease[]> {
  try {
    const all = await listLeases(api, namespace)
    return all.filter((each) => each.lease !== record.lease && sameMeaning(each, record))
  } catch (error) {
    if ((error as ClusterError).code !== 'forbidden') throw error
    return []
  }
}

/** 'lost' when it is gone, or somebody else's: then who. */
export async function renew(
  { api, namespace, sleep, wall }: LeaseContext,
  name: string,
  holder: string,
): Promise<{ lost: false } | { lost: true; by: InboundRecord | undefined }> {
  return await attempts(sleep, `renewing the Lease ${name}`, async () => {
    const { status, body, serverTime } = await getLease(api, namespace, name)
    if (status === 404) return { lost: true as const, by: undefined }
    const { resourceVersion } = body.metadata!
    if (body.spec?.holderIdentity !== holder) return { lost: true as const, by: readRecord(body.metadata?.annotations) }
    const change = {
      metadata: { resourceVersion },
      spec: { renewTime: microTime(isoTime(serverTime, wall)) },
    }
    const answer = await api.ask('PATCH', leasePath(namespace, name), { body: change, contentType: MERGE })
    if (isOutdated(answer.status) || answer.status === 404) return AGAIN
    if (answer.status >= 400) throw fromStatus(answer.status, answer.body, `renewing the Lease ${name}`)
    return { lost: false as const }
  })
}

/** Deletes it if it is still this holder's. */
export async function deleteLease(
  { api, namespace, sleep }: LeaseContext,
  name: string,
  holder: string,
): Promise<void> {
  await attempts(sleep, `deleting the Lease ${name}`, async () => {
    const { status, body } = await getLease(api, namespace, name)
    if (status === 404 || body.spec?.holderIdentity !== holder) return
    const { uid, resourceVersion } = body.metadata!
    const preconditions = { uid, resourceVersion }
    const answer = await api.ask('DELETE', leasePath(namespace, name), { body: { preconditions } })
    if (isOutdated(answer.status)) return AGAIN
    if (answer.status >= 400 && answer.status !== 404)
      throw fromStatus(answer.status, answer.body, `deleting the Lease ${name}`)
    return
  })
}

/** Makes it go with another object. */
export async function ownLease(
  { api, namespace }: LeaseContext,
  { name, uid }: Pick<TakenLease, 'name' | 'uid'>,
  ownerReferences: object[],
): Promise<void> {
  const change = { metadata: { uid, ownerReferences } }
  await api.send('PATCH', leasePath(namespace, name), {
    body: change,
    contentType: MERGE,
    doing: `patching the Lease ${name}`,
  })
}

export async function listLeases(api: ApiPort, namespace: string): Promise<HeldLease[]> {
  const { items } = await api.get<{ items: V1Lease[] }>(leasePath(namespace), { labelSelector: MANAGED_SELECTOR })
  return items.flatMap((lease) => heldLease(lease) ?? [])
}

/** Undefined for a lease that is not kt's. */
export function heldLease(lease: V1Lease): HeldLease | undefined {
  const record = readRecord(lease.metadata?.annotations)
  if (!record) return undefined
  const { name, namespace, uid, resourceVersion } = lease.metadata!
  const { kind, mode, target, since, id, mark } = record
  return {
    kind,
    mode,
    target,
    namespace: namespace!,
    holder: lease.spec?.holderIdentity ?? record.holder,
    since,
    id,
    ...(mark && { mark }),
    lease: name!,
    leaseUid: uid!,
    resourceVersion: resourceVersion!,
  }
}

/** Watches those leases for as long as it takes; those that changed, or are gone, are left out of what it returns. */
export async function unchanged(
  api: ApiPort,
  namespace: string,
  leases: { lease: string; leaseUid: string; resourceVersion: string }[],
  sleep: (ms: number) => Promise<void>,
  now: () => number,
): Promise<Set<string>> {
  const still = new Map(leases.map((each) => [each.lease, each]))
  for (const end = now() + WATCH_MS; still.size > 0 && now() < end; ) {
    await sleep(LOOK_MS)
    for (const seen of [...still.values()]) {
      const { status, body } = await getLease(api, namespace, seen.lease)
      const { uid, resourceVersion } = body.metadata ?? {}
      if (status === 404 || uid !== seen.leaseUid || resourceVersion !== seen.resourceVersion) still.delete(seen.lease)
    }
  }
  return new Set(still.keys())
}

export async function getLease(
  api: ApiPort,
  namespace: string,
  name: string,
): Promise<{ status: number; body: V1Lease; serverTime: number }> {
  try {
    const { body, serverTime } = await api.send<V1Lease>('GET', leasePath(namespace, name))
    return { status: 200, body, serverTime }
  } catch (error) {
    if ((error as ClusterError).code !== 'gone') throw error
    return { status: 404, body: {}, serverTime: Number.NaN }
  }
}

/** The error of whoever comes second. */
export function held(by: InboundRecord | undefined, target: string, namespace: string): ClusterError {
  const verb = by?.kind === 'mesh' ? 'meshed' : by?.kind === 'run' ? 'run' : 'exchanged'
  return clusterError(
    'held',
    `${target} is ${verb} by ${personOf(by?.holder)}${by ? ` since ${by.since}` : ''}`,
    `ask them, or take it over with --force; if they are gone: \`kt recover ${target} -n ${namespace}\``,
  )
}

// The API server's, or this machine's where that is not known.
function isoTime(serverTime: number, wall: () => number): string {
  return new Date(Number.isNaN(serverTime) ? wall() : serverTime).toISOString()
}

// RFC 3339 with six digits of a second (k8s.io/apimachinery, MicroTime).
function microTime(iso: string): string {
  return iso.replace(/\.(\d{3})Z$/, '.$1000Z')
}
