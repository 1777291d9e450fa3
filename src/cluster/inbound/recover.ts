// `kt recover` and `kt clean`: from any machine, without the client that made it. Whoever may be alive is watched first, for
// longer than two renewals of a lease; clocks are not asked.

import type { ClusterError, Progress } from '../calls.ts'
import { clusterError } from '../errors.ts'
import type { HeldLease, Leftover, OwnShadows, Recovered } from '../inbound-calls.ts'
import { missingIn, missingNamespace } from '../missing.ts'
import { removeJob } from '../shadow-removal.ts'
import { parseTarget } from '../target.ts'
import type { InboundContext } from './context.ts'
import { type IdleShadow, idleShadows, stillIdle } from './idle-shadows.ts'
import { getLease, unchanged, WATCH_MS } from './lease.ts'
import { personOf } from './record.ts'
import { actionsOf, type Remains, removeRemains, survey } from './remains.ts'
import { find, resolveTarget, servicePath, workloadPath } from './resolve.ts'

/** How often leases are watched that pass from one to another meanwhile. */
const MOST_LOOKS = 3

export async function recover(
  context: InboundContext,
  text: string,
  { force, holder }: { force: boolean; holder: string },
  progress: Progress,
): Promise<Recovered> {
  let ours = await remainsOf(context, text)
  for (let looks = 1; !force; looks++) {
    const changed = await changedOf(context, ours, progress)
    if (!changed) break
    const { holder: before, since } = changed.lease
    // A lease that is gone, or has another holder, was left or taken: perhaps by somebody else who puts it back.
    if (changed.holder === before)
      throw clusterError(
        'held',
        `${text} is held by ${personOf(before)} since ${since}, who is there: the lease was renewed while we watched`,
        'ask them to leave it, or use --force',
      )
    if (looks === MOST_LOOKS)
      throw clusterError('held', `others take and leave ${text} while we watch`, 'run the command again later')
    ours = await remainsOf(context, text)
  }
  const total: Recovered = { restored: [], kept: [], removed: [], holder: undefined }
  for (const remains of ours) {
    // With force the lease may be renewed between looking and taking.
    const one = await removeRemains(context, force ? withoutVersion(remains) : remains, holder, progress)
    total.restored.push(...one.restored)
    total.kept.push(...one.kept)
    total.removed.push(...one.removed)
    total.holder ??= one.holder
  }
  return total
}

/** What there is for the target that the user names; a run's Service is not put back: it goes. */
async function remainsOf(context: InboundContext, text: string): Promise<Remains[]> {
  const all = await survey(context)
  const names = await namesOf(context, text, all)
  const isRun = ({ kind }: Remains) => kind === 'run'
  const named = ({ target, service }: Remains) => names.has(target) || (service && names.has(service))
  return [
    ...all.filter((remains) => !isRun(remains) && named(remains)),
    ...all.filter((remains) => isRun(remains) && names.has(remains.target)),
  ]
}

export async function findLeftovers(
  context: InboundContext,
  { owner, except }: OwnShadows,
  progress: Progress,
): Promise<Leftover[]> {
  const all = await survey(context)
  const shadows = await idleShadows(context, owner, except)
  // Of a namespace that is not there the API server gives empty lists.
  if (all.length + shadows.length === 0) {
    const why = await missingNamespace(context.api, context.namespace)
    if (why) throw why
  }
  const leases = all.flatMap((remains) => remains.leases)
  const seconds = WATCH_MS / 1000
  const what = leases.length === 1 ? 'one lease' : `${leases.length} leases`
  if (leases.length > 0) progress('watch', `watching for ${seconds} s whether anybody renews ${what}`)
  else if (shadows.length > 0)
    progress('watch', `watching for ${seconds} s whether a client comes to ${shadows[0].job}`)
  const began = context.now()
  const still = await unchanged(context.api, context.namespace, leases, context.sleep, context.now)
  if (shadows.length > 0) await context.sleep(Math.max(0, began + WATCH_MS - context.now()))
  const dead = (await stillIdle(context, shadows)).map(
    (shadow): Leftover => ({
      ...{ id: shadow.job, kind: 'shadow', namespace: context.namespace, target: shadow.job, shadow },
      holder: personOf(`${shadow.owner}/`),
      reason: `it has no client, and none came in the ${seconds} s we watched it`,
      actions: [`delete Job ${shadow.job}`],
      leases: [],
      leasesOnly: false,
    }),
  )
  const left = all.flatMap((remains): Leftover[] => {
    const dead = remains.leases.filter(({ lease }) => still.has(lease))
    const leasesOnly = dead.length < remains.leases.length
    if (leasesOnly && dead.length === 0) return []
    const holder = leasesOnly ? dead[0].holder : remains.holder
    const names = dead.map(({ lease }) => lease).join(', ')
    return [
      {
        id: remains.id,
        kind: remains.kind,
        namespace: context.namespace,
        target: remains.target,
        holder: holder && personOf(holder),
        reason: names
          ? `its lease ${names} was not renewed in the ${seconds} s we watched it; a living holder renews it every 5 s`
          : 'no lease holds it',
        actions: leasesOnly ? dead.map(({ lease }) => `delete Lease ${lease}`) : actionsOf(remains),
        leases: dead.map(({ lease, leaseUid, resourceVersion }) => ({ name: lease, uid: leaseUid, resourceVersion })),
        leasesOnly,
      },
    ]
  })
  return [...left, ...dead]
}

