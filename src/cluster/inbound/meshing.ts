// What both modes of `kt mesh` begin with: the Service, its ports, and the lease of the version.

import type { ShadowOptions } from '../calls.ts'
import { clusterError } from '../errors.ts'
import type { MeshRequest } from '../inbound-calls.ts'
import { addressOf, type Draft, type InboundContext } from './context.ts'
import type { TakenLease } from './lease.ts'
import { ownerOf } from './owner.ts'
import { type PortPlan, planPorts } from './ports.ts'
import { ID_LABEL } from './record.ts'
import { type Found, resolveTarget } from './resolve.ts'

/** Codes: target-unknown, target-unfit. */
export async function resolveMesh(
  { api, namespace }: InboundContext,
  request: MeshRequest,
): Promise<{ found: Found; plan: PortPlan }> {
  const found = await resolveTarget(api, namespace, request.target, 'selector')
  const plan = planPorts(found.service!, found.pods, request.ports)
  for (const { port, protocol } of plan.ports.filter(({ exposed }) => exposed))
    if (protocol === 'UDP')
      throw clusterError(
        'target-unfit',
        `port ${port} is UDP, which has no headers to go by`,
        'use `kt exchange` for it',
      )
  return { found, plan }
}

type OfMode = 'mode' | 'selector' | 'written' | 'ports' | 'original' | 'warnings'

/** All but what differs between the modes. */
export function draftOf(
  { namespace }: InboundContext,
  { mode, header, prefix, holder }: MeshRequest,
  value: string,
  found: Found,
  plan: PortPlan,
  options: ShadowOptions,
  id: string,
  lease: TakenLease,
): Omit<Draft, OfMode> {
  return {
    kind: 'mesh',
    id,
    namespace,
    service: found.service!.metadata!.name!,
    address: addressOf(found.service!),
    owner: ownerOf(found.pods),
    workload: undefined,
    remotes: plan.remotes,
    holder,
    since: lease.since,
    lease: { name: lease.name, uid: lease.uid },
    options,
    mesh: { mode, header, value, prefix, others: otherVersions(found) },
  }
}

/** Values of the label `version` on the Service's own pods: what Istio's rules can name them by. */
function otherVersions({ pods }: Found): string[] {
  const own = pods.filter(({ metadata }) => metadata?.labels?.[ID_LABEL] === undefined)
  return [...new Set(own.flatMap(({ metadata }) => metadata?.labels?.['version'] ?? []))]
}
