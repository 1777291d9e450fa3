// The engine's counters in Prometheus' text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
// Names after https://prometheus.io/docs/practices/naming/: base units, `_total` for what only grows.
import type { Status } from '../control/protocol.ts'
import type { DnsCounters } from '../dns/interfaces.ts'
import type { StackCounters } from '../stack/api.ts'

export interface MetricSources {
  status: Status
  /** kt's version. */
  version: string
  stack: Readonly<StackCounters> | undefined
  dns: Readonly<DnsCounters> | undefined
  /** CPU time of the engine, seconds. */
  cpuSeconds: number
}

type Labels = Record<string, string>
type Sample = [labels: Labels, value: number]
const STATES: Status['state'][] = ['connecting', 'connected', 'reconnecting', 'disconnecting']

/** The whole exposition. What is not known yet is left out. */
export function metricsText({ status, version, stack, dns, cpuSeconds }: MetricSources): string {
  const families: string[] = []
  const family = (type: 'gauge' | 'counter', name: string, help: string, samples: Sample[]) => {
    if (samples.length > 0)
      families.push(
        `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map((s) => sampleLine(name, s)).join('')}`,
      )
  }
  const gauge = (name: string, help: string, value: number | null) =>
    family('gauge', name, help, value === null ? [] : [[{}, value]])
  const counter = (name: string, help: string, value: number | undefined) =>
    family('counter', name, help, value === undefined ? [] : [[{}, value]])
  const { cluster, namespace, context, flows, shadow, bytes } = status

  family('gauge', 'kt_info', 'What kt is connected to; the value is 1.', [
    [{ version, cluster, context, namespace, shadow: shadow?.kind ?? '' }, 1],
  ])
  family(
    'gauge',
    'kt_state',
    'State of the connection: 1 for the one it is in.',
    STATES.map((state) => [{ state }, state === status.state ? 1 : 0]),
  )
  gauge('kt_state_start_time_seconds', 'When that state began, Unix time.', Date.parse(status.since) / 1000)
  gauge(
    'kt_tunnel_round_trip_seconds',
    'Round trip of the last heartbeat through the tunnel.',
    status.roundTripMs === null ? null : status.roundTripMs / 1000,
  )
  counter('kt_tunnel_reconnects_total', 'Times the tunnel was lost and made again.', status.reconnects)
  family('gauge', 'kt_flows', "Open flows of this machine's programs.", [
    [{ protocol: 'tcp' }, flows.tcp],
    [{ protocol: 'udp' }, flows.udp],
  ])
  counter('kt_received_bytes_total', "IP packets to this machine's programs, headers included.", bytes.in)
  counter('kt_sent_bytes_total', "IP packets from this machine's programs, headers included.", bytes.out)
  counter(
    'kt_received_packets_total',
    "IP packets to this machine's programs; one may be cut by the kernel.",
    stack?.packetsOut,
  )
  counter('kt_sent_packets_total', "IP packets from this machine's programs.", stack?.packetsIn)
  counter('kt_dropped_packets_total', 'Packets that were malformed or above a limit.', stack?.dropped)
  counter('kt_foreign_packets_total', "Packets from addresses that are not the device's own, dropped.", stack?.foreign)
  counter('kt_retransmitted_segments_total', 'TCP segments sent to programs again.', stack?.retransmitted)
  if (dns) {
    counter('kt_dns_queries_total', 'Questions to the DNS server.', dns.queries)
    family('counter', 'kt_dns_upstream_queries_total', 'Questions handed on, by whom they were for.', [
      [{ upstream: 'cluster' }, dns.toCluster],
      [{ upstream: 'local' }, dns.toLocal],
    ])
    counter('kt_dns_cache_hits_total', 'Questions answered from the cache.', dns.fromCache)
    counter('kt_dns_stale_answers_total', 'Answers given although they were past their time.', dns.stale)
    counter('kt_dns_failures_total', 'Questions nobody could answer.', dns.failed)
  }
  gauge('kt_engine_resident_memory_bytes', 'Resident memory of the engine.', status.memoryBytes)
  counter('kt_engine_cpu_seconds_total', 'CPU time of the engine, user and system.', cpuSeconds)
  return families.join('')
}

function sampleLine(name: string, [labels, value]: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`)
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
