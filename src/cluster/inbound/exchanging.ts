// The beginning of `kt exchange`, whatever its mode: what is exchanged is found, its lease taken, and a shadow made that nothing leads to
// yet. Whoever fails or gives up here leaves nothing behind (docs/understand/exchange.md, states `leased` to `ready`).

import type { Progress, ShadowHooks, ShadowOptions } from '../calls.ts'
import { clusterError } from '../errors.ts'
import type { ExchangeRequest, InboundHandle } from '../inbound-calls.ts'
import { createShadow } from '../shadow.ts'
import { addressOf, type Draft, type InboundContext } from './context.ts'
import { leaseName } from './derived.ts'
import { deleteLease, held, takeLease } from './lease.ts'
import { takeOlderLeases } from './older-leases.ts'
import { ownerOf } from './owner.ts'
import { agentPorts, type PortPlan, plainPorts, planPorts } from './ports.ts'
import { ID_LABEL, type InboundRecord, type Labels, personOf, readRecord } from './record.ts'
import { endOther, survey } from './remains.ts'
import { type Found, resolveTarget } from './resolve.ts'
import { servingOf } from './serving.ts'
import { undoing } from './undo.ts'
import { warningsOf } from './warnings.ts'

/** What a mode adds to it. */
export interface ExchangeMode {
  /** Refuses what this mode cannot do, before anything is made. Returns warnings. */
  look(found: Found, plan: PortPlan, request: ExchangeRequest): string[]
  /** The part of the handle that is this mode's. `known`: what is written there already, by whoever is to be put back. */
  draft(
    found: Found,
    plan: PortPlan,
    id: string,
    known: InboundRecord | undefined,
  ): Pick<Draft, 'workload' | 'selector' | 'written' | 'ports' | 'original'>
  /** Makes what the shadow needs; resolves to the labels of its pod, and where the original is reached, if there is one. */
  prepare(
    context: InboundContext,
    found: Found,
    draft: Draft,
    undo: (() => Promise<unknown>)[],
  ): Promise<{ podLabels: Labels; originalHost: string | undefined }>
  /** What is said where a shadow stands where the pods were. */
  heldHint: string
}

export async function beginWith(
  mode: ExchangeMode,
  context: InboundContext,
  request: ExchangeRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<InboundHandle> {
  const { api, namespace } = context
  const { holder, force, kind } = request
  const found = await resolveTarget(api, namespace, request.target, request.mode)
  const { service, target } = found
  const id = context.suffix()
  const plan = service ? planPorts(service, found.pods, request.ports) : plainPorts(request.ports, found.pods)
  refuseHeld(found, force, namespace, mode.heldHint)
  const unserved = mode.look(found, plan, request)
  const known = knownOf(found)
  const record: Omit<InboundRecord, 'since'> = {
    ...{ version: 1, kind, mode: request.mode, id, target, holder },
    lease: leaseName('exchange', target),
  }
  return await undoing(async (undo) => {
    const lease = await takeLease(context, record, force)
    undo.push(() => deleteLease(context, lease.name, holder))
    const older = await takeOlderLeases(context, record, force)
    if (force) await endOthers(context, found, record, progress)
    for (const { name } of older) await deleteLease(context, name, holder)
    const draft: Draft = {
      kind,
      mode: request.mode,
      id,
      namespace,
      service: service?.metadata?.name,
      ...(service && { address: addressOf(service) }),
      owner: ownerOf(found.pods),
      ...mode.draft(found, plan, id, known),
      remotes: plan.remotes,
      holder,
      since: lease.since,
      lease: { name: lease.name, uid: lease.uid },
      warnings: [
        ...(found.more ? [found.more] : []),
        ...unserved,
        ...plan.warnings,
        ...(await warningsOf(context, found, request.mode)),
      ],
      options,
    }
    const { podLabels, originalHost } = await mode.prepare(context, found, draft, undo)
    const ports = agentPorts({ ...plan, ports: draft.ports }, originalHost, false)
    const serving = servingOf(draft, plan, { ports, podLabels, idleSeconds: 0 })
    const shadow = await createShadow(context, options, progress, hooks, serving)
    return { ...draft, serving, shadow }
  })
}

function knownOf({ service, workload }: Found): InboundRecord | undefined {
  return readRecord(service?.metadata?.annotations) ?? readRecord(workload?.object.metadata?.annotations)
}

/** Held by what its annotation says, or by a shadow that stands where its pods were. */
function refuseHeld(found: Found, force: boolean, namespace: string, hint: string): void {
  const { pods, target } = found
  const there = knownOf(found)
  if (there?.kind === 'run')
    throw clusterError(
      'target-unfit',
      `Service ${target} is the one that ${personOf(there.holder)} made with \`kt run\`: no original is behind it`,
      'take another name for a `kt run` of your own, or ask them to end theirs',
    )
  if (there && !force) throw held(there, target, namespace)
  const shadow = pods.find(({ metadata }) => metadata?.labels?.[ID_LABEL] !== undefined)
  if (!shadow || there) return
  const by = shadow.metadata?.annotations?.['kt/holder']
  throw clusterError('held', `the pods of ${target} are exchanged already, by ${personOf(by)}, with --mode scale`, hint)
}

/** Whoever led these requests elsewhere until now: what they changed is put back, and their shadow ends. */
async function endOthers(
  context: InboundContext,
  { service, workload }: Found,
  { id, target, lease }: Omit<InboundRecord, 'since'>,
  progress: Progress,
): Promise<void> {
  for (const other of await survey(context)) {
    const same = other.kind === 'exchange' && (other.target === target || other.record?.lease === lease)
    const changed =
      (service && other.service === service.metadata!.name) ||
      (workload && other.workload?.kind === workload.kind && other.workload.name === workload.object.metadata!.name)
    if (other.id !== id && other.kind !== 'run' && (same || changed)) await endOther(context, other, progress)
  }
}
