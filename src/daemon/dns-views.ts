// What views show of names: who answers what, each decision on the way of a question, and what programs have asked.
import type { Clock } from '../base/clock.ts'
import type { DnsAnswer, DnsStatus } from '../control/protocol.ts'
import type { DnsLogEntry, DnsTrace } from '../control/views.ts'
import { addressesIn } from '../dns/answers.ts'
import type { DnsServer } from '../dns/interfaces.ts'
import { describeAnswer } from '../dns/records.ts'
import type { AppliedState } from '../host/desired.ts'
import { IpAddress } from '../wire/address.ts'
import { requireQuestion } from './dns-question.ts'

/** What is shown of a name service. */
interface ShownNames {
  readonly server: DnsServer
  readonly mode: AppliedState['dnsMode']
  readonly cluster: { clusterDomain: string; namespace: string }
  readonly upstreams: { cluster: string | undefined; local: string[] }
  linkDomains(): { domains: string[]; searchDomains: string[] }
}

/** `servers`: kt's own, as programs know them. */
export function dnsStatus(names: ShownNames, servers: string[]): DnsStatus {
  const { domains, searchDomains } = names.linkDomains()
  return {
    mode: names.mode,
    servers,
    clusterDomain: names.cluster.clusterDomain,
    namespace: names.cluster.namespace,
    domains,
    searchDomains: names.mode === 'resolved' ? searchDomains : [],
    upstreams: { cluster: names.upstreams.cluster ?? 'away', local: names.upstreams.local },
    counters: { ...names.server.counters },
  }
}

export async function query(server: DnsServer, name: string, type: string): Promise<DnsAnswer> {
  requireQuestion(name, type)
  const { answer, decision } = await server.ask(name, type)
  const { rcode, answers } = await describeAnswer(answer)
  return {
    name: decision.name,
    type: decision.type,
    rcode,
    records: answers,
    rule: decision.rule,
    tries: decision.tries,
  }
}

/** Each decision on the way of one question, which is asked anew whatever the cache has. */
export async function trace(server: DnsServer, name: string, type: string): Promise<DnsTrace> {
  requireQuestion(name, type)
  const began = performance.now()
  const { answer, decision, cache, resolved } = await server.trace(name, type)
  const ms = Math.round((performance.now() - began) * 10) / 10
  const { rcode, answers } = await describeAnswer(answer)
  const full = (suffix: string) => (suffix === '' ? decision.name : `${decision.name}.${suffix}`)
  return {
    name: decision.name,
    type: decision.type,
    cache,
    decisions: decision.plans!.map((plan) => ({
      rule: plan.rule,
      cluster: plan.cluster.map(full),
      local: plan.local,
      unknown: (plan.unknown ?? []).map(({ kind, label }) => `${kind} ${label}`),
    })),
    tries: decision.tries.map(({ probe = false, ...one }) => ({ ...one, probe })),
    resolved: resolved ?? null,
    rule: decision.rule,
    rcode,
    records: answers,
    ms,
  }
}

/** The addresses of a service or pod, named as a program would name it; an address is itself. By their text. */
export async function addressesOf(server: DnsServer, target: string): Promise<Map<string, IpAddress>> {
  const found = new Map<string, IpAddress>()
  const own = IpAddress.tryParse(target)
  if (own) return found.set(own.toString(), own)
  const name = target.replace(/^(service|pod)\//, '')
  for (const type of ['A', 'AAAA']) {
    const { answer } = await server.ask(name, type).catch(() => ({ answer: new Uint8Array(0) }))
    addressesIn(answer, (_, address) => found.set(address.toString(), address))
  }
  if (found.size > 0) return found
  throw Object.assign(new Error(`${name} has no address`), {
    code: 'unknown-name',
    hint: `name it as a program would: web, web.shop, db-0.db.shop, or an address; \`kt dns trace ${name}\` shows who was asked`,
  })
}

/** What programs asked after the entry `since`, oldest first. */
export function dnsLog(server: DnsServer, since: number, clock: Clock): DnsLogEntry[] {
  const origin = Date.now() - clock.now()
  return server.history.since(since).map(({ at, ms, ...rest }) => ({
    ...rest,
    at: new Date(origin + at).toISOString(),
    ms: Math.round(ms * 10) / 10,
  }))
}
