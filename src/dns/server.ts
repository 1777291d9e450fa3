// The DNS server: takes messages, answers them from the cache or has them resolved, and shapes each answer for the client
// that asked. It holds no socket: the daemon brings it messages from the stack (UDP, and TCP through tcp.ts).
import { buildAnswer, buildQuery, EDE, type ExtendedError, OPT_LEN, questionWire, truncate, writeOpt } from './build.ts'
import { type CacheEntry, CacheKey, DnsCache, newEntry, writeAnswer } from './cache.ts'
import type { Clock } from './clock.ts'
import { resolvedRoute, routingDomains, searchDomains } from './domains.ts'
import { DnsHistory } from './history.ts'
import { Labels } from './labels.ts'
import {
  CLASS_IN,
  FLAG_CD,
  FLAG_QR,
  FLAG_RA,
  FLAG_RD,
  HEADER_LEN,
  nameText,
  nameWire,
  newQueryView,
  putU16,
  type QueryView,
  RCODE,
  readQuery,
  TYPE,
  u16,
} from './message.ts'
import type { CacheState, ClusterNames, DnsCounters, DnsDecision, DnsServer, DnsUpstream } from './port.ts'
import { rcodeName, typeCode, typeName } from './records.ts'
import { Resolver } from './resolve.ts'
import { parseCidr } from './reverse.ts'
import { ResolveError } from './shape.ts'

export interface DnsServerOptions {
  names: ClusterNames
  /**
   * What programs go through to reach this server: systemd-resolved brings some names only, and completes some. Read
   * anew for each question, so it may be a getter: it is known only after the machine was set up.
   */
  mode: 'resolved' | 'resolvconf' | 'none'
  clock: Clock
  /** Uniform in 0 .. 2^32 - 1. */
  random: () => number
  /** The resolvers this machine had before; undefined if none. Closed with the server. */
  local: DnsUpstream | undefined
  /** As setClusterUpstream. */
  cluster?: DnsUpstream
  /** This machine's name, which is never the cluster's. */
  hostname?: string
  /** `domains()` has changed. */
  onDomains?: () => void
  /** A new answer for addresses (A, AAAA), not one from the cache. It may be kept, and is not changed. */
  onAddresses?: (message: Uint8Array) => void
  limits?: Partial<DnsLimits>
}

export interface DnsLimits {
  cacheEntries: number // default 32,768
  cacheBytes: number // default 16 MiB
  inFlight: number // default 4,096 different questions; above it SERVFAIL
}

/** Largest answer over UDP: the line is this machine's own, but what is longer than some fragments is better off in TCP. */
const MOST_UDP = 4096
// RFC 8767 5: the client response timer, after which a stale answer is better than waiting on.
const STALE_AFTER_MS = 1800
// RFC 8767 5: the failure recheck timer, 30 s there; shorter, since a reconnect takes a second or two.
const RECHECK_MS = 5000
const MAX_MESSAGE = 65_535

/** A client waiting for an answer. Its question is kept as it wrote it (upper and lower case). */
interface Waiter {
  view: QueryView
  question: Uint8Array
  transport: 'udp' | 'tcp'
  reply: (answer: Uint8Array) => void
  askedAt: number
}

