// The beginning of exchange, mesh and run: everything that is needed is made, and nothing leads to it yet. Whoever fails
// or gives up here leaves nothing behind (docs/understand/exchange.md, states `leased` to `ready`).
import type { V1Job, V1Service } from '@kubernetes/client-node'
import type { BackHandle, ExchangeRequest, RunRequest, Serving } from '../back-port.ts'
import { clusterError, fromStatus } from '../errors.ts'
import type { Progress, ShadowHooks, ShadowOptions } from '../port.ts'
import { createShadow } from '../shadow.ts'
import { addressOf, type BackContext, deleteOwn, recordOf, targetOf } from './context.ts'
import { leaseName, secondName } from './derived.ts'
import { deleteLease, held, leasesByOtherNames, ownLease, type TakenLease, takeLease } from './lease.ts'
import { ownerOf } from './owner.ts'
import { agentPorts, type PortPlan, plainPorts, planPorts, unservedPorts } from './ports.ts'
import {
  type BackRecord,
  ID_LABEL,
  type Labels,
  MANAGED_LABELS,
  personOf,
  RECORD_ANNOTATION,
  readRecord,
  writtenSelector,
} from './record.ts'
import { endOther, survey } from './remains.ts'
import { type Found, resolveTarget, servicePath } from './resolve.ts'
import { makeSecond } from './second.ts'
import { warningsOf } from './warnings.ts'

/** The agent of a run ends this long after its client has gone; that of an exchange never, since a Service leads to it. */
const RUN_IDLE_S = 60

export async function beginExchange(
  context: BackContext,
  request: ExchangeRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  const { api, namespace } = context
  const found = await resolveTarget(api, namespace, request.target, request.mode)
  const { service, workload, target } = found
  const id = context.suffix()
  const plan = service ? planPorts(service, found.pods, request.ports) : plainPorts(request.ports, found.pods)
  refuseHeld(found, request, namespace)
  const unserved = request.mode === 'scale' ? unservedPorts(found.services, found.pods, plan) : []
  if (unserved.length > 0 && !request.force) throw leftWithoutPods(unserved, target)
  const known = readRecord(service?.metadata?.annotations) ?? readRecord(workload?.object.metadata?.annotations)
  const selector = request.mode === 'selector' ? (known?.selector ?? service!.spec!.selector!) : {}
  const record: Omit<BackRecord, 'since'> = {
    version: 1,
    kind: request.kind,
    mode: request.mode,
    id,
    target,
    holder: request.holder,
    lease: leaseName('exchange', target),
  }
  const undo: (() => Promise<unknown>)[] = []
  try {
    const lease = await takeLease(context, record, request.force)
    undo.push(() => deleteLease(context, lease.name, request.holder))
    const older = await takeOlderLeases(context, record, request.force)
    if (request.force) await endOthers(context, found, record, progress)
    for (const { name } of older) await deleteLease(context, name, request.holder)
    const replicas = workload && (known?.replicas ?? workload.object.spec?.replicas ?? 1)
    const draft: Omit<BackHandle, 'shadow'> = {
      kind: request.kind,
      mode: request.mode,
      id,
      namespace,
      service: service?.metadata?.name,
      ...(service && { address: addressOf(service) }),
      owner: ownerOf(found.pods),
      workload: workload && { kind: workload.kind, name: workload.object.metadata!.name!, replicas: replicas! },
      selector,
      written: request.mode === 'selector' ? writtenSelector(selector, id) : {},
      ports: request.mode === 'scale' ? plan.ports.filter(({ exposed }) => exposed) : plan.ports,
      remotes: plan.remotes,
      holder: request.holder,
      since: lease.since,
      lease: { name: lease.name, uid: lease.uid },
      original: undefined,
      warnings: [
        ...(found.more ? [found.more] : []),
        ...unserved.map((ports) => `nobody serves port ${ports} meanwhile: the pods are scaled to 0`),
        ...plan.warnings,
        ...(await warningsOf(context, found, request.mode)),
      ],
      options,
      serving: undefined as never,
    }
    let address: string | undefined
    if (request.mode === 'selector') {
      draft.original = { name: secondName(service!.metadata!.name!, id) }
      const second = await makeSecond(context, service!, recordOf(draft))
      undo.unshift(() => deleteOwn(context, servicePath(namespace, second.name), id, `Service ${second.name}`))
      address = second.address
    }
    const podLabels =
      request.mode === 'selector' ? draft.written : (workload!.object.spec!.template.metadata?.labels ?? {})
    draft.serving = serving(draft, { ...plan, ports: draft.ports }, address, podLabels, 0)
    const shadow = await createShadow(context, options, progress, hooks, draft.serving)
    return { ...draft, shadow }
  } catch (error) {
    await undoAll(undo)
    throw error
  }
}

