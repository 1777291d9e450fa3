// Leases by which a kt of another version holds the same: it gave them other names.
import type { InboundContext } from './context.ts'
import { held, leasesByOtherNames, type TakenLease, takeLease } from './lease.ts'
import type { InboundRecord } from './record.ts'

/** Throws `held` where there is one, unless `force`: then they are taken, so that their holders end. */
export async function takeOlderLeases(
  context: InboundContext,
  record: Omit<InboundRecord, 'since'>,
  force: boolean,
): Promise<TakenLease[]> {
  const older = await leasesByOtherNames(context, record)
  if (older.length > 0 && !force)
    throw held({ ...record, holder: older[0].holder, since: older[0].since }, record.target, context.namespace)
  const taken: TakenLease[] = []
  for (const { lease } of older) taken.push(await takeLease(context, { ...record, lease }, true))
  return taken
}
