// `kt run`: a new Service that leads to new shadows. Nothing is there to put back, and all of it ends with its Jobs.
import type { V1Job, V1Lease, V1ObjectMeta, V1Service } from '@kubernetes/client-node'
import { clusterError, fromStatus } from '../../errors.ts'
import { MERGE } from '../../follow.ts'
import type { InboundHandle, RunRequest } from '../../inbound-calls.ts'
import { createShadow } from '../../shadow.ts'
import { addressOf, type Draft, deleteOwn, type InboundContext, recordOf } from '../context.ts'
import { leaseName } from '../derived.ts'
import type { ClusterKind } from '../kind.ts'
import { deleteLease, held, leasePath, ownLease, takeLease } from '../lease.ts'
import { takeOlderLeases } from '../older-leases.ts'
import { agentPorts, plainPorts } from '../ports.ts'
import { ID_LABEL, type InboundRecord, MANAGED_LABELS, RECORD_ANNOTATION, readRecord } from '../record.ts'
import { find, servicePath } from '../resolve.ts'
import { servingOf } from '../serving.ts'
import { addOwn, removeOwn, replaceOwn, someShadow } from '../shadows.ts'
import { waitUntilLed, waitUntilReady } from '../switch.ts'
import { undoing } from '../undo.ts'

/** The agent ends this long after its client has gone. */
const IDLE_S = 60

export const run: ClusterKind<RunRequest> = {
  async begin(context, request, options, progress, hooks) {
    const { api, namespace } = context
    const { name, holder } = request
    const id = context.suffix()
    const plan = plainPorts(request.ports)
    const record: Omit<InboundRecord, 'since'> = {
      ...{ version: 1, kind: 'run', mode: 'run', id, target: name, holder },
      lease: leaseName('run', name),
    }
    return await undoing(async (undo) => {
      const there = await api.ask('GET', servicePath(namespace, name))
      if (there.status === 200) throw taken(name, namespace, there.body as V1Service)
      const lease = await takeLease(context, record, false)
      undo.push(() => deleteLease(context, lease.name, holder))
      await takeOlderLeases(context, record, false)
      const draft: Draft = {
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
      }
      const ports = agentPorts(plan, undefined, false)
      const serving = servingOf(draft, plan, { ports, podLabels: {}, idleSeconds: IDLE_S })
      const onJob = async (job: V1Job) => {
        // Service and lease go with the Job, which ends when its client has gone.
        const owners = [ownerOf(job)]
        draft.address = await createService(context, draft, owners)
        undo.unshift(() => deleteOwn(context, servicePath(namespace, name), id, `Service ${name}`))
        await ownLease(context, lease, owners)
      }
      const shadow = await createShadow({ ...context, onJob }, options, progress, hooks, serving)
      return { ...draft, serving, shadow }
    })
  },

  async switch(context, handle, progress) {
    await waitUntilReady(context, handle, progress)
    await waitUntilLed(context, handle, someShadow(handle), progress)
  },

  async restore(context, { namespace, service, id }) {
    const deleted = await deleteOwn(context, servicePath(namespace, service), id, `Service ${service}`)
    return { restored: deleted ? [`no Service ${service}, as before`] : [], kept: [] }
  },

  async remove(context, handle) {
    await run.restore(context, handle, () => {})
    await removeOwn(context, handle)
  },

  add: (context, handle, progress, hooks) => addOwn(withJob(context, handle), handle, progress, hooks),
  replace: (context, handle, progress, hooks) => replaceOwn(withJob(context, handle), handle, progress, hooks),
}

/** Resolves to its address. */
async function createService(
  { api, namespace }: InboundContext,
  draft: Draft,
  ownerReferences: object[],
): Promise<string | undefined> {
  const name = draft.service!
  const metadata = {
    name,
    namespace,
    labels: { ...MANAGED_LABELS, [ID_LABEL]: draft.id },
    annotations: { [RECORD_ANNOTATION]: JSON.stringify(recordOf(draft)) },
    ownerReferences,
  }
  const ports = draft.ports.map(({ port, protocol }) => ({
    name: `${protocol.toLowerCase()}-${port}`,
    port,
    protocol,
    targetPort: port,
  }))
  const spec = { selector: draft.written, ports, ipFamilyPolicy: 'PreferDualStack' }
  const answer = await api.ask('POST', servicePath(namespace), {
    body: { apiVersion: 'v1', kind: 'Service', metadata, spec },
  })
  if (answer.status === 409) throw taken(name, namespace)
  if (answer.status >= 400) throw fromStatus(answer.status, answer.body, `creating the Service ${name}`)
  return addressOf(answer.body as V1Service)
}

/** Service and Lease go with the last of the Jobs. */
function withJob(context: InboundContext, handle: InboundHandle): InboundContext {
  return { ...context, onJob: (job) => ownedBy(context, handle, job) }
}

async function ownedBy({ api, namespace }: InboundContext, handle: InboundHandle, job: V1Job): Promise<void> {
  for (const path of [servicePath(namespace, handle.service!), leasePath(namespace, handle.lease.name)]) {
    const object = await find<(V1Service | V1Lease) & { metadata: V1ObjectMeta }>(api, path)
    if (!object) continue
    const ownerReferences = [...(object.metadata.ownerReferences ?? []), ownerOf(job)]
    await api.send('PATCH', path, {
      body: { metadata: { ownerReferences } },
      contentType: MERGE,
      doing: `making ${object.metadata.name} go with the Job ${job.metadata!.name}`,
    })
  }
}

function ownerOf({ metadata }: V1Job) {
  return { apiVersion: 'batch/v1', kind: 'Job', name: metadata!.name!, uid: metadata!.uid! }
}

/** A Service that is in the way. */
function taken(name: string, namespace: string, there?: V1Service) {
  const record = readRecord(there?.metadata?.annotations)
  if (record) return held(record, name, namespace)
  return clusterError(
    'name-taken',
    `there is a Service ${name} already`,
    `take another name, or \`kt exchange ${name} -n ${namespace} --expose LOCAL:REMOTE\` to have its requests here`,
  )
}
