// The DNS server: takes messages, answers them from the cache or has them resolved, and shapes each answer for the client
// that asked. It holds no socket: the daemon brings it messages from the stack (UDP, and TCP through tcp.ts).
import type { Clock } from '../base/clock.ts'
import type { IpAddress } from '../wire/address.ts'
import { parsePrefix } from '../wire/prefix.ts'
import { EDE } from './build.ts'
import { type CacheEntry, CacheKey, DnsCache, newEntry } from './cache.ts'
import { resolvedRoute, routingDomains, searchDomains } from './domains.ts'
import { DnsHistory } from './history.ts'
import type { ClusterNames, DnsCounters, DnsDecision, DnsServer, DnsUpstream } from './interfaces.ts'
import { Labels } from './labels.ts'
import { CLASS_IN, nameText, newQueryView, type QueryView, RCODE, readQuery, TYPE, u16 } from './message.ts'
import { questionsOfPeople } from './people.ts'
import { type Client, Replies } from './reply.ts'
import { Resolver } from './resolve.ts'
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
  /** The address, of IPv4, at which programs reach the machine outside (MACHINE_NAME in names.ts). */
  machine?: IpAddress
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
  waiting: number // default 16,384 clients that wait for them; above it SERVFAIL
}

// RFC 8767 5: the client response timer, after which a stale answer is better than waiting on.
const STALE_AFTER_MS = 1800
// RFC 8767 5: the failure recheck timer, 30 s there; shorter, since a reconnect takes a second or two.
const RECHECK_MS = 5000

/** A question that is being resolved. */
interface Flight {
  waiters: Waiter[]
  /** What was served because the answer took too long. */
  late: CacheEntry | undefined
}

/** A client waiting for an answer. Its question is kept as it wrote it (upper and lower case). */
interface Waiter extends Client {
  view: QueryView
  question: Uint8Array
  askedAt: number
}

