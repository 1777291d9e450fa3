// `kt mesh`: some requests of a Service come here. `auto`: a router that belongs to nobody, which the first makes and the
// others find; the Service's annotation names it, and each person holds a lease of their own, labelled with its id. `manual`: a shadow
// among the Service's pods with a label of its own, for rules that somebody else's mesh goes by.
import type { V1Service } from '@kubernetes/client-node'
import type { BackHandle, MeshRequest, Restored } from '../back-port.ts'
import { clusterError } from '../errors.ts'
import type { Progress, ShadowHooks, ShadowOptions } from '../port.ts'
import { createShadow } from '../shadow.ts'
import { removeShadow } from '../shadow-removal.ts'
import { AGAIN, attempts } from './attempts.ts'
import { undoAll } from './begin.ts'
import { addressOf, type BackContext, change, deleteOwn, recordOf } from './context.ts'
import { secondName } from './derived.ts'
import { deleteLease, held, listLeases } from './lease.ts'
import { ownerOf } from './owner.ts'
import { agentPorts, type PortPlan, planPorts } from './ports.ts'
import {
  ID_LABEL,
  type Labels,
  type MergePatch,
  personOf,
  RECORD_ANNOTATION,
  readRecord,
  switchPatch,
  writtenSelector,
} from './record.ts'
import { type Found, resolveTarget, servicePath } from './resolve.ts'
import { leaveEndpoints, restoreService } from './restore.ts'
import { ensureRouter, removeRouters } from './router.ts'
import { makeSecond } from './second.ts'
import { takeVersion } from './version-lease.ts'
import { warningsOf } from './warnings.ts'

/** The shadow of `manual` ends this long after its client has gone, since nobody else would take its share of the requests. */
const MANUAL_IDLE_S = 60
const LONGEST_LABEL = 63

/** Codes: target-unknown, target-unfit, held, and those of createShadow. When it rejects, nothing is left of it. */
export async function beginMesh(
  context: BackContext,
  request: MeshRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  const begin = () => beginOnce(context, request, options, progress, hooks)
  return await attempts(context.sleep, `beginning the mesh of ${request.target}`, begin)
}

async function beginOnce(
  context: BackContext,
  request: MeshRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks,
): Promise<BackHandle | typeof AGAIN> {
  const found = await resolveTarget(context.api, context.namespace, request.target, 'selector')
  const plan = planPorts(found.service!, found.pods, request.ports)
  for (const { port, protocol } of plan.ports.filter(({ exposed }) => exposed))
    if (protocol === 'UDP')
      throw clusterError(
        'target-unfit',
        `port ${port} is UDP, which has no headers to go by`,
        'use `kt exchange` for it',
      )
  const begin = request.mode === 'auto' ? beginAuto : beginManual
  return await begin(context, request, found, plan, options, progress, hooks)
}

type Begin = (
  context: BackContext,
  request: MeshRequest,
  found: Found,
  plan: PortPlan,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks,
) => Promise<BackHandle | typeof AGAIN>

const beginAuto: Begin = async (context, request, found, plan, options, progress, hooks) => {
  const { namespace } = context
  const service = found.service!
  const name = service.metadata!.name!
  const known = readRecord(service.metadata?.annotations)
  if (known && known.kind !== 'mesh') throw held(known, name, namespace)
  const id = known?.id ?? context.suffix()
  const selector = known?.selector ?? service.spec!.selector!
  const lease = await takeVersion(context, request, name, id, progress)
  const draft = draftOf(context, request, found, plan, options, id, lease)
  draft.selector = selector
  draft.written = writtenSelector(selector, id)
  draft.warnings = [...plan.warnings, ...(await warningsOf(context, found, 'selector'))]
  draft.original = { name: known?.original ?? secondName(name, id) }
  const undo = [() => leave(context, draft, () => {})]
  try {
    if (!(await mark(context, draft, known !== undefined))) {
      // Somebody else began a router at the same moment, or the one that was to be joined has just ended.
      await deleteLease(context, lease.name, request.holder)
      undo.length = 0
      return AGAIN
    }
    const second = await makeSecond(context, service, recordOf(draft))
    // All ports, since others may expose other ones later.
    const ports = agentPorts(plan, second.address, true).map((port) =>
      port.protocol === 'TCP' && port.original ? { ...port, http: true } : port,
    )
    draft.serving = {
      id,
      ports,
      named: plan.named,
      sshPort: plan.sshPort,
      readyPort: plan.readyPort,
      probed: false,
      podLabels: { ...draft.written, [ID_LABEL]: id },
      idleSeconds: 0,
      annotations: { 'kt/target': name, 'kt/kind': 'mesh', 'kt/holder': request.holder },
      env: { KT_AGENT_ANY_KEY: '1' },
    }
    const shadow = await ensureRouter(context, draft, `kt-shadow-${id}`, undefined, progress, hooks)
    return { ...draft, shadow }
  } catch (error) {
    await undoAll(undo)
    throw error
  }
}