export function createDnsServer(options: DnsServerOptions): DnsServer {
  const { names, clock } = options
  const limits: DnsLimits = { cacheEntries: 32_768, cacheBytes: 16 << 20, inFlight: 4096, ...options.limits }
  const counters: DnsCounters = { queries: 0, toCluster: 0, toLocal: 0, fromCache: 0, stale: 0, failed: 0 }
  const ranges = names.reverseRanges.map(parseCidr)
  const labels = new Labels(clock, [names.namespace, ...names.namespaces], () => options.onDomains?.())
  const knowledge = {
    names,
    ranges,
    hostname: options.hostname?.toLowerCase(),
    get appended() {
      return options.mode === 'resolved' ? searchDomains(names)[0] : undefined
    },
  }
  const { local, cluster } = options
  const resolver = new Resolver({ knowledge, labels, clock, counters, local, cluster })
  const cache = new DnsCache(limits.cacheEntries, limits.cacheBytes)
  const history = new DnsHistory()
  const inFlight = new Map<string, Waiter[]>()
  const key = new CacheKey(options.random())
  const keyText = Buffer.from(key.bytes.buffer)
  const view = newQueryView()
  const scratch = new Uint8Array(MAX_MESSAGE + 1024)
  let closed = false

  // Puts the OPT record behind a message of `length` octets in `scratch`, cuts it to the client's size, and sends it.
  function send(
    length: number,
    to: QueryView,
    transport: 'udp' | 'tcp',
    rcodeHigh: number,
    extended: ExtendedError | undefined,
    reply: (answer: Uint8Array) => void,
  ): void {
    if (closed) return
    const most = transport === 'tcp' ? MAX_MESSAGE : Math.max(512, Math.min(to.udpSize, MOST_UDP)) // RFC 6891 6.2.3
    const room = most - (to.edns ? OPT_LEN + (extended ? 6 + 3 * extended.text.length : 0) : 0)
    if (length > room) length = truncate(scratch, length, room)
    if (to.edns) {
      putU16(scratch, 10, u16(scratch, 10) + 1)
      length = writeOpt(scratch, length, rcodeHigh, to.dnssecOk, extended)
    }
    reply(scratch.subarray(0, length))
  }

  function sendEntry(
    entry: CacheEntry,
    buffer: Uint8Array,
    to: QueryView,
    waiter: Pick<Waiter, 'transport' | 'reply'>,
  ): void {
    const now = clock.now()
    const stale = now >= entry.freshUntil && entry.freshUntil > entry.storedAt
    if (stale) counters.stale++
    const length = writeAnswer(entry, buffer, to.nameStart, to, now, scratch)
    const code = entry.rcode === RCODE.NXDOMAIN ? EDE.STALE_NXDOMAIN : EDE.STALE_ANSWER
    send(length, to, waiter.transport, entry.rcode >> 4, stale ? { code, text: '' } : undefined, waiter.reply)
  }

  // An error with the question repeated if it could be read.
  function sendError(
    rcode: number,
    buffer: Uint8Array,
    to: QueryView,
    { transport, reply }: Pick<Waiter, 'transport' | 'reply'>,
    extended?: ExtendedError,
  ): void {
    const question = buffer.subarray(to.nameStart, to.questionEnd)
    scratch.fill(0, 0, HEADER_LEN)
    putU16(scratch, 0, to.id)
    scratch[2] = FLAG_QR | (to.flags2 & (0x78 | FLAG_RD)) // the opcode is repeated
    scratch[3] = FLAG_RA | (to.flags3 & FLAG_CD) | (rcode & 15)
    scratch[5] = question.length > 0 ? 1 : 0
    scratch.set(question, HEADER_LEN)
    send(HEADER_LEN + question.length, to, transport, rcode >> 4, extended, reply)
  }

  function handle(
    buffer: Uint8Array,
    start: number,
    end: number,
    transport: 'udp' | 'tcp',
    reply: (answer: Uint8Array) => void,
  ): void {
    const outcome = readQuery(buffer, start, end, view)
    if (outcome === 'drop' || closed) return
    counters.queries++
    const refusal = outcome === 'formerr' ? RCODE.FORMERR : refuse(view)
    if (refusal !== RCODE.NOERROR) {
      if (refusal === RCODE.FORMERR || refusal === RCODE.NOTIMP) view.questionEnd = view.nameStart
      sendError(refusal, buffer, view, { transport, reply })
      return
    }
    key.set(buffer, view)
    const now = clock.now()
    const entry = cache.get(key, now)
    if (entry && (now < entry.freshUntil || now < entry.retryAt)) {
      counters.fromCache++
      const source = now < entry.freshUntil ? 'cache' : 'cache, stale'
      history.add(buffer, view.nameStart, view.questionEnd, now, 0, entry.rule, source, entry.rcode)
      sendEntry(entry, buffer, view, { transport, reply })
      return
    }
    const question = buffer.slice(view.nameStart, view.questionEnd)
    const asked = moved(view, question.length)
    enqueue({ view: asked, question, transport, reply, askedAt: now }, entry)
  }

  function enqueue(waiter: Waiter, stale: CacheEntry | undefined): void {
    const id = keyText.toString('latin1', 0, key.length)
    const others = inFlight.get(id)
    if (others) {
      others.push(waiter)
      return
    }
    if (inFlight.size >= limits.inFlight) {
      counters.failed++
      remember(waiter, '', 'kt, too many questions at once', RCODE.SERVFAIL)
      sendError(RCODE.SERVFAIL, waiter.question, waiter.view, waiter)
      return
    }
    const waiters = [waiter]
    inFlight.set(id, waiters)
    const mine = { hash: key.hash, key: key.bytes.slice(0, key.length) }
    const decision: DnsDecision = { name: '', type: '', rule: '', tries: [] }
    const done = () => {
      cancel?.()
      inFlight.delete(id)
    }
    const answerAll = (entry: CacheEntry, source: string) => {
      for (const each of waiters.splice(0)) {
        remember(each, entry.rule, source, entry.rcode)
        sendEntry(entry, each.question, each.view, each)
      }
    }
    const cancel = stale ? clock.after(STALE_AFTER_MS, () => answerAll(stale, 'cache, stale')) : undefined
    resolveInto(mine, stale === undefined, decision).then(
      (entry) => {
        done()
        answerAll(entry, answeredBy(decision))
      },
      (error) => {
        done()
        if (stale) {
          stale.retryAt = clock.now() + RECHECK_MS
          answerAll(stale, 'cache, stale')
          return
        }
        counters.failed += waiters.length
        const extended = error instanceof ResolveError ? error.extended : undefined
        const { rule } = resolver.plan(nameText(mine.key), waiter.view.type)
        for (const each of waiters.splice(0)) {
          remember(each, rule, answeredBy(decision), RCODE.SERVFAIL)
          sendError(RCODE.SERVFAIL, each.question, each.view, each, extended)
        }
      },
    )
  }

  function remember({ question, askedAt }: Waiter, rule: string, upstream: string, rcode: number): void {
    const now = clock.now()
    history.add(question, 0, question.length, now, now - askedAt, rule, upstream, rcode)
  }

  // Resolves the question of a key and keeps the answer, if it may be kept.
  async function resolveInto(
    { hash, key }: { hash: number; key: Uint8Array },
    mayWait: boolean,
    decision?: DnsDecision,
  ): Promise<CacheEntry> {
    const question = key.slice(0, -1) // a view of so short an array would cost more
    const bits = key[key.length - 1]
    const flags = { dnssecOk: (bits & 1) !== 0, checkingDisabled: (bits & 2) !== 0 }
    const resolved = await resolver.resolve(question, flags, mayWait, decision)
    if (decision) decision.rule = resolved.rule
    const { message, scan, seconds } = resolved
    // RFC 8767 4: the upstream's failure is no reason to forget an answer.
    if (scan.rcode === RCODE.SERVFAIL && !mayWait)
      throw new ResolveError({ code: EDE.NO_REACHABLE_AUTHORITY, text: 'the resolver answered SERVFAIL' })
    const entry = newEntry(hash, key, message, scan, clock.now(), seconds, resolved.rule)
    const type = u16(question, question.length - 4)
    if (type === TYPE.A || type === TYPE.AAAA) options.onAddresses?.(message)
    if (seconds > 0) cache.put(entry)
    return entry
  }

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

  type Prepared = ReturnType<typeof prepare>

  function answerOf({ query, asked }: Prepared, entry: CacheEntry): Uint8Array {
    let answer: Uint8Array = query
    sendEntry(entry, query, asked, { transport: 'tcp', reply: (bytes) => (answer = bytes.slice()) })
    return answer
  }

  async function askAnew(prepared: Prepared): Promise<Uint8Array> {
    const { query, asked, text, decision, mine, cached: stale } = prepared
    try {
      return answerOf(prepared, await resolveInto(mine, stale === undefined, decision))
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error
      if (stale) {
        decision.tries.push({
          name: text,
          upstream: 'cache, stale',
          rcode: rcodeName(stale.rcode),
          ms: 0,
        })
        return answerOf(prepared, stale)
      }
      counters.failed++
      let answer: Uint8Array = buildAnswer(query.subarray(HEADER_LEN, asked.questionEnd), RCODE.SERVFAIL)
      sendError(RCODE.SERVFAIL, query, asked, { transport: 'tcp', reply: (b) => (answer = b.slice()) }, error.extended)
      return answer
    }
  }

  /** What programs meet before kt; undefined if nothing is to be said. */
  function routeOf(name: string): string | undefined {
    const route = options.mode === 'resolved' ? resolvedRoute(name, domains()) : 'kt'
    if (route === 'kt') return undefined
    if (route === 'kt, completed') return `systemd-resolved appends ${searchDomains(names)[0]}`
    return 'systemd-resolved does not bring this name to kt'
  }

  const domains = () => routingDomains(names, labels.namespaces(), ranges)

  return {
    counters,
    history,
    handle,
    ask,
    trace,
    domains,
    searchDomains: () => searchDomains(names),
    setClusterUpstream: (upstream) => resolver.setCluster(upstream),
    close() {
      closed = true
      resolver.close()
    },
  }
}

