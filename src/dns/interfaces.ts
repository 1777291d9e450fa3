// What the DNS server is made of, as the daemon puts it together. Messages are RFC 1035 wire bytes throughout.
import type { DnsHistory } from './history.ts'

/** Someone who answers DNS messages. The message's id is the caller's; the answer carries the same one. */
export interface DnsUpstream {
  /** For people: `10.96.0.10 through the shadow`, `198.51.100.53`. */
  readonly name: string
  /**
   * Rejects on time-out or loss; an answer with any RCODE resolves. `transport` as the client came, 'tcp' to avoid truncation.
   * The message is the upstream's from now on, which may write into it, and the answer is the caller's.
   */
  query(message: Uint8Array, transport: 'udp' | 'tcp'): Promise<Uint8Array>
  close(): void
}

/** The cluster's names, as the shadow's resolv.conf tells them. */
export interface ClusterNames {
  /** `cluster.local` or what --cluster-domain says. Without a final dot, lower case. */
  clusterDomain: string
  /** The namespace whose short names (`web`) are meant. */
  namespace: string
  /** Namespaces known to exist from the start; others are learned by asking. */
  namespaces: string[]
  /** Ranges whose reverse names (PTR) are the cluster's, CIDR text. */
  reverseRanges: string[]
  /** The search list of this machine before kt. Names below it stay the local resolver's; see docs/understand/dns.md for why. */
  localSearch: string[]
}

export interface DnsCounters {
  queries: number
  toCluster: number
  toLocal: number
  fromCache: number
  stale: number
  failed: number
}

/** Who was asked for one question and why; for `kt dns query`. */
export interface DnsDecision {
  name: string
  type: string
  /** Which row of the decision table, in words. */
  rule: string
  /**
   * The names asked, in order, of whom, with RCODE or error, and ms. `probe`: only to learn whether a namespace or
   * service of that name exists.
   */
  tries: { name: string; upstream: string; rcode: string; ms: number; probe?: true }[]
  /** What was planned, before anything was learned and after; only for who asks for it. */
  plans?: {
    rule: string
    cluster: string[]
    local: 'never' | 'only' | 'after'
    unknown?: { kind: string; label: string }[]
  }[]
}

/** What the cache had when a question was asked anew. Seconds since it was stored, and until it is stale. */
export interface CacheState {
  state: 'fresh' | 'stale' | 'none'
  rcode: string | null
  ageS: number | null
  leftS: number | null
}

export interface DnsServer {
  readonly counters: Readonly<DnsCounters>
  /** What programs asked last. */
  readonly history: DnsHistory
  /**
   * Answers one message. `reply` is called at most once: synchronously when the answer is in the cache. `buffer` is valid
   * during the call only, and so is what `reply` is given during its own: whoever keeps it copies it.
   */
  handle(
    buffer: Uint8Array,
    start: number,
    end: number,
    transport: 'udp' | 'tcp',
    reply: (answer: Uint8Array) => void,
  ): void
  /** One question through the same path, with its decision: for `kt dns query`. */
  ask(name: string, type: string): Promise<{ answer: Uint8Array; decision: DnsDecision }>
  /** The same, past the cache, with all plans. `rule` is what the table says; `resolved` what systemd-resolved adds. */
  trace(
    name: string,
    type: string,
  ): Promise<{ answer: Uint8Array; decision: DnsDecision; cache: CacheState; resolved: string | undefined }>
  /**
   * The cluster's upstream after a reconnect, or undefined while there is none: then stale answers are served. The
   * upstream before it is closed.
   */
  setClusterUpstream(upstream: DnsUpstream | undefined): void
  /**
   * This machine is in another network, or has other resolvers: what the earlier ones said is forgotten, and what they are being
   * asked is asked again. To be called before the local upstream is given its new servers.
   */
  networkChanged(): void
  /** Routing domains for systemd-resolved; `onDomains` is called when a namespace was learned or went. */
  domains(): string[]
  /** Namespaces that systemd-resolved has no room for. */
  domainsLeftOut(): string[]
  /** What systemd-resolved may append to names of one label; for no other mode. */
  searchDomains(): string[]
  close(): void
}