export async function removeLeftovers(
  context: InboundContext,
  leftovers: Leftover[],
  holder: string,
  progress: Progress,
): Promise<Recovered[]> {
  const all = await survey(context)
  const done: Recovered[] = []
  for (const leftover of leftovers) {
    if (leftover.shadow) {
      done.push(...(await removeIdle(context, leftover.shadow)))
      continue
    }
    const there = all.find(({ id }) => id === leftover.id)
    const seen = new Map(leftover.leases.map((lease) => [lease.name, lease.resourceVersion]))
    const leases = there?.leases.filter(({ lease, resourceVersion }) => seen.get(lease) === resourceVersion) ?? []
    // Gone since, or a lease has come back, or was renewed: alive.
    if (!there || leases.length < seen.size || (!leftover.leasesOnly && leases.length < there.leases.length)) continue
    const bare = { ...there, record: undefined, service: undefined, workload: undefined, services: [], jobs: [] }
    try {
      const remains = leftover.leasesOnly ? { ...bare, leases } : there
      done.push(await removeRemains(context, remains, holder, progress))
    } catch (error) {
      if ((error as ClusterError).code !== 'held') throw error
      progress('clean', `${leftover.target}: ${(error as Error).message}, and is left alone`)
    }
  }
  return done
}

/** Unless somebody has come to it since. */
async function removeIdle(context: InboundContext, shadow: IdleShadow): Promise<Recovered[]> {
  if ((await stillIdle(context, [shadow])).length === 0) return []
  const removed = await removeJob(context.api, context.namespace, shadow.job, shadow.uid)
  return removed
    ? [{ restored: [], kept: [], removed: [`Job ${shadow.job}`], holder: personOf(`${shadow.owner}/`) }]
    : []
}

/** How records may call what the user names. Throws `target-unknown` where neither it nor anything left of it is there. */
async function namesOf(context: InboundContext, text: string, all: Remains[]): Promise<Set<string>> {
  const { api, namespace } = context
  const { kind, name } = parseTarget(text)
  const names = new Set([kind && kind !== 'service' ? `${kind}/${name}` : name])
  if (kind === undefined || kind === 'service') {
    if (all.some(({ target, service }) => target === name || service === name)) return names
    if (await find(api, servicePath(namespace, name))) return names
    const why = `there is no Service ${JSON.stringify(name)} in namespace ${namespace}, and nothing of kt for it`
    throw await missingIn(api, namespace, clusterError('target-unknown', why))
  }
  // A workload is known by its own record, or by the Service that leads to it.
  const workload = all.find((each) => each.workload?.name === name && each.workload.kind.toLowerCase() === kind)
  if (workload) return names.add(workload.target)
  if (kind !== 'pod') {
    const object = await find(api, workloadPath(namespace, kind === 'deployment' ? 'Deployment' : 'StatefulSet', name))
    if (object && names.size > 0 && all.some(({ target }) => names.has(target))) return names
  }
  return names.add((await resolveTarget(api, namespace, text, 'selector')).target)
}

/** Watches their leases. Resolves to one that has changed, with who holds it now, or to undefined if none has. */
async function changedOf(
  { api, namespace, sleep, now }: InboundContext,
  ours: Remains[],
  progress: Progress,
): Promise<{ lease: HeldLease; holder: string | undefined } | undefined> {
  const leases = ours.flatMap((remains) => remains.leases)
  if (leases.length === 0) return undefined
  const persons = [...new Set(leases.map(({ holder }) => personOf(holder)))].join(', ')
  progress(
    'watch',
    `watching for ${WATCH_MS / 1000} s whether ${persons} renews the lease: only then somebody holds it`,
  )
  const still = await unchanged(api, namespace, leases, sleep, now)
  const lease = leases.find((each) => !still.has(each.lease))
  return lease && { lease, holder: (await getLease(api, namespace, lease.lease)).body.spec?.holderIdentity }
}

function withoutVersion(remains: Remains): Remains {
  return { ...remains, leases: remains.leases.map((lease) => ({ ...lease, resourceVersion: '' })) }
}