/** The view of a query whose question, of `length` octets, was copied. (A spread of an object costs as much as all of this.) */
const moved = (view: QueryView, length: number): QueryView => ({
  id: view.id,
  flags2: view.flags2,
  flags3: view.flags3,
  opcode: view.opcode,
  nameStart: 0,
  questionEnd: length,
  type: view.type,
  class: view.class,
  edns: view.edns,
  udpSize: view.udpSize,
  dnssecOk: view.dnssecOk,
  version: view.version,
})

/** Who had the last word. */
const answeredBy = ({ tries }: DnsDecision): string => tries.at(-1)?.upstream ?? 'kt'

function stateOf(entry: CacheEntry | undefined, now: number): CacheState {
  if (!entry) return { state: 'none', rcode: null, ageS: null, leftS: null }
  return {
    state: now < entry.freshUntil ? 'fresh' : 'stale',
    rcode: rcodeName(entry.rcode),
    ageS: Math.floor((now - entry.storedAt) / 1000),
    leftS: Math.max(0, Math.ceil((entry.freshUntil - now) / 1000)),
  }
}

/** The RCODE for what is not answered by anybody; NOERROR for what is. */
function refuse(view: QueryView): number {
  if (view.opcode !== 0) return RCODE.NOTIMP // RFC 1035 4.1.1
  if (view.version !== 0) return RCODE.BADVERS // RFC 6891 6.1.3
  // No zone is kept here to transfer, and only the Internet class is resolved.
  if (view.class !== CLASS_IN || view.type === TYPE.AXFR || view.type === TYPE.IXFR || view.type === TYPE.OPT)
    return RCODE.REFUSED
  return RCODE.NOERROR
}
