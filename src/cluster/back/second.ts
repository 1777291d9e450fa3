// The second Service, NAME-kt-original: it keeps the selector that the exchanged one had, and is what the agent dials for
// everything that nobody takes here.
import type { V1Service } from '@kubernetes/client-node'
import { clusterError, fromStatus } from '../errors.ts'
import { MERGE } from '../follow.ts'
import { type BackContext, isOurs } from './context.ts'
import { type BackRecord, ID_LABEL, MANAGED_LABELS, RECORD_ANNOTATION } from './record.ts'
import { find, servicePath } from './resolve.ts'

const SUFFIX = '-kt-original'
const LONGEST_NAME = 63 // RFC 1035 label

export function secondName(service: string): string {
  return service.slice(0, LONGEST_NAME - SUFFIX.length) + SUFFIX
}

/** Makes it, or takes over what a dead client left of that name. Throws `name-taken` where it is not kt's. */
export async function makeSecond(
  context: BackContext,
  service: V1Service,
  record: BackRecord,
): Promise<{ name: string; address: string }> {
  const { api, namespace } = context
  const name = secondName(service.metadata!.name!)
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
  if (!there || !isOurs(there))
    throw clusterError(
      'name-taken',
      `there is a Service ${name} which is not kt's`,
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