const beginManual: Begin = async (context, request, found, plan, options, progress, hooks) => {
  const { namespace } = context
  const name = found.service!.metadata!.name!
  const known = readRecord(found.service!.metadata?.annotations)
  if (known) throw held(known, name, namespace)
  const id = context.suffix()
  const selector = found.service!.spec!.selector!
  const value = request.value ?? `${name.slice(0, LONGEST_LABEL - 9)}-kt-${id}`
  const named = { ...request, value }
  if (selector[request.header] !== undefined && selector[request.header] !== value)
    throw clusterError(
      'target-unfit',
      `Service ${name} selects by the label ${request.header} itself, so a pod with another one gets no requests`,
      'use another label: --version-mark LABEL:VALUE, or --mode auto',
    )
  const lease = await takeVersion(context, named, name, id, progress)
  const draft = draftOf(context, named, found, plan, options, id, lease)
  draft.mode = 'run'
  draft.ports = plan.ports.filter(({ exposed }) => exposed)
  draft.warnings = plan.warnings
  const undo = [() => deleteLease(context, lease.name, request.holder)]
  try {
    draft.serving = {
      id,
      ports: agentPorts({ ...plan, ports: draft.ports }, undefined, false),
      named: plan.named,
      sshPort: plan.sshPort,
      readyPort: plan.readyPort,
      probed: false,
      podLabels: { ...podLabelsOf(found), ...selector, [request.header]: value, [ID_LABEL]: id },
      idleSeconds: MANUAL_IDLE_S,
      annotations: { 'kt/target': name, 'kt/kind': 'mesh', 'kt/holder': request.holder },
      env: {},
    }
    const shadow = await createShadow(context, options, progress, hooks, draft.serving)
    return { ...draft, shadow }
  } catch (error) {
    await undoAll(undo)
    throw error
  }
}

function draftOf(
  context: BackContext,
  request: MeshRequest,
  found: Found,
  plan: PortPlan,
  options: ShadowOptions,
  id: string,
  lease: { name: string; uid: string; since: string },
): BackHandle {
  const { mode, header, value, prefix } = request
  return {
    kind: 'mesh',
    mode: 'selector',
    id,
    namespace: context.namespace,
    service: found.service!.metadata!.name!,
    address: addressOf(found.service!),
    owner: ownerOf(found.pods),
    workload: undefined,
    selector: {},
    written: {},
    ports: plan.ports,
    remotes: plan.remotes,
    holder: request.holder,
    since: lease.since,
    lease: { name: lease.name, uid: lease.uid },
    original: undefined,
    warnings: [],
    options,
    mesh: { mode, header, value: value!, prefix, others: otherVersions(found) },
    // Both come before it is handed out.
    shadow: undefined as never,
    serving: undefined as never,
  }
}

// Labels that only one pod or one revision has.
const OF_ONE =
  /^(pod-template-hash|controller-revision-hash|apps\.kubernetes\.io\/pod-index|statefulset\.kubernetes\.io\/.*)$/

function podLabelsOf({ pods }: Found): Labels {
  const labels = pods.find(({ metadata }) => metadata?.labels?.[ID_LABEL] === undefined)?.metadata?.labels ?? {}
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !OF_ONE.test(key)))
}

