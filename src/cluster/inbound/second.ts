// The second Service, NAME-kt-original-HASH: it keeps the selector that the exchanged one had, and is what the agent dials for
// everything that nobody takes here.
import type { V1Service } from '@kubernetes/client-node'
import { clusterError, fromStatus } from '../errors.ts'
import { MERGE } from '../follow.ts'
import { belongsTo, type InboundContext } from './context.ts'
import { ID_LABEL, type InboundRecord, MANAGED_LABELS, RECORD_ANNOTATION, readRecord } from './record.ts'
import { find, servicePath } from './resolve.ts'

/** Makes it, or finds the one that others of the same mesh use. Throws `name-taken` where that name is something else's. */
export async function makeSecond(
  context: InboundContext,
  service: V1Service,
  record: InboundRecord,
): Promise<{ name: string; address: string }> {
  const { api, namespace } = context
  const name = record.original!
  const { selector = {} } = record
  const labels = { ...MANAGED_LABELS, [ID_LABEL]: record.id }
  // Once more, for whoever finds the exchanged Service without it.
  const annotations = { [RECORD_ANNOTATION]: JSON.stringify(record) }
  const { ports = [], ipFamilies, publishNotReadyAddresses } = service.spec!
  const spec = {
    type: 'ClusterIP',
    selector,
    ports: ports.map(({ name, port, protocol, targetPort, appProtocol }) => ({
      name,
      port,
      protocol,
      targetPort,
      appProtocol,
    })),
    ...(ipFamilies?.[0] && { ipFamilies: [ipFamilies[0]], ipFamilyPolicy: 'SingleStack' }),
    ...(publishNotReadyAddresses && { publishNotReadyAddresses }),
  }
  const body = { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, labels, annotations }, spec }
  const doing = `creating the Service ${name}`
  const answer = await api.ask('POST', servicePath(namespace), { body })
  if (answer.status < 400) return found(answer.body as V1Service)
  if (answer.status !== 409) throw fromStatus(answer.status, answer.body, doing)
  const there = await find<V1Service>(api, servicePath(namespace, name))
  if (!there || !belongsTo(there, record.id) || readRecord(there.metadata?.annotations)?.target !== record.target)
    throw clusterError(
      'name-taken',
      `there is a Service ${name} which does not belong to this ${record.kind} of ${record.target}`,
      'rename or delete it: kt needs that name',
    )
  // A merge patch would keep keys of the old selector.
  const gone = Object.keys(there.spec?.selector ?? {}).filter((key) => !(key in selector))
  const change = {
    metadata: { resourceVersion: there.metadata!.resourceVersion, labels, annotations },
    spec: { ports: spec.ports, selector: { ...Object.fromEntries(gone.map((key) => [key, null])), ...selector } },
  }
  const { body: changed } = await api.send<V1Service>('PATCH', servicePath(namespace, name), {
    body: change,
    contentType: MERGE,
    doing,
  })
  return found(changed)
}

function found({ metadata, spec }: V1Service) {
  return { name: metadata!.name!, address: spec!.clusterIP! }
}
