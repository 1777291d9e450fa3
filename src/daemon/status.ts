// `kt status`, put together from the connection and what stands on this machine.
import type { ClusterConnection } from '../connection/connection.ts'
import type { UpConfig } from '../control/config.ts'
import type { LineStatus, Status } from '../control/protocol.ts'
import { VERSION } from '../control/version.ts'
import type { Tunnel } from '../tunnel/tunnel.ts'
import { type LocalNetwork, MTU } from './local-network.ts'
import { shadowImage } from './shadow-options.ts'

export interface StatusSources {
  config: UpConfig
  connection: ClusterConnection
  network: LocalNetwork
  state: Status['state']
  /** When the state began. */
  since: Date
  notes: string[]
}

export function statusOf({ config, connection, network, state, since, notes }: StatusSources): Status {
  const { identity, shadow } = connection
  const { applied, desired } = network
  const counters = network.path?.stack.counters
  const tunnel = connection.tunnel()
  return {
    version: VERSION,
    state,
    since: since.toISOString(),
    pid: process.pid,
    context: identity?.context ?? '',
    cluster: identity?.cluster ?? '',
    server: identity?.server ?? '',
    namespace: identity?.namespace ?? '',
    user: identity?.user ?? '',
    shadow: shadow
      ? {
          kind: shadow.kind,
          namespace: shadow.namespace,
          job: shadow.job,
          pod: shadow.pod,
          node: shadow.node,
          image: shadowImage(config),
          version: tunnel?.info.version ?? null,
        }
      : null,
    tun: applied && desired ? { name: applied.tunName, mtu: MTU, addresses: desired.addresses } : null,
    ranges: connection.ranges.ranges,
    routes: network.routes,
    dns: {
      mode: applied?.dnsMode ?? 'none',
      servers: desired?.dns.servers ?? [],
      domains: desired?.dns.domains ?? [],
    },
    flows: { tcp: counters?.tcpFlows ?? 0, udp: counters?.udpFlows ?? 0 },
    bytes: { in: counters?.bytesOut ?? 0, out: counters?.bytesIn ?? 0 },
    roundTripMs: tunnel?.stats.roundTripMs ?? null,
    reconnects: connection.reconnects,
    line: lineStatus(tunnel),
    foreignPackets: counters?.foreign ?? 0,
    memoryBytes: process.memoryUsage.rss(),
    notes,
    faults: network.selfCheck.faults,
    exchanges: [],
    proxies: [],
    shells: [],
  }
}

function lineStatus(tunnel: Tunnel | undefined): LineStatus | null {
  if (!tunnel?.line) return null
  const { state, resumptions, moves, lastGap, paths, wantedPaths, missingPath } = tunnel.line.report
  return {
    ...{ state, resumptions, moves, lastGap: lastGap ?? null },
    paths: paths.map(({ way, ageMs, endsInMs }) => ({ way: way ?? null, ageMs, endsInMs: endsInMs ?? null })),
    ...{ wantedPaths, missingPath: missingPath ?? null },
  }
}