/** Values of the label `version` on the Service's own pods: what Istio's rules can name them by. */
function otherVersions({ pods }: Found): string[] {
  const own = pods.filter(({ metadata }) => metadata?.labels?.[ID_LABEL] === undefined)
  return [...new Set(own.flatMap(({ metadata }) => metadata?.labels?.['version'] ?? []))]
}

/**
 * Says on the Service which router is its own, before that is made. False when the Service does not say any more what it said
 * when it was read. `joins`: it named this router then.
 */
async function mark(context: BackContext, draft: BackHandle, joins: boolean): Promise<boolean> {
  const { namespace } = context
  const name = draft.service!
  interface Marked {
    patch: MergePatch | undefined
    done: boolean
  }
  const marked = await change(
    context,
    servicePath(namespace, name),
    `marking the Service ${name}`,
    (service: V1Service): Marked => {
      const there = readRecord(service.metadata?.annotations)
      if (there && there.id !== draft.id) {
        if (there.kind !== 'mesh') throw held(there, name, namespace)
        return { patch: undefined, done: false }
      }
      if (there) return { patch: undefined, done: true }
      if (joins) return { patch: undefined, done: false }
      const { resourceVersion } = service.metadata!
      const annotations = { [RECORD_ANNOTATION]: JSON.stringify(recordOf(draft)) }
      return { patch: { metadata: { resourceVersion, annotations } }, done: true }
    },
  )
  if (!marked) throw clusterError('target-unknown', `the Service ${name} is not there any more`)
  return marked.done
}

/** Puts the Service back if nobody else meshes it. */
export async function restoreMesh(context: BackContext, handle: BackHandle, progress: Progress): Promise<Restored> {
  if (handle.mesh!.mode === 'manual') {
    const kept: string[] = []
    await leaveEndpoints(context, handle.service!, handle.id, kept)
    return { restored: [], kept }
  }
  const others = await othersOf(context, handle)
  if (others.length === 0) return restoreService(context, handle.service!, recordOf(handle), progress)
  const names = others.map(({ mark, holder }) => `${mark} (${personOf(holder)})`)
  return { restored: [], kept: [`${handle.service} stays meshed for ${names.join(', ')}`] }
}

export async function removeMesh(context: BackContext, handle: BackHandle): Promise<void> {
  if (handle.mesh!.mode === 'manual') {
    await removeShadow(context.api, handle.shadow)
    await deleteLease(context, handle.lease.name, handle.holder)
  } else await leave(context, handle, () => {})
}

/**
 * Gives up this person's version. Whoever leaves last also removes the router; if two people leave at the same time, the
 * later one does.
 */
async function leave(context: BackContext, handle: BackHandle, progress: Progress): Promise<void> {
  const { namespace } = context
  await deleteLease(context, handle.lease.name, handle.holder)
  const isLast = await attempts(context.sleep, `leaving the mesh of ${handle.service}`, async () => {
    if ((await othersOf(context, handle)).length > 0) {
      await leadAgain(context, handle)
      // Whoever was about to join may have given up meanwhile, and then nobody else would put the Service back.
      return (await othersOf(context, handle)).length > 0 ? false : AGAIN
    }
    await restoreService(context, handle.service!, recordOf(handle), progress)
    return (await othersOf(context, handle)).length > 0 ? AGAIN : true
  })
  if (!isLast) return
  await removeRouters(context, handle.id)
  if (handle.original)
    await deleteOwn(context, servicePath(namespace, handle.original.name), handle.id, `Service ${handle.original.name}`)
}

/** For somebody who joined while the last one was putting the Service back. */
async function leadAgain(context: BackContext, handle: BackHandle): Promise<void> {
  const doing = `leading the Service ${handle.service} to the router`
  await change(context, servicePath(context.namespace, handle.service!), doing, (service: V1Service) => ({
    patch: readRecord(service.metadata?.annotations) ? undefined : switchPatch(service, recordOf(handle)),
  }))
}

async function othersOf({ api, namespace }: BackContext, { id, lease }: BackHandle) {
  return (await listLeases(api, namespace)).filter((each) => each.id === id && each.lease !== lease.name)
}
