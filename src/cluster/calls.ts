// What the rest of kt gets from the API server. @kubernetes/client-node costs 460 ms and 84 MB to load, so all of this
// runs in a child process (src/cluster/worker.ts) that lives only while there is something to say to the API server;
// src/cluster/client.ts starts it and speaks to it. Everything here crosses a process border: plain data only.
import { ToldError } from '../base/told-error.ts'
import type { HeldLease, InboundClient } from './inbound-calls.ts'
import type { Progress, ShadowHandle, ShadowHooks, ShadowOptions } from './shadow-calls.ts'

export type { Progress, ShadowHandle, ShadowHooks, ShadowKind, ShadowOptions } from './shadow-calls.ts'

/** Which cluster, as whom. All optional: kubectl's defaults apply. */
export interface ClusterSelection {
  kubeconfig?: string
  context?: string
  namespace?: string
  /** What a running `kt up` is connected to: in the same context its namespace comes before the context's own. */
  connected?: { context: string; server: string; namespace: string }
}

/** The selection after the kubeconfig has been read. */
export interface ClusterIdentity {
  context: string
  cluster: string
  user: string
  namespace: string
  server: string
  /** Addresses the API server's name resolves to (and the proxy's, if one lies between): never captured. */
  serverAddresses: string[]
}

export interface Range {
  cidr: string
  kind: 'pods' | 'services'
  /** Where it is from, for people: `ServiceCIDR kubernetes`, `nodes' podCIDRs`, `seen on 3 pods`. */
  source: string
  /** True when it was concluded from a sample and may miss some addresses. */
  guessed: boolean
}

export interface Ranges {
  ranges: Range[]
  /** Sentences for the user: what was guessed and why (which right is missing). */
  notes: string[]
}

/** All that a WebSocket to the API server needs; fresh for every connection (tokens expire). */
export interface PortForwardEndpoint {
  url: string
  /** A list stands for as many headers of that name. */
  headers: Record<string, string | string[]>
  tls: { ca?: string; cert?: string; key?: string; servername?: string; rejectUnauthorized: boolean }
  /** http(s):// or socks5:// URL, from the kubeconfig's proxy-url or the environment. */
  proxy?: string
}

export interface ServiceSeen {
  namespace: string
  name: string
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName` (spec.type), or `Headless`. */
  type: string
  /** Its own addresses; none of a headless service. */
  addresses: string[]
  /** Addresses that connections to it go to: its own, or some of its endpoints'. */
  targets: string[]
  ports: { port: number; protocol: string; name: string }[]
  /** Endpoints that are ready, and all; null where they cannot be seen. */
  ready: number | null
  total: number | null
}

export interface Services {
  scope: 'cluster' | 'namespace'
  services: ServiceSeen[]
  /** Sentences for the user: what could not be seen. */
  notes: string[]
}

/** Who uses kt in this cluster, as far as it can be seen: empty lists without the rights. */
export interface TeamSeen {
  /** Oldest first. */
  connected: ConnectedPerson[]
  held: HeldLease[]
}

/** One shadow that runs: somebody is connected. */
export interface ConnectedPerson {
  /** `user@machine`; empty where the shadow does not say. */
  owner: string
  namespace: string
  pod: string
  node: string
  /** ISO 8601. */
  since: string
}

/** What `kt forward` asks for. */
export interface ForwardRequest {
  /** `[KIND/]NAME`, see target.ts. */
  target: string
  local: number
  /** Number or name of the port there; by default as `local`, or the Service's only one. */
  remote?: string
  /** Taken again while it is ready. */
  preferPod?: string
}

/** One address to dial. */
export interface ForwardTarget {
  /** As `service/web`. */
  name: string
  namespace: string
  address: string
  port: number
  /** Whose address it is; undefined for a Service's own, which stays while pods come and go. */
  pod: string | undefined
}

/** What the worker can do. Errors are ClusterError with a stable `code`. */
export interface ClusterClient extends InboundClient {
  identify(): Promise<ClusterIdentity>
  /** Where no pod can be seen, it waits for the shadow that is being made, whose own addresses are then the sample. */
  discoverRanges(): Promise<Ranges>
  /**
   * Namespaces by name: all, where they may be listed; else those that contexts of the kubeconfig name for this cluster.
   * At most 1,000. Never rejects for a missing right.
   */
  namespaces(): Promise<string[]>
  /** All services that can be seen. */
  services(): Promise<Services>
  /** Whose shadows run, and what is exchanged, meshed or run. */
  team(): Promise<TeamSeen>
  /**
   * Creates Job (suspended), Secret, releases it, and resolves when the cluster says that the container runs; see
   * `hooks.dialable` for the earlier moment. When it rejects, nothing is left in the cluster; so does `close` while it is
   * under way, even when the shadow has been dialled already.
   */
  createShadow(options: ShadowOptions, progress: Progress, hooks?: ShadowHooks): Promise<ShadowHandle>
  /** Where a forward leads now. Rejects with `target-unknown`, `target-unfit` or `not-ready`. */
  resolveForward(request: ForwardRequest): Promise<ForwardTarget>
  /** How to reach the shadow's port over a WebSocket port-forward (v4.channel.k8s.io). */
  portForward(shadow: ShadowHandle): Promise<PortForwardEndpoint>
  /** 'running', 'starting', or 'gone'; with what the cluster says of it. */
  shadowState(shadow: ShadowHandle): Promise<{ state: 'running' | 'starting' | 'gone'; detail: string }>
  /** Moves activeDeadlineSeconds ahead (sshd only). */
  prolongShadow(shadow: ShadowHandle): Promise<void>
  /** Deletes Job, pod and Secret of this shadow, nobody else's; resolves when they are gone (5 s at most). Idempotent. */
  removeShadow(shadow: ShadowHandle): Promise<void>
  /** Takes this shadow out of the Services that lead to it; it serves on until it is not needed. Idempotent. */
  retireShadow(shadow: ShadowHandle): Promise<void>
  /**
   * Gives up what is under way (a shadow being made is removed) and ends the worker, after `patienceMs` by force; the next
   * call starts it again.
   */
  close(patienceMs?: number): Promise<void>
}

export type ClusterErrorCode =
  | 'kubeconfig-missing' // no file, or it is empty
  | 'kubeconfig-invalid'
  | 'context-unknown'
  | 'credentials' // 401, expired certificate, exec plugin failed
  | 'unreachable' // the API server does not answer
  | 'tls'
  | 'forbidden' // 403: which verb on what, where
  | 'admission' // refused by policy, quota, webhook
  | 'image-pull'
  | 'unschedulable'
  | 'crashed' // the shadow's container ended
  | 'timeout'
  | 'namespace-missing'
  | 'gone'
  | 'target-unknown' // there is no such Service, Deployment, ...
  | 'target-unfit' // it is there, and cannot serve for what was asked
  | 'not-ready' // it has no ready pod now
  | 'held' // exchanged by somebody else
  | 'taken-over' // it is not ours any more
  | 'name-taken' // an object of the name that is needed is there, and not kt's
  | 'internal'

export class ClusterError extends ToldError<ClusterErrorCode> {
  override readonly name = 'ClusterError'
}
