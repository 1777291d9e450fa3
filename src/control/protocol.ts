// What is said over the control socket: one JSON object a line, requests with an id, answers with the same id, events
// without one. Versioned, so that an old engine and a new command line tell each other apart instead of guessing.

import type { CaptureEvent, DnsLogEntry, DnsTrace, Flows, PutBack, WatchEvent } from './views.ts'

/** Raised when a request or answer changes its meaning. */
export const CONTROL_VERSION = 1

/** Longest line either side accepts, in bytes. */
export const MAX_LINE = 4 << 20

/** An error for people: what and why in one line, what to do in another. `code` is stable. */
export interface ControlError {
  code: string
  message: string
  hint: string
}

/** Which cluster, and the shadow to make there. Everything a step needs, so nothing is read from the environment later. */
export interface ShadowConfig {
  kubeconfig?: string
  context?: string
  namespace?: string
  shadow: 'agent' | 'sshd'
  image?: string
  readyTimeoutS: number
  nodeSelector: Record<string, string>
  /** Taints of nodes that the shadow may run on all the same. */
  tolerations: {
    key: string
    operator: 'Exists' | 'Equal'
    value?: string
    effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
  }[]
  serviceAccount?: string
  imagePullSecrets: string[]
  labels: Record<string, string>
  annotations: Record<string, string>
  podResources: Record<string, string>
  /** `user@machine`, for the shadow's annotation. */
  owner: string
  /** Environment of the caller: KUBECONFIG, proxies, KT_LOG, and what credential plugins go by. */
  env: Record<string, string>
  /** Path of the terminal that the caller sits at, while the command runs. */
  terminal?: string
  /** What a `kt up` of this user is connected to: in the same context its namespace is the default. */
  connected?: { context: string; server: string; namespace: string }
}

/** What `kt up` asks for. */
export interface UpConfig extends ShadowConfig {
  include: string[]
  exclude: string[]
  dns: 'auto' | 'resolved' | 'resolvconf' | 'none'
  clusterDomain?: string
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
  /** How often it went on over a new port-forward. */
  resumptions: number
  lastGap: { ms: number; cause: string } | null
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

/** Requests: name to [arguments, result]. */
export interface Operations {
  status: [Record<string, never>, Status]
  /** Looks at this machine now, as far as that takes 4 s at most; what is wrong is in the status afterwards. */
  look: [Record<string, never>, Record<string, never>]
  down: [Record<string, never>, { notes: string[] }]
  /** Of a holder: what it holds. */
  held: [Record<string, never>, Held]
  /** Of a holder: puts back what it holds, then ends. */
  leave: [Record<string, never>, { notes: string[] }]
  /** Is this the cluster and namespace we are connected to? */
  same: [
    // `given`: parts of an UpConfig; `ignored` names those that this connection does not have so.
    Pick<UpConfig, 'kubeconfig' | 'context' | 'namespace' | 'env'> & { given?: Record<string, unknown> },
    { same: boolean; wanted: string; current: string; ignored?: string[] },
  ]
  services: [Record<string, never>, ServiceReports]
  team: [Record<string, never>, Team]
  /** As `kt recover` does, in the cluster that is connected; takes 12 s to see whether the holder lives. */
  recover: [{ target: string; namespace: string }, PutBack]
  'dns.status': [Record<string, never>, DnsStatus]
  'dns.query': [{ name: string; type: string }, DnsAnswer]
  /** What programs asked last, oldest first; only what came after the entry `since`. */
  'dns.log': [{ since?: number }, { entries: DnsLogEntry[] }]
  /** Asks anew, whatever the cache has, and tells each decision. */
  'dns.trace': [{ name: string; type: string }, DnsTrace]
  /** `waitMs`: how long to wait for names and programs that have to be found; those that come later are in the next answer. */
  flows: [{ waitMs?: number }, Flows]
  /** Tells the packets of programs until the caller goes; with `filter` those of one service, pod or address. */
  capture: [{ filter?: string }, Record<string, never>]
  /** Prometheus' text format. */
  metrics: [Record<string, never>, { text: string }]
  /** Tells how kt does, each second until the caller goes; with `dns` also what programs ask from now on. */
  watch: [{ dns?: boolean }, Record<string, never>]
}
export type Operation = keyof Operations

/** What an operation tells before its result: steps, where nothing else is said here. */
interface OperationEvents {
  capture: CaptureEvent
  watch: WatchEvent
}
export type EventOf<O extends Operation> = O extends keyof OperationEvents ? OperationEvents[O] : Progress

export type Response =
  | { id: number; ok: true; result: unknown }
  | { id: number; ok: false; error: ControlError }
  | { id: number; progress: unknown }
