// What a program that uses kt as a library sees: all types, and the one class of errors. It imports nothing of kt, so that the
// declarations of the package are made of this file alone, and docs/reference/api.md as well.
import type { LookupAddress, LookupOptions } from 'node:dns'
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Dispatcher } from 'undici-types'

/** Which cluster, and how to reach it. Everything has a default. */
export interface ConnectOptions {
  /** Namespace that short names are looked up in, and that the shadow is made in. Default: the context's. */
  namespace?: string
  /** Context of the kubeconfig. Default: the current one. */
  context?: string
  /** Path of the kubeconfig. Default: KUBECONFIG, or ~/.kube/config. */
  kubeconfig?: string
  /** Gives up connecting. When it aborts later, the connection is disposed. */
  signal?: AbortSignal
  /** Image of the shadow. Default: `node:24-alpine`. */
  image?: string
  /**
   * Port-forwards at a time, also for the services that are exposed. Two are faster over a long way. Default: 1, as of
   * `kt up --paths`.
   */
  paths?: 1 | 2
  /** The cluster's DNS domain, where it is not `cluster.local` and cannot be found out. */
  clusterDomain?: string
  /** Ranges (CIDR) that are reached through the cluster, too. */
  include?: string[]
  /** Ranges (CIDR) that are not reached through the cluster. */
  exclude?: string[]
  /** Refuses names and addresses that are not in the cluster. Default: they are reached from this machine. */
  clusterOnly?: boolean
  /** How long the shadow may take to start, in ms. Default: 60,000. */
  readyTimeoutMs?: number
  /** Called for each step of connecting, and when the tunnel is lost and back. Default: nothing is said. */
  onStep?: (step: Step) => void
}

/** A step of connecting, or something that a person should know. */
export interface Step {
  /** `cluster`, `ranges`, `shadow`, `tunnel`, `names`. */
  step: string
  state: 'running' | 'done' | 'note'
  /** A sentence. */
  detail: string
  /** How long it took, for `done`. */
  ms: number
}

/** Where to connect to. */
export interface Target {
  /** A name as in a pod (`web`, `web.shop`, `db-0.db.shop`), or an address. */
  host: string
  port: number
  /** As of `net.connect`: whether sending may go on when the other side has ended. Default: false. */
  allowHalfOpen?: boolean
  signal?: AbortSignal
}

/** A connection to a cluster. Dispose it, or the shadow stays for ten minutes and the process does not end. */
export interface Cluster extends AsyncDisposable {
  /** Context and cluster of the kubeconfig. */
  readonly context: string
  readonly cluster: string
  /** The namespace whose short names are meant. */
  readonly namespace: string
  /** The ranges that are reached through the cluster, as CIDR. */
  readonly ranges: readonly string[]
  /** Aborts when the connection is disposed. */
  readonly signal: AbortSignal
  /** As the global `fetch`, inside the cluster. An error's `cause` is a KtError. */
  readonly fetch: typeof globalThis.fetch
  /** For `fetch(url, { dispatcher })`, and for undici. It is closed with the connection. */
  readonly dispatcher: Dispatcher
  /**
   * A connection to a host, as `net.connect` makes one: it emits `connect`, or `error` with a KtError. Database drivers
   * take it in the place of a socket.
   */
  connect(target: Target): ClusterSocket
  /** As `dns.lookup`: the addresses that a name has in a pod. For the option `lookup` of Node's functions. */
  readonly lookup: Lookup
  /** A port of this machine's loopback that leads to a host, for programs that take no socket, such as grpc-js. */
  forward(target: Target): Promise<Forwarded>
  /** The services that can be seen. Rejects with KtError. */
  services(options?: { signal?: AbortSignal }): Promise<ClusterService[]>
  /**
   * Leads a Service's requests to a server in this process, until the result is disposed. A server that does not listen
   * yet is made to listen on a free port of loopback, and closed in the end. A number is a port of this machine.
   */
  expose(service: string, server: Server | number, options?: ExposeOptions): Promise<Exposed>
  /** Closes everything: exposed services are put back, the shadow is removed. Never rejects. */
  close(): Promise<void>
}

/** A Duplex with the calls of `net.Socket` that drivers use: setNoDelay, setKeepAlive, setTimeout, ref, unref. */
export interface ClusterSocket extends Duplex {
  readonly connecting: boolean
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  setNoDelay(): this
  setKeepAlive(): this
  setTimeout(ms: number, callback?: () => void): this
  ref(): this
  unref(): this
  resetAndDestroy(): this
}

/** The signature of `dns.lookup`. */
export interface Lookup {
  (
    hostname: string,
    options: LookupOptions & { all?: false },
    callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
  ): void
  (
    hostname: string,
    options: LookupOptions & { all: true },
    callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
  ): void
  (
    hostname: string,
    options: LookupOptions,
    callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
  ): void
  (hostname: string, callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void): void
}

/** A Service of the cluster. */
export interface ClusterService {
  namespace: string
  name: string
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`, `Headless`. */
  type: string
  /** None of a headless Service. */
  addresses: string[]
  ports: { port: number; protocol: string; name: string }[]
  /** Pods that are ready, and all; null where they cannot be seen. */
  ready: number | null
  total: number | null
}

/** How a Service is led here. */
export interface ExposeOptions {
  /** Port of the Service, as a number or a name. Default: its only one. */
  port?: number | string
  /**
   * Only requests with this header come here (`kt mesh`). Default: all requests do (`kt exchange`). A value that ends in
   * `*` is a beginning.
   */
  header?: { name: string; value: string }
  /** Whether the original pods answer while the server does not listen for 3 s; else requests are refused. Default: true. */
  fallback?: boolean
  /** Takes over what somebody else holds. */
  force?: boolean
  /** Gives up, or puts the Service back later. */
  signal?: AbortSignal
}

/** A Service that leads here. */
export interface Exposed extends AsyncDisposable {
  readonly service: string
  readonly namespace: string
  /** Port of this machine that the requests come to. */
  readonly localPort: number
  /** Aborts when the Service does not lead here any more; its reason is a KtError where that was not wanted. */
  readonly signal: AbortSignal
  /** Puts the Service back. Resolves to sentences: what could not be put back. Never rejects. */
  close(): Promise<string[]>
}

/** A port of this machine that leads into the cluster. */
export interface Forwarded extends AsyncDisposable {
  /** `127.0.0.1`. */
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

/**
 * Every error of the library. `code` is stable: those of Node's sockets where a connection fails (`ECONNREFUSED`,
 * `EHOSTUNREACH`, `ENETUNREACH`, `ETIMEDOUT`, `ECONNRESET`, `ENOTFOUND`, `EAI_AGAIN`), `ABORT_ERR` where a signal ended
 * it, and words otherwise (`forbidden`, `unreachable`, `credentials`, `target-unknown`, …).
 */
export class KtError extends Error {
  override readonly name: string = 'KtError'
  readonly code: string
  /** What to do about it; may be empty. */
  readonly hint: string

  constructor(code: string, message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.hint = hint
  }
}

/** Connects to a cluster: makes a shadow there, and a tunnel to it. Rejects with KtError, and has left nothing then. */
export type Connect = (options?: ConnectOptions) => Promise<Cluster>
