// `kt mesh --mode auto`: requests with a header come here. Two routers that belong to nobody serve the Service; the first person makes
// them and the others find them. The Service's annotation names them, and each person holds a lease of their own with their id.
import type { V1Service } from '@kubernetes/client-node'
import type { Progress, ShadowHooks, ShadowOptions } from '../../calls.ts'
import type { InboundHandle, MeshRequest } from '../../inbound-calls.ts'
import { AGAIN, attempts } from '../attempts.ts'
import { type Draft, deleteOwn, type InboundContext, recordOf } from '../context.ts'
import { secondName as originalName } from '../derived.ts'
import type { ClusterKind } from '../kind.ts'
import { deleteLease, held } from '../lease.ts'
import { leadAgain, mark, othersOf } from '../mesh-marks.ts'
import { draftOf, resolveMesh } from '../meshing.ts'
import { agentPorts, type PortPlan } from '../ports.ts'
import { personOf, readRecord, writtenSelector } from '../record.ts'
import { type Found, servicePath } from '../resolve.ts'
import { restoreService } from '../restore.ts'
import { ensureRouter, removeRouters } from '../router.ts'
import { makeSecond } from '../second.ts'
import { probed, servingOf } from '../serving.ts'
import { onlyShadows, secondName } from '../shadows.ts'
import { leadService, waitUntilLed, waitUntilReady } from '../switch.ts'
import { undoing } from '../undo.ts'
import { takeVersion } from '../version-lease.ts'
import { warningsOf } from '../warnings.ts'

export const meshAuto: ClusterKind<MeshRequest> = {
  async begin(context, request, options, progress, hooks) {
    const begin = () => beginOnce(context, request, options, progress, hooks)
    return await attempts(context.sleep, `beginning the mesh of ${request.target}`, begin)
  },

  async switch(context, handle, progress) {
    await waitUntilReady(context, handle, progress)
    await leadService(context, handle)
    await waitUntilLed(context, handle, onlyShadows(handle), progress)
  },

  /** Puts the Service back if nobody else meshes it. */
  async restore(context, handle, progress) {
    const others = await othersOf(context, handle)
    if (others.length === 0) return restoreService(context, handle.service!, recordOf(handle), progress)
    const names = others.map(({ mark, holder }) => `${mark} (${personOf(holder)})`)
    return { restored: [], kept: [`${handle.service} stays meshed for ${names.join(', ')}`] }
  },

  remove: (context, handle) => leave(context, handle),

  add: (context, handle, progress, hooks) =>
    ensureRouter(context, probed(handle), secondName(handle), undefined, progress, hooks),

  replace: (context, handle, progress, hooks) =>
    ensureRouter(context, probed(handle), handle.shadow.job, handle.shadow, progress, hooks),
}

async function beginOnce(
  context: InboundContext,
  request: MeshRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<InboundHandle | typeof AGAIN> {
  const { found, plan } = await resolveMesh(context, request)
  const service = found.service!
  const name = service.metadata!.name!
  const known = readRecord(service.metadata?.annotations)
  if (known && known.kind !== 'mesh') throw held(known, name, context.namespace)
  const id = known?.id ?? context.suffix()
  const selector = known?.selector ?? service.spec!.selector!
  const lease = await takeVersion(context, request, name, id, progress)
  const draft: Draft = {
    ...draftOf(context, request, request.value!, found, plan, options, id, lease),
    mode: 'selector',
    selector,
    written: writtenSelector(selector, id),
    ports: plan.ports,
    original: { name: known?.original ?? originalName(name, id) },
    warnings: [...plan.warnings, ...(await warningsOf(context, found, 'selector'))],
    ...(known && { joined: true }),
  }
  return await undoing(async (undo) => {
    undo.push(() => leave(context, draft))
    if (!(await mark(context, draft, known !== undefined))) {
      // Somebody else began a router at the same moment, or the one that was to be joined has just ended.
      await deleteLease(context, lease.name, request.holder)
      return AGAIN
    }
    return await join(context, draft, found, plan, progress, hooks)
  })
}

/** Finds or makes the routers. */
async function join(
  context: InboundContext,
  draft: Draft,
  found: Found,
  plan: PortPlan,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<InboundHandle> {
  const service: V1Service = found.service!
  const second = await makeSecond(context, service, recordOf(draft))
  // All ports, since others may expose other ones later.
  const ports = agentPorts(plan, second.address, true).map((port) =>
    port.protocol === 'TCP' && port.original ? { ...port, http: true } : port,
  )
  const env = { KT_AGENT_ANY_KEY: '1' }
  const serving = servingOf(draft, plan, { ports, podLabels: draft.written, idleSeconds: 0, env })
  const shadow = await ensureRouter(context, { ...draft, serving }, `kt-shadow-${draft.id}`, undefined, progress, hooks)
  return { ...draft, serving, shadow }
}

/**
 * Gives up this person's version. Whoever leaves last also removes the routers; if two people leave at the same time, the
 * later one does.
 */
async function leave(context: InboundContext, handle: Draft): Promise<void> {
  const { namespace } = context
  const { service, id, lease, original } = handle
  await deleteLease(context, lease.name, handle.holder)
  const isLast = await attempts(context.sleep, `leaving the mesh of ${service}`, async () => {
    if ((await othersOf(context, handle)).length > 0) {
      await leadAgain(context, handle)
      // Whoever was about to join may have given up meanwhile, and then nobody else would put the Service back.
      return (await othersOf(context, handle)).length > 0 ? false : AGAIN
    }
    await restoreService(context, service!, recordOf(handle), () => {})
    return (await othersOf(context, handle)).length > 0 ? AGAIN : true
  })
  if (!isLast) return
  await removeRouters(context, id)
  if (original) await deleteOwn(context, servicePath(namespace, original.name), id, `Service ${original.name}`)
}
