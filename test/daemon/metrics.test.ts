// What `kt metrics` prints, read by a small parser of Prometheus' text format that refuses what Prometheus would.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Status } from '../../src/control/protocol.ts'
import { type MetricSources, metricsText } from '../../src/daemon/metrics.ts'

const sources: MetricSources = {
  version: '1.2.3',
  status: {
    state: 'connected',
    since: '2026-01-02T03:04:05.000Z',
    cluster: 'a "quoted" \\ cluster\nin two lines',
    context: 'admin',
    namespace: 'shop',
    shadow: null,
    flows: { tcp: 7, udp: 2 },
    bytes: { in: 5_000_000_000, out: 12 },
    roundTripMs: 3.5,
    reconnects: 1,
    line: null,
    memoryBytes: 1 << 26,
  } as Status,
  stack: {
    packetsIn: 10,
    packetsOut: 20,
    bytesIn: 12,
    bytesOut: 5_000_000_000,
    dropped: 3,
    foreign: 6,
    retransmitted: 4,
    tcpFlows: 7,
    udpFlows: 2,
  },
  dns: { queries: 9, toCluster: 5, toLocal: 2, fromCache: 1, stale: 1, failed: 0 },
  cpuSeconds: 1.25,
}

interface Family {
  type: string
  help: string
  samples: { labels: Record<string, string>; value: number }[]
}

/** Throws for what breaks the format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
function parse(text: string): Map<string, Family> {
  assert.ok(text.endsWith('\n'), 'the last line must end')
  const families = new Map<string, Family>()
  let current = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line)
    if (comment) {
      const [, kind, name, rest] = comment
      if (kind === 'HELP') {
        assert.ok(!families.has(name), `${name} twice`)
        families.set(name, { type: '', help: rest, samples: [] })
        current = name
      } else {
        assert.equal(name, current)
        assert.match(rest, /^(counter|gauge)$/)
        families.get(name)!.type = rest
      }
      continue
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
    assert.ok(sample, `not a sample: ${line}`)
    assert.equal(sample[1], current, 'samples of one metric stand together')
    const labels: Record<string, string> = {}
    let rest = sample[2] ?? ''
    while (rest !== '') {
      const pair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/.exec(rest)
      assert.ok(pair, `not labels: ${rest}`)
      labels[pair[1]] = pair[2].replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))
      rest = rest.slice(pair[0].length)
    }
    const value = Number(sample[3])
    assert.ok(!Number.isNaN(value), line)
    families.get(current)!.samples.push({ labels, value })
  }
  return families
}

test('the metrics are in the format, with help and type, and named after the conventions', () => {
  const families = parse(metricsText(sources))
  assert.ok(families.size > 15)
  for (const [name, { type, help, samples }] of families) {
    assert.match(name, /^kt_[a-z_]+$/)
    assert.equal(name.endsWith('_total'), type === 'counter', name)
    assert.doesNotMatch(name, /milli|_ms|kilo|mega/)
    assert.match(help, /^[A-Z].*\.$/)
    assert.ok(samples.length > 0)
    assert.equal(new Set(samples.map(({ labels }) => JSON.stringify(labels))).size, samples.length)
  }
})

test('each number is where it belongs', () => {
  const families = parse(metricsText(sources))
  const value = (name: string, labels: Record<string, string> = {}) =>
    families
      .get(name)
      ?.samples.find((sample) => Object.entries(labels).every(([key, text]) => sample.labels[key] === text))?.value
  assert.equal(value('kt_info', { cluster: 'a "quoted" \\ cluster\nin two lines', version: '1.2.3' }), 1)
  assert.deepEqual([value('kt_state', { state: 'connected' }), value('kt_state', { state: 'reconnecting' })], [1, 0])
  assert.equal(value('kt_state_start_time_seconds'), 1767323045)
  assert.deepEqual([value('kt_flows', { protocol: 'tcp' }), value('kt_flows', { protocol: 'udp' })], [7, 2])
  assert.deepEqual([value('kt_received_bytes_total'), value('kt_sent_bytes_total')], [5_000_000_000, 12])
  assert.deepEqual([value('kt_received_packets_total'), value('kt_sent_packets_total')], [20, 10])
  assert.equal(value('kt_tunnel_round_trip_seconds'), 0.0035)
  assert.equal(value('kt_dns_upstream_queries_total', { upstream: 'local' }), 2)
  assert.equal(value('kt_engine_cpu_seconds_total'), 1.25)
  assert.deepEqual([value('kt_dropped_packets_total'), value('kt_foreign_packets_total')], [3, 6])
})

test('what is not known yet is left out', () => {
  const early = { ...sources, stack: undefined, dns: undefined, status: { ...sources.status, roundTripMs: null } }
  const families = parse(metricsText(early))
  for (const name of ['kt_tunnel_round_trip_seconds', 'kt_dns_queries_total', 'kt_sent_packets_total'])
    assert.ok(!families.has(name), name)
})