export async function beginRun(
  context: BackContext,
  request: RunRequest,
  options: ShadowOptions,
  progress: Progress,
  hooks: ShadowHooks = {},
): Promise<BackHandle> {
  const { api, namespace } = context
  const { name, holder } = request
  const id = context.suffix()
  const plan = plainPorts(request.ports)
  const record: Omit<BackRecord, 'since'> = {
    version: 1,
    kind: 'run',
    mode: 'run',
    id,
    target: name,
    holder,
    lease: leaseName('run', name),
  }
  const undo: (() => Promise<unknown>)[] = []
  try {
    const there = await api.ask('GET', servicePath(namespace, name))
    if (there.status === 200) throw taken(name, namespace, there.body as V1Service)
    const lease = await takeLease(context, record, false)
    undo.push(() => deleteLease(context, lease.name, holder))
    await takeOlderLeases(context, record, false)
    const draft: Omit<BackHandle, 'shadow'> = {
      kind: 'run',
      mode: 'run',
      id,
      namespace,
      service: name,
      workload: undefined,
      selector: {},
      written: { [ID_LABEL]: id },
      ports: plan.ports,
      remotes: plan.remotes,
      holder,
      since: lease.since,
      lease: { name: lease.name, uid: lease.uid },
      original: undefined,
      warnings: [],
      options,
      serving: undefined as never,
    }
    draft.serving = serving(draft, plan, undefined, {}, RUN_IDLE_S)
    const onJob = async (job: V1Job) => {
      // Service and lease go with the Job, which ends when its client has gone.
      const owners = [{ apiVersion: 'batch/v1', kind: 'Job', name: job.metadata!.name!, uid: job.metadata!.uid! }]
      const metadata = {
        name,
        namespace,
        labels: { ...MANAGED_LABELS, [ID_LABEL]: id },
        annotations: { [RECORD_ANNOTATION]: JSON.stringify(recordOf(draft)) },
        ownerReferences: owners,
      }
      const ports = plan.ports.map(({ port, protocol }) => ({
        name: `${protocol.toLowerCase()}-${port}`,
        port,
        protocol,
        targetPort: port,
      }))
      const spec = { selector: { [ID_LABEL]: id }, ports, ipFamilyPolicy: 'PreferDualStack' }
      const answer = await api.ask('POST', servicePath(namespace), {
        body: { apiVersion: 'v1', kind: 'Service', metadata, spec },
      })
      if (answer.status === 409) throw taken(name, namespace)
      if (answer.status >= 400) throw fromStatus(answer.status, answer.body, `creating the Service ${name}`)
      draft.address = addressOf(answer.body as V1Service)
      undo.unshift(() => deleteOwn(context, servicePath(namespace, name), id, `Service ${name}`))
      await ownLease(context, lease, owners)
    }
    const shadow = await createShadow({ ...context, onJob }, options, progress, hooks, draft.serving)
    return { ...draft, shadow }
  } catch (error) {
    await undoAll(undo)
    throw error
  }
}

function serving(
  handle: Omit<BackHandle, 'shadow'>,
  plan: PortPlan,
  originalHost: string | undefined,
  podLabels: Labels,
  idleSeconds: number,
): Serving {
  return {
    id: handle.id,
    ports: agentPorts(plan, originalHost, handle.kind === 'mesh'),
    named: plan.named,
    sshPort: plan.sshPort,
    readyPort: plan.readyPort,
    probed: false,
    podLabels: { ...podLabels, [ID_LABEL]: handle.id },
    idleSeconds,
    annotations: { 'kt/target': targetOf(handle), 'kt/kind': handle.kind, 'kt/holder': handle.holder },
    env: {},
  }
}

function leftWithoutPods(unserved: string[], target: string) {
  const one = unserved.length === 1 && !/, | and /.test(unserved[0])
  return clusterError(
    'target-unfit',
    `with --mode scale nobody would serve ${one ? 'port' : 'ports'} ${unserved.join(', ')}: the pods of ${target} are scaled to 0`,
    `expose ${one ? 'it' : 'them'} as well, use --mode selector, or accept it with --force`,
  )
}

/** Held by what its annotation says, or by a shadow that stands where its pods were. */
function refuseHeld({ service, workload, pods, target }: Found, request: ExchangeRequest, namespace: string): void {
  const { force, mode } = request
  const there = readRecord(service?.metadata?.annotations) ?? readRecord(workload?.object.metadata?.annotations)
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
  throw clusterError(
    'held',
    `the pods of ${target} are exchanged already, by ${personOf(by)}, with --mode scale`,
    mode === 'scale' ? 'ask them to leave it' : 'ask them to leave it, or name what they exchanged, with --force',
  )
}

/** A Service that is in the way of a run. */
function taken(name: string, namespace: string, there?: V1Service) {
  const record = readRecord(there?.metadata?.annotations)
  if (record) return held(record, name, namespace)
  return clusterError(
    'name-taken',
    `there is a Service ${name} already`,
    `take another name, or \`kt exchange ${name} -n ${namespace} --expose LOCAL:REMOTE\` to have its requests here`,
  )
}

/**
 * Leases by which a kt of another version holds the same. Throws `held` where there is one, unless `force`: then they are
 * taken, so that their holders end.
 */
async function takeOlderLeases(
  context: BackContext,
  record: Omit<BackRecord, 'since'>,
  force: boolean,
): Promise<TakenLease[]> {
  const older = await leasesByOtherNames(context, record)
  if (older.length > 0 && !force)
    throw held({ ...record, holder: older[0].holder, since: older[0].since }, record.target, context.namespace)
  const taken: TakenLease[] = []
  for (const { lease } of older) taken.push(await takeLease(context, { ...record, lease }, true))
  return taken
}

/** Whoever led these requests elsewhere until now: what they changed is put back, and their shadow ends. */
async function endOthers(
  context: BackContext,
  { service, workload }: Found,
  { id, target, lease }: Omit<BackRecord, 'since'>,
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

// What failed first is what the user hears of; what cannot be undone now is found by kt clean.
export async function undoAll(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (const step of undo) await step().catch(() => {})
}
