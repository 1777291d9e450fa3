// What the live views are told over the control socket: flows, names, and how kt does from second to second.
/** One flow of `kt flows --json`. Addresses as `10.96.0.7:80` or `[fd00::7]:80`, payload bytes, times in ms. */
export interface FlowReport {
  /** Of this flow alone while kt is connected. */
  id: number
  protocol: 'tcp' | 'udp'
  /** Name of the RFC 9293 state; `SYN-RECEIVED` while the cluster's side is dialled. `OPEN` for UDP. */
  state: string
  /** The program on this machine; null for one the engine's user may not look into. */
  process: { pid: number; name: string } | null
  /** The program's address. */
  local: string
  /** The address it talks to, in the cluster. */
  remote: string
  /** What `remote` is called: `web.shop`, `db-0.db.shop`; null if that is not known (yet). */
  name: string | null
  /** To the program, from the program. */
  bytesIn: number
  bytesOut: number
  ageMs: number
  /** Since something came from the program, acknowledgements included. */
  idleMs: number
}

/** `kt flows --json`: the most recently used ones where there are more than a line can carry. */
export interface Flows {
  flows: FlowReport[]
  total: number
}

/** One question of a program and its answer: the DNS log. */
export interface DnsLogEntry {
  /** Counts up by one a question. */
  seq: number
  /** ISO 8601, when it was answered; and how long that took. */
  at: string
  ms: number
  name: string
  type: string
  /** Row of the decision table in docs/understand/dns.md. */
  rule: string
  /** Who gave the answer: a resolver, `cache`, `cache, stale`, or `kt`. */
  upstream: string
  rcode: string
}

/** `kt dns trace --json`: each decision on the way of one question. */
export interface DnsTrace {
  name: string
  type: string
  rcode: string
  records: { name: string; type: string; ttl: number; data: string }[]
  /** The row of the table that led to the answer. */
  rule: string
  /** What a program would have been given from the cache; the trace itself asks anew. */
  cache: { state: 'fresh' | 'stale' | 'none'; rcode: string | null; ageS: number | null; leftS: number | null }
  /** What was decided, in order: before anything was learned, and after. */
  decisions: {
    rule: string
    /** Full names to ask the cluster for, in order, until one exists. */
    cluster: string[]
    /** Whether this machine's resolvers are asked. */
    local: 'never' | 'only' | 'after'
    /** What had to be learned first: `namespace shop`. */
    unknown: string[]
  }[]
  /** Who was asked, in order. `probe`: only to learn whether a namespace or service exists. */
  tries: { name: string; upstream: string; rcode: string; ms: number; probe: boolean }[]
  /** Whether systemd-resolved brings this name to kt; null where it is not in charge. */
  resolved: string | null
  ms: number
}

/** One second of `watch`. Counters are totals, as in the status. */
export interface WatchEvent {
  state: 'connecting' | 'connected' | 'reconnecting' | 'disconnecting'
  /** ISO 8601, when that state began. */
  since: string
  flows: { tcp: number; udp: number }
  bytes: { in: number; out: number }
  roundTripMs: number | null
  reconnects: number
  memoryBytes: number
  /** ISO 8601. */
  at: string
  /** What programs have asked since the event before. */
  dns: DnsLogEntry[]
}

/**
 * A piece of a capture in pcapng, base64. `header` begins every file; `names` go into every file, before the packets
 * that come after them; `packets` are `count` packets, with `dropped` lost in front of them.
 */
export interface CaptureEvent {
  kind: 'header' | 'names' | 'packets'
  data: string
  count: number
  dropped: number
}

/** Of `kt recover` and, one each, of `kt clean`. */
export interface PutBack {
  target: string
  /** `Service web: selector` */
  restored: string[]
  /** What somebody else changed meanwhile, and was therefore kept. */
  kept: string[]
  /** `Job kt-shadow-x` */
  removed: string[]
  holder: string | null
}
