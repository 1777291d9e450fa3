// The lease of one version of a meshed Service: each version has one holder, and one whose holder is dead is free.

import type { ClusterError, Progress } from '../calls.ts'
import { clusterError } from '../errors.ts'
import type { MeshRequest } from '../inbound-calls.ts'
import type { InboundContext } from './context.ts'
import { leaseName } from './derived.ts'
import { deleteLease, getLease, leasesByOtherNames, type TakenLease, takeLease, unchanged } from './lease.ts'
import { type InboundRecord, personOf, readRecord } from './record.ts'

/** Longer than a holder waits between two renewals of its lease. */
const RENEWAL_SEEN_MS = 6_000

/** A lease for this version. One whose holder is dead is taken over, which takes a while to find out. */
export async function takeVersion(
  context: InboundContext,
  request: MeshRequest,
  target: string,
  id: string,
  progress: Progress,
): Promise<TakenLease> {
  const { mode, header, value, prefix, holder, force } = request
  const words = `${header}: ${value}${prefix ? '*' : ''}`
  // Names of headers are compared without case, names of labels with.
  const version = { header: mode === 'auto' ? header.toLowerCase() : header, value: value!, prefix }
  const record: Omit<InboundRecord, 'since'> = {
    version: 1,
    kind: 'mesh',
    mode: 'selector',
    id,
    target,
    holder,
    mark: words,
    lease: leaseName('mesh', target, version),
  }
  const lease = await takeFromDead(context, record, force, progress)
  try {
    for (const { lease: older } of await leasesByOtherNames(context, record)) {
      await takeFromDead(context, { ...record, lease: older }, force, progress)
      // Its holder, if there is one, learns at the next renewal whose it is.
      if (force) await context.sleep(RENEWAL_SEEN_MS)
      await deleteLease(context, older, holder)
    }
  } catch (error) {
    await deleteLease(context, lease.name, holder)
    throw error
  }
  return lease
}

async function takeFromDead(
  context: InboundContext,
  record: Omit<InboundRecord, 'since'>,
  force: boolean,
  progress: Progress,
): Promise<TakenLease> {
  const { api, namespace, sleep, now } = context
  const { target, mark: words } = record
  try {
    return await takeLease(context, record, force)
  } catch (error) {
    if ((error as ClusterError).code !== 'held') throw error
  }
  const { status, body } = await getLease(api, namespace, record.lease)
  if (status === 404) return takeLease(context, record, force)
  const by = readRecord(body.metadata?.annotations)
  const person = personOf(body.spec?.holderIdentity)
  progress('lease', `${words} is ${person}'s; kt watches for 12 s whether they renew its lease`)
  const { uid, resourceVersion } = body.metadata!
  const seen = { lease: record.lease, leaseUid: uid!, resourceVersion: resourceVersion! }
  if (!(await unchanged(api, namespace, [seen], sleep, now)).has(record.lease))
    throw clusterError(
      'held',
      `requests of ${target} with "${words}" go to ${person}${by ? ` since ${by.since}` : ''}`,
      'take another version with --version-mark, or theirs with --force',
    )
  return takeLease(context, record, true, resourceVersion)
}
