// What is answered over the control socket: one JSON object a line, with the id of its request. Versioned, so that an old
// engine and a new command line tell each other apart instead of guessing. What may be asked is in operations.ts. Nothing
// here loads the schemas' library, since `kt status` as a whole process has 150 ms.

/** Raised when a request or answer changes its meaning. */
export const CONTROL_VERSION = 1

/**
 * Asked and answered in the same way by every kt, whatever CONTROL_VERSION is: without arguments, and sent as version 1. So a
 * new command can look at an old engine and end it, and the other way round. Their results only ever gain keys.
 */
const STABLE_OPERATIONS: ReadonlySet<string> = new Set(['ping', 'status', 'down', 'held', 'leave'])
const STABLE_VERSION = 1

export const isStable = (operation: string): boolean => STABLE_OPERATIONS.has(operation)

/** What a request for `operation` is sent as. */
export const versionFor = (operation: string): number => (isStable(operation) ? STABLE_VERSION : CONTROL_VERSION)

/** Longest line either side accepts, in bytes. */
export const MAX_LINE = 4 << 20

/** An error for people: what and why in one line, what to do in another. `code` is stable. */
export interface ControlError {
  code: string
  message: string
  hint: string
}

export type ConnectionState = 'connecting' | 'connected' | 'reconnecting' | 'disconnecting'

/** `kt status --json`; keys are stable, documented in docs/reference/status.md. */
export interface Status {
  /** Of the engine. */
  version: string
  state: ConnectionState
  /** ISO 8601, when the state began. */
  since: string
  pid: number
  context: string
  cluster: string
  server: string
  namespace: string
  user: string
  /** `version`: what the shadow's end of the tunnel says it is; null while there is no tunnel. */
  shadow: {
    kind: 'agent' | 'sshd'
    namespace: string
    job: string
    pod: string
    node: string
    image: string
    version: string | null
  } | null
  tun: { name: string; mtu: number; addresses: string[] } | null
  ranges: { cidr: string; kind: string; source: string; guessed: boolean }[]
  /** What is routed, after includes, excludes and cut-outs. */
  routes: string[]
  dns: { mode: string; servers: string[]; domains: string[] }
  flows: { tcp: number; udp: number }
  bytes: { in: number; out: number }
  roundTripMs: number | null
  reconnects: number
  /** Null where flows end with their port-forward: with sshd, or an older agent. */
  line: LineStatus | null
  /** From addresses that are not the TUN's, dropped: somebody else's, passed on by this machine. */
  foreignPackets: number
  memoryBytes: number
  notes: string[]
  /** What is wrong now; each is gone when its cause is. */
  faults: StatusFault[]
  /** What holders of this user hold on this machine. */
  exchanges: Held[]
  /** Proxies of this user on this machine. */
  proxies: ProxyStatus[]
  /** The shells of this user on this machine. */
  shells: ShellReport[]
}

/** Something that keeps the connection from doing what its state says. */
export interface StatusFault {
  /** Stable. */
  code: string
  /** What and why. */
  message: string
  /** What to do. */
  hint: string
  /** ISO 8601, when it was found. */
  since: string
}

/** The line below the tunnel: docs/understand/line.md. */
export interface LineStatus {
  state: 'open' | 'suspected' | 'interrupted'
  /** How often it went on over a new port-forward after it had lost or suspected one. */
  resumptions: number
  /** How often it left a port-forward in time that was about to be ended. */
  moves: number
  lastGap: { ms: number; cause: string } | null
  /** What carries it now; none while it is interrupted. */
  paths: LinePathStatus[]
  /** How many there are to be at a time. */
  wantedPaths: number
  /** Why there are fewer, if that is known. */
  missingPath: string | null
}

export interface LinePathStatus {
  way: 'spdy' | 'websocket' | null
  ageMs: number
  /** When something before the API server will end it, as it has ended others. */
  endsInMs: number | null
}

/** An exchange, mesh or run that a process of this user holds; `exchanges` of `kt status --json`. */
export interface Held {
  kind: 'exchange' | 'mesh' | 'run'
  /** The Service's name. */
  target: string
  namespace: string
  context: string
  cluster: string
  /** `selector`, `scale`, `auto`, `manual`; empty for `run`. */
  mode: string
  /** Of a mesh; null for the others. */
  version: string | null
  state: 'starting' | 'active' | 'reconnecting' | 'ending'
  /** ISO 8601, when that state began. */
  since: string
  pid: number
  /** Whether it goes on without a terminal. */
  background: boolean
  ports: { local: number; remote: number; protocol: 'TCP' | 'UDP' }[]
  /** The name of the shell in which the program runs that listens on the local ports; null: they are this machine's. */
  shell: string | null
  shadow: { job: string; pod: string; node: string } | null
  /** Connections of the cluster: taken since the start, open now, refused by the local program. */
  connections: { total: number; open: number; refused: number }
  /** `in`: from the cluster to the local program, `out`: back. */
  bytes: { in: number; out: number }
  roundTripMs: number | null
  reconnects: number
  notes: string[]
  /** Why it is `reconnecting`; empty otherwise. */
  faults: StatusFault[]
}

