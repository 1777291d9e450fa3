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
  /** TCP connections that ended within the last minute, newest first, 500 at most. An engine of an older kt tells none. */
  closed?: ClosedFlow[]
}

/** `state` says how it ended: `closed`, `reset`, `timeout`, `local-reset`, or why it could not be opened: `refused`, … */
export interface ClosedFlow extends FlowReport {
  /** Since it ended. */
  closedMs: number
}

/** One second of the curves. */
export interface Sample {
  /** ms since 1970. */
  at: number
  /** Bytes a second, to and from this machine's programs; null across a gap. */
  in: number | null
  out: number | null
  roundTripMs: number | null
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

/** One request that came to a local program; a line of `--log json`. Values of headers that look secret are hidden. */
export interface RequestReport {
  /** Counts up by one a request, in the order of their ends. */
  seq: number
  /** ISO 8601, when its first byte came; and how long it took until the last byte of its answer. */
  at: string
  ms: number
  /** Who connected: `10.244.1.7:40412`. */
  caller: string
  /** The pod with that address; null where that is not known. */
  pod: { name: string; namespace: string } | null
  /** Port of the Service, and of this machine. */
  remote: number
  local: number
  protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2' | 'gRPC'
  method: string
  host: string
  path: string
  /** Null where no answer came. */
  status: number | null
  /** Of gRPC, from the trailers. */
  grpcStatus: number | null
  /** Of the bodies: to the local program, and from it. */
  bytesIn: number
  bytesOut: number
  /**
   * `answered`; `upgraded`: answered, and the connection went on in another protocol; `cancelled`: given up by one side;
   * `cut`: its connection ended before its answer did.
   */
  outcome: 'answered' | 'upgraded' | 'cancelled' | 'cut'
  requestHeaders: [name: string, value: string][]
  /** With the trailers. */
  responseHeaders: [name: string, value: string][]
  /** Where bodies were asked for, and there was one. */
  requestBody?: SeenBody
  responseBody?: SeenBody
}

/** The beginning of a body. What looks secret is hidden in it. */
export interface SeenBody {
  /** Null for one that cannot be shown; `why` says why then. */
  text: string | null
  /** The body is longer. */
  cut: boolean
  why: string | null
}

/** What a holder tells of requests. */
export interface Requests {
  entries: RequestReport[]
  /** Open connections that are not read: they began before anybody asked, or they are no HTTP. */
  unread: number
  /** Sentences: what could not be read. */
  notes: string[]
}
