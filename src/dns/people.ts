// Questions of people (`kt dns query`, `kt dns trace`) and of kt itself: the same way as a program's, with each decision told.

import type { Clock } from '../base/clock.ts'
import { buildAnswer, buildQuery, questionWire } from './build.ts'
import type { CacheEntry, CacheKey, DnsCache } from './cache.ts'
import type { CacheState, DnsCounters, DnsDecision } from './interfaces.ts'
import { HEADER_LEN, nameText, nameWire, newQueryView, RCODE, readQuery } from './message.ts'
import { rcodeName, typeCode, typeName } from './records.ts'
import type { Replies } from './reply.ts'
import type { Resolver } from './resolve.ts'
import { ResolveError } from './shape.ts'

/** What a question is known by in the cache. */
export interface Identity {
  hash: number
  key: Uint8Array
}

export interface PeopleOptions {
  cache: DnsCache
  key: CacheKey
  clock: Clock
  counters: DnsCounters
  replies: Replies
  resolver: Resolver
  /** Resolves and keeps the answer. Rejects with ResolveError. */
  resolveInto(identity: Identity, mayWait: boolean, decision: DnsDecision): Promise<CacheEntry>
  /** What programs meet before kt; undefined if nothing is to be said. */
  routeOf(name: string): string | undefined
}

export function questionsOfPeople(options: PeopleOptions) {
  const { cache, key, clock, counters, replies, resolver, resolveInto, routeOf } = options

  function prepare(name: string, type: string) {
    const wire = nameWire(name)
    const code = typeCode(type)
    if (!wire) throw new RangeError(`not a DNS name: ${JSON.stringify(name)}`)
    if (code === undefined) throw new RangeError(`not a DNS type: ${JSON.stringify(type)}`)
    const query = buildQuery(questionWire(wire, code))
    const asked = newQueryView()
    readQuery(query, 0, query.length, asked)
    const text = nameText(wire)
    const decision: DnsDecision = { name: text, type: typeName(code), rule: '', tries: [] }
    counters.queries++
    key.set(query, asked)
    const mine = { hash: key.hash, key: key.bytes.slice(0, key.length) }
    return { query, asked, text, code, decision, mine, cached: cache.get(key, clock.now()) }
  }

  type Prepared = ReturnType<typeof prepare>

  function answerOf({ query, asked }: Prepared, entry: CacheEntry): Uint8Array {
    let answer: Uint8Array = query
    replies.entry(entry, query, asked, { transport: 'tcp', reply: (bytes) => (answer = bytes.slice()) })
    return answer
  }

  async function askAnew(prepared: Prepared): Promise<Uint8Array> {
    const { query, asked, text, decision, mine, cached: stale } = prepared
    try {
      return answerOf(prepared, await resolveInto(mine, stale === undefined, decision))
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error
      if (stale && cache.isCurrent(stale)) {
        decision.tries.push({ name: text, upstream: 'cache, stale', rcode: rcodeName(stale.rcode), ms: 0 })
        return answerOf(prepared, stale)
      }
      counters.failed++
      let answer: Uint8Array = buildAnswer(query.subarray(HEADER_LEN, asked.questionEnd), RCODE.SERVFAIL)
      const client = { transport: 'tcp' as const, reply: (bytes: Uint8Array) => (answer = bytes.slice()) }
      replies.error(RCODE.SERVFAIL, query, asked, client, error.extended)
      return answer
    }
  }

  async function ask(name: string, type: string): Promise<{ answer: Uint8Array; decision: DnsDecision }> {
    const prepared = prepare(name, type)
    const { decision, cached, text, code } = prepared
    let answer: Uint8Array
    if (cached && clock.now() < cached.freshUntil) {
      counters.fromCache++
      decision.tries.push({ name: text, upstream: 'cache', rcode: rcodeName(cached.rcode), ms: 0 })
      answer = answerOf(prepared, cached)
    } else answer = await askAnew(prepared)
    decision.rule ||= resolver.plan(text, code).rule
    const route = routeOf(text)
    if (route) decision.rule = `${decision.rule}; programs: ${route}`
    return { answer, decision }
  }

  async function trace(name: string, type: string) {
    const prepared = prepare(name, type)
    const { decision, cached, text, code } = prepared
    decision.plans = []
    const cacheState = stateOf(cached, clock.now())
    const answer = await askAnew(prepared)
    decision.rule ||= resolver.plan(text, code).rule
    return { answer, decision, cache: cacheState, resolved: routeOf(text) }
  }

  return { ask, trace }
}

function stateOf(entry: CacheEntry | undefined, now: number): CacheState {
  if (!entry) return { state: 'none', rcode: null, ageS: null, leftS: null }
  return {
    state: now < entry.freshUntil ? 'fresh' : 'stale',
    rcode: rcodeName(entry.rcode),
    ageS: Math.floor((now - entry.storedAt) / 1000),
    leftS: Math.max(0, Math.ceil((entry.freshUntil - now) / 1000)),
  }
}