export function createDnsServer(options: DnsServerOptions): DnsServer {
  const { names, clock } = options
  const limits: DnsLimits = {
    cacheEntries: 32_768,
    cacheBytes: 16 << 20,
    inFlight: 4096,
    waiting: 16_384,
    ...options.limits,
  }
  const counters: DnsCounters = { queries: 0, toCluster: 0, toLocal: 0, fromCache: 0, stale: 0, failed: 0 }
  const ranges = names.reverseRanges.map(parsePrefix)
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
  const cache = new DnsCache(limits.cacheEntries, limits.cacheBytes)
  const network = () => cache.network
  const resolver = new Resolver({
    knowledge,
    labels,
    clock,
    counters,
    local,
    cluster,
    network,
    machine: options.machine,
  })
  const history = new DnsHistory()
  const replies = new Replies(clock, counters)
  const inFlight = new Map<string, Flight>()
  let waiting = 0
  const key = new CacheKey(options.random())
  const keyText = Buffer.from(key.bytes.buffer)
  const view = newQueryView()
  let closed = false

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
      replies.error(refusal, buffer, view, { transport, reply })
      return
    }
    key.set(buffer, view)
    const now = clock.now()
    const entry = cache.get(key, now)
    if (entry && (now < entry.freshUntil || now < entry.retryAt)) {
      counters.fromCache++
      const source = now < entry.freshUntil ? 'cache' : 'cache, stale'
      history.add(buffer, view.nameStart, view.questionEnd, now, 0, entry.rule, source, entry.rcode)
      replies.entry(entry, buffer, view, { transport, reply })
      return
    }
    const question = buffer.slice(view.nameStart, view.questionEnd)
    const asked = moved(view, question.length)
    enqueue({ view: asked, question, transport, reply, askedAt: now }, entry)
  }

  function enqueue(waiter: Waiter, stale: CacheEntry | undefined): void {
    const id = keyText.toString('latin1', 0, key.length)
    const under = inFlight.get(id)
    if (under?.late && cache.isCurrent(under.late)) {
      // The first client has waited long enough: the next ones need not.
      answerStale(waiter, under.late)
      return
    }
    if (waiting >= limits.waiting || (!under && inFlight.size >= limits.inFlight)) {
      counters.failed++
      remember(waiter, '', 'kt, too many questions at once', RCODE.SERVFAIL)
      replies.error(RCODE.SERVFAIL, waiter.question, waiter.view, waiter)
      return
    }
    waiting++
    if (under) under.waiters.push(waiter)
    else begin(id, waiter, stale)
  }

  function begin(id: string, first: Waiter, stale: CacheEntry | undefined): void {
    const flight: Flight = { waiters: [first], late: undefined }
    inFlight.set(id, flight)
    const mine = { hash: key.hash, key: key.bytes.slice(0, key.length) }
    const decision: DnsDecision = { name: '', type: '', rule: '', tries: [] }
    const take = () => {
      const taken = flight.waiters.splice(0)
      waiting -= taken.length
      return taken
    }
    const done = () => {
      cancel?.()
      inFlight.delete(id)
      return take()
    }
    const cancel = stale
      ? clock.after(STALE_AFTER_MS, () => {
          if (!cache.isCurrent(stale)) return
          flight.late = stale
          for (const each of take()) answerStale(each, stale)
        })
      : undefined
    resolveInto(mine, stale === undefined, decision).then(
      (entry) => {
        for (const each of done()) {
          remember(each, entry.rule, answeredBy(decision), entry.rcode)
          replies.entry(entry, each.question, each.view, each)
        }
      },
      (error) => {
        const waiters = done()
        if (stale && cache.isCurrent(stale)) {
          stale.retryAt = clock.now() + RECHECK_MS
          for (const each of waiters) answerStale(each, stale)
          return
        }
        counters.failed += waiters.length
        const extended = error instanceof ResolveError ? error.extended : undefined
        const { rule } = resolver.plan(nameText(mine.key), first.view.type)
        for (const each of waiters) {
          remember(each, rule, answeredBy(decision), RCODE.SERVFAIL)
          replies.error(RCODE.SERVFAIL, each.question, each.view, each, extended)
        }
      },
    )
  }

  function answerStale(waiter: Waiter, stale: CacheEntry): void {
    remember(waiter, stale.rule, 'cache, stale', stale.rcode)
    replies.entry(stale, waiter.question, waiter.view, waiter)
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
    const entry = newEntry(hash, key, message, scan, clock.now(), seconds, resolved.rule, resolved.network)
    const type = u16(question, question.length - 4)
    if (type === TYPE.A || type === TYPE.AAAA) options.onAddresses?.(message)
    if (seconds > 0) cache.put(entry)
    return entry
  }

  /** What programs meet before kt; undefined if nothing is to be said. */
  function routeOf(name: string): string | undefined {
    const route = options.mode === 'resolved' ? resolvedRoute(name, domains()) : 'kt'
    if (route === 'kt') return undefined
    if (route === 'kt, completed') return `systemd-resolved appends ${searchDomains(names)[0]}`
    return 'systemd-resolved does not bring this name to kt'
  }

  const { ask, trace } = questionsOfPeople({ cache, key, clock, counters, replies, resolver, resolveInto, routeOf })
  const routing = () => routingDomains(names, labels.namespaces(), ranges)
  const domains = () => routing().domains

  return {
    counters,
    history,
    handle,
    ask,
    trace,
    domains,
    domainsLeftOut: () => routing().leftOut,
    searchDomains: () => searchDomains(names),
    setClusterUpstream: (upstream) => resolver.setCluster(upstream),
    networkChanged() {
      cache.network++
    },
    close() {
      closed = true
      replies.close()
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

/** The RCODE for what is not answered by anybody; NOERROR for what is. */
function refuse(view: QueryView): number {
  if (view.opcode !== 0) return RCODE.NOTIMP // RFC 1035 4.1.1
  if (view.version !== 0) return RCODE.BADVERS // RFC 6891 6.1.3
  // No zone is kept here to transfer, and only the Internet class is resolved.
  if (view.class !== CLASS_IN || view.type === TYPE.AXFR || view.type === TYPE.IXFR || view.type === TYPE.OPT)
    return RCODE.REFUSED
  return RCODE.NOERROR
}
