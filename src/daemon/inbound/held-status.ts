// What `kt status` and `kt list` say of one exchange, mesh or run. Pure.

import type { ClusterIdentity } from '../../cluster/calls.ts'
import type { InboundHandle } from '../../cluster/inbound-calls.ts'
import type { InboundConfig } from '../../control/holder.ts'
import type { Held, StatusFault } from '../../control/protocol.ts'
import type { Crew } from './crew.ts'
import type { Targets } from './targets.ts'

export interface HeldFacts {
  config: InboundConfig
  mode: string
  name: string
  state: Held['state']
  /** Milliseconds since 1970. */
  since: number
  handle: InboundHandle | undefined
  identity: ClusterIdentity | undefined
  crew: Pick<Crew, 'shadow' | 'tunnel' | 'reconnects' | 'faults'>
  targets: Pick<Targets, 'counters' | 'splices'>
  /** Why the Service cannot be led here although a shadow serves. */
  notLed: StatusFault | undefined
  /** What others did to the Service. */
  takenAway: StatusFault | undefined
}

export function heldStatus(facts: HeldFacts): Held {
  const { config, mode, name, state, since, handle, identity, crew, targets, notLed, takenAway } = facts
  const { counters } = targets
  const shadow = crew.shadow ?? handle?.shadow
  const mesh = handle?.mesh ?? config.mesh
  const waitsFor = crew.faults.length > 0 || !notLed ? crew.faults : [notLed]
  return {
    kind: config.kind,
    target: name,
    namespace: handle?.namespace ?? identity?.namespace ?? config.namespace ?? '',
    context: identity?.context ?? config.context ?? '',
    cluster: identity?.cluster ?? '',
    mode,
    version: mesh?.value === undefined ? null : `${mesh.header}: ${mesh.value}${mesh.prefix ? '*' : ''}`,
    state,
    since: new Date(since).toISOString(),
    pid: process.pid,
    background: config.background,
    ports: config.ports.map(({ local, remote, protocol }) => ({ local, remote, protocol: protocol ?? 'TCP' })),
    shell: config.shell?.name ?? null,
    shadow: shadow ? { job: shadow.job, pod: shadow.pod, node: shadow.node } : null,
    connections: { total: counters.total, open: [...targets.splices()].length, refused: counters.refused },
    bytes: { in: counters.bytesIn, out: counters.bytesOut },
    roundTripMs: crew.tunnel?.stats.roundTripMs ?? null,
    reconnects: crew.reconnects,
    notes: handle?.warnings ?? [],
    faults: [...(takenAway ? [takenAway] : []), ...(state === 'reconnecting' ? waitsFor : [])],
  }
}