/** A `kt proxy` of this user; `proxies` of `kt status --json`. */
export interface ProxyStatus {
  /** `127.0.0.1:1080`: for SOCKS and HTTP alike. */
  address: string
  port: number
  /** URL of the PAC file. */
  pac: string
  /** What is not the cluster's is refused. */
  clusterOnly: boolean
  namespace: string
  context: string
  cluster: string
  state: 'starting' | 'active' | 'reconnecting' | 'ending'
  /** ISO 8601, when that state began. */
  since: string
  pid: number
  /** What is reached through the tunnel. */
  ranges: string[]
  shadow: { job: string; pod: string; node: string } | null
  /** Of clients: since the start, open now, and those that did not get where they wanted. */
  connections: { total: number; open: number; failed: number }
  /** `in`: to the clients, `out`: from them. */
  bytes: { in: number; out: number }
  roundTripMs: number | null
  reconnects: number
}

/** A `kt shell`; `shells` of `kt status --json`. */
export interface ShellReport {
  name: string
  /** The command and its arguments. */
  command: string[]
  state: 'connecting' | 'connected' | 'reconnecting' | 'disconnecting'
  /** ISO 8601, when that state began. */
  since: string
  /** Of the process that holds the connection. */
  pid: number
  /** The number in `/proc/PID/ns/net` of the programs inside; null before there is one. */
  networkNamespace: string | null
  context: string
  cluster: string
  namespace: string
  /** Ports of this machine's loopback that lead to ports inside. */
  ports: { local: number; inside: number }[]
  shadow: { job: string; pod: string; node: string } | null
  flows: { tcp: number; udp: number }
  /** `in`: to programs inside. */
  bytes: { in: number; out: number }
  roundTripMs: number | null
  reconnects: number
}

/** A service of the cluster, as seen from this machine. */
export interface ServiceReport {
  namespace: string
  name: string
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`, `Headless`. */
  type: string
  /** None of a headless service. */
  addresses: string[]
  ports: { port: number; protocol: string; name: string }[]
  /** Endpoints that are ready, and all; null where they cannot be seen. */
  ready: number | null
  total: number | null
  /** Its address is routed to the cluster and an endpoint is ready; null where that cannot be told. */
  reachable: boolean | null
  /** The reason, in words. */
  why: string
}

export interface ServiceReports {
  /** Which services were asked for: the namespace's where the right for more is missing. */
  scope: 'cluster' | 'namespace'
  services: ServiceReport[]
  /** Sentences: what could not be seen. */
  notes: string[]
}

/** Who else uses kt in this cluster, as far as it can be seen. */
export interface Team {
  /** One a shadow, oldest first. */
  connected: {
    /** `user@machine`; empty where the shadow does not say. */
    owner: string
    namespace: string
    pod: string
    node: string
    /** ISO 8601. */
    since: string
    /** This machine's. */
    own: boolean
  }[]
  /** What is exchanged, meshed or run, by the leases. */
  held: {
    kind: 'exchange' | 'mesh' | 'run'
    mode: string
    /** `web`, or `deployment/web`. */
    target: string
    namespace: string
    /** `user@machine`. */
    holder: string
    /** ISO 8601. */
    since: string
    /** Does the holder renew its lease? Null until that has been watched for some seconds. */
    alive: boolean | null
  }[]
}

/** `kt dns status --json`. */
export interface DnsStatus {
  mode: string
  servers: string[]
  clusterDomain: string
  namespace: string
  domains: string[]
  searchDomains: string[]
  upstreams: { cluster: string; local: string[] }
  counters: Record<string, number>
}

/** `kt dns query --json`. */
export interface DnsAnswer {
  name: string
  type: string
  rcode: string
  records: { name: string; type: string; ttl: number; data: string }[]
  rule: string
  tries: { name: string; upstream: string; rcode: string; ms: number; probe?: true }[]
}

/** One step of connecting or disconnecting, as it runs. */
export interface Progress {
  step: string
  state: 'running' | 'done' | 'note'
  detail: string
  ms: number
}

export type Response =
  | { id: number; ok: true; result: unknown }
  | { id: number; ok: false; error: ControlError }
  | { id: number; progress: unknown }
