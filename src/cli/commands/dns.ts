// `kt dns status`, `query`, `trace`, `log`: who answers names, one answer with who was asked, each decision on the way of
// one, and what programs asked last.
import type { Command } from 'commander'
import { visible } from '../../base/visible.ts'
import type { DnsAnswer, DnsStatus } from '../../control/protocol.ts'
import type { DnsLogEntry } from '../../control/views.ts'
import { traceLines } from '../dns-trace.ts'
import { withEngine } from '../engine.ts'
import { dim, EXIT, printFields, printJson } from '../output.ts'
import { acceptClusterOptions, withClusterOptions } from './common.ts'

export function addDnsCommands(program: Command): void {
  const dns = acceptClusterOptions(
    program.command('dns').description('names: who answers them, and one answer in detail'),
  )
  withClusterOptions(dns.command('status').description('mode, zones, upstreams, counters'))
    .option('--json', 'one JSON object')
    .action(async (options: { json?: boolean }) => {
      const status = await withEngine((engine) => engine.request('dns.status', {}))
      if (options.json) printJson(status)
      else printStatus(status)
    })
  withClusterOptions(dns.command('query').description('one answer through kt'))
    .argument('<name>', 'as a program would ask: web, web.shop, db-0.db.shop.svc, ...')
    .argument('[type]', 'A, AAAA, SRV, PTR, TXT, ...', 'A')
    .option('--json', 'one JSON object')
    .action(async (name: string, type: string, options: { json?: boolean }) => {
      const answer = await withEngine((engine) => engine.request('dns.query', { name, type: type.toUpperCase() }))
      if (options.json) printJson(answer)
      else printAnswer(answer)
      if (answer.rcode !== 'NOERROR') process.exitCode = EXIT.failed
    })
  withClusterOptions(dns.command('trace').description('each decision on the way of one question, asked past the cache'))
    .argument('<name>', 'as a program would ask: web, web.shop, db-0.db.shop.svc, ...')
    .argument('[type]', 'A, AAAA, SRV, PTR, TXT, ...', 'A')
    .option('--json', 'one JSON object')
    .action(async (name: string, type: string, options: { json?: boolean }) => {
      const trace = await withEngine((engine) => engine.request('dns.trace', { name, type: type.toUpperCase() }))
      if (options.json) printJson(trace)
      else for (const line of traceLines(trace)) process.stdout.write(`${line}\n`)
      if (trace.rcode !== 'NOERROR') process.exitCode = EXIT.failed
    })
  withClusterOptions(dns.command('log').description('what programs asked last, who answered and why'))
    .option('--json', 'one JSON object')
    .action(async (options: { json?: boolean }) => {
      const log = await withEngine((engine) => engine.request('dns.log', {}))
      if (options.json) printJson(log)
      else printLog(log.entries)
    })
}

function printLog(entries: DnsLogEntry[]): void {
  const out = process.stdout
  if (entries.length === 0) out.write('no program has asked kt for a name yet\n')
  for (const { at, name, type, rcode, upstream, ms, rule } of entries)
    out.write(
      `${at.slice(11, 23)}  ${type.padEnd(5)} ${visible(name)}  ${rcode}  ${upstream}, ${ms} ms  ${dim(out, rule)}\n`,
    )
}

function printStatus(s: DnsStatus): void {
  printFields([
    ['mode', s.mode],
    ['server', s.servers.join('\n')],
    ['cluster', `${s.clusterDomain}, short names in namespace ${s.namespace}`],
    ['zones', s.domains.join('\n')],
    ['search', s.searchDomains.join('\n')],
    [
      'upstreams',
      [
        `cluster's names: ${s.upstreams.cluster}`,
        `all others: ${s.upstreams.local.join(', ') || 'left to the system'}`,
      ].join('\n'),
    ],
    [
      'counters',
      Object.entries(s.counters)
        .map(([name, value]) => `${value} ${name}`)
        .join(', '),
    ],
  ])
}

function printAnswer(a: DnsAnswer): void {
  const out = process.stdout
  for (const r of a.records) out.write(`${visible(r.name)}\t${r.ttl}\t${r.type}\t${visible(r.data)}\n`)
  if (a.records.length === 0)
    out.write(`${a.name} ${a.type}: ${a.rcode === 'NOERROR' ? 'exists, without a record of this type' : a.rcode}\n`)
  out.write(`${dim(out, `rule: ${a.rule}`)}\n`)
  for (const t of a.tries)
    out.write(`${dim(out, `asked ${t.upstream} for ${t.name}: ${t.rcode}, ${t.ms.toFixed(1)} ms`)}\n`)
}
