// What the calls about the cluster as a whole pass. Plain data: it crosses the border to the worker (calls.ts).
import * as z from 'zod/mini'
import { ToldError } from '../base/told-error.ts'
import { HeldLease } from './inbound-calls.ts'

/** Which cluster, as whom. All optional: kubectl's defaults apply. */
export const ClusterSelection = z.object({
  kubeconfig: z.optional(z.string()),
  context: z.optional(z.string()),
  namespace: z.optional(z.string()),
  /** What a running `kt up` is connected to: in the same context its namespace comes before the context's own. */
  connected: z.optional(z.object({ context: z.string(), server: z.string(), namespace: z.string() })),
})
export type ClusterSelection = z.infer<typeof ClusterSelection>

/** The selection after the kubeconfig has been read. */
export const ClusterIdentity = z.object({
  context: z.string(),
  cluster: z.string(),
  user: z.string(),
  namespace: z.string(),
  server: z.string(),
  /** Addresses the API server's name resolves to (and the proxy's, if one lies between): never captured. */
  serverAddresses: z.array(z.string()),
})
export type ClusterIdentity = z.infer<typeof ClusterIdentity>

const Range = z.object({
  cidr: z.string(),
  kind: z.enum(['pods', 'services']),
  /** Where it is from, for people: `ServiceCIDR kubernetes`, `nodes' podCIDRs`, `seen on 3 pods`. */
  source: z.string(),
  /** True when it was concluded from a sample and may miss some addresses. */
  guessed: z.boolean(),
})
export type Range = z.infer<typeof Range>

export const Ranges = z.object({
  ranges: z.array(Range),
  /** Sentences for the user: what was guessed and why (which right is missing). */
  notes: z.array(z.string()),
})
export type Ranges = z.infer<typeof Ranges>

/** All that a WebSocket to the API server needs; fresh for every connection (tokens expire). */
export const PortForwardEndpoint = z.object({
  url: z.string(),
  /** A list stands for as many headers of that name. */
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  tls: z.object({
    ca: z.optional(z.string()),
    cert: z.optional(z.string()),
    key: z.optional(z.string()),
    servername: z.optional(z.string()),
    rejectUnauthorized: z.boolean(),
  }),
  /** http(s):// or socks5:// URL, from the kubeconfig's proxy-url or the environment. */
  proxy: z.optional(z.string()),
})
export type PortForwardEndpoint = z.infer<typeof PortForwardEndpoint>

const ServiceSeen = z.object({
  namespace: z.string(),
  name: z.string(),
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName` (spec.type), or `Headless`. */
  type: z.string(),
  /** Its own addresses; none of a headless service. */
  addresses: z.array(z.string()),
  /** Addresses that connections to it go to: its own, or some of its endpoints'. */
  targets: z.array(z.string()),
  ports: z.array(z.object({ port: z.number(), protocol: z.string(), name: z.string() })),
  /** Endpoints that are ready, and all; null where they cannot be seen. */
  ready: z.nullable(z.number()),
  total: z.nullable(z.number()),
})
export type ServiceSeen = z.infer<typeof ServiceSeen>

export const Services = z.object({
  scope: z.enum(['cluster', 'namespace']),
  services: z.array(ServiceSeen),
  /** Sentences for the user: what could not be seen. */
  notes: z.array(z.string()),
})
export type Services = z.infer<typeof Services>

/** One shadow that runs: somebody is connected. */
const ConnectedPerson = z.object({
  /** `user@machine`; empty where the shadow does not say. */
  owner: z.string(),
  namespace: z.string(),
  pod: z.string(),
  node: z.string(),
  /** ISO 8601. */
  since: z.string(),
})

/** Who uses kt in this cluster, as far as it can be seen: empty lists without the rights. */
export const TeamSeen = z.object({
  /** Oldest first. */
  connected: z.array(ConnectedPerson),
  held: z.array(HeldLease),
})
export type TeamSeen = z.infer<typeof TeamSeen>

const TargetSeen = z.object({
  kind: z.enum(['service', 'deployment', 'statefulset']),
  name: z.string(),
  /** As of ServiceSeen; empty of a workload. */
  type: z.string(),
  ports: z.array(z.object({ port: z.number(), protocol: z.string(), name: z.string() })),
  ready: z.nullable(z.number()),
  total: z.nullable(z.number()),
  /** Why it cannot be exchanged or meshed; empty where it can. */
  unfit: z.string(),
})

/** What there is in one namespace. */
export const TargetsSeen = z.object({
  namespace: z.string(),
  context: z.string(),
  cluster: z.string(),
  /** By name; workloads only where no Service leads to them. */
  targets: z.array(TargetSeen),
  held: z.array(HeldLease),
  /** Sentences for the user: what could not be seen. */
  notes: z.array(z.string()),
})
export type TargetsSeen = z.infer<typeof TargetsSeen>

/** What `kt forward` asks for. */
export const ForwardRequest = z.object({
  /** `[KIND/]NAME`, see target.ts. */
  target: z.string(),
  local: z.number(),
  /** Number or name of the port there; by default as `local`, or the Service's only one. */
  remote: z.optional(z.string()),
  /** Taken again while it is ready. */
  preferPod: z.optional(z.string()),
})
export type ForwardRequest = z.infer<typeof ForwardRequest>

export const PodName = z.object({ name: z.string(), namespace: z.string() })
export type PodName = z.infer<typeof PodName>

/** One address to dial. */
export const ForwardTarget = z.object({
  /** As `service/web`. */
  name: z.string(),
  namespace: z.string(),
  address: z.string(),
  port: z.number(),
  /** Whose address it is; undefined for a Service's own, which stays while pods come and go. */
  pod: z.optional(z.string()),
})
export type ForwardTarget = z.infer<typeof ForwardTarget>

/** With what the cluster says of it. */
export const ShadowState = z.object({ state: z.enum(['running', 'starting', 'gone']), detail: z.string() })
export type ShadowState = z.infer<typeof ShadowState>

export const ClusterErrorCode = z.enum([
  'kubeconfig-missing', // no file, or it is empty
  'kubeconfig-invalid',
  'context-unknown',
  'credentials', // 401, expired certificate, exec plugin failed
  'unreachable', // the API server does not answer
  'tls',
  'forbidden', // 403: which verb on what, where
  'admission', // refused by policy, quota, webhook
  'image-pull',
  'unschedulable',
  'crashed', // the shadow's container ended
  'timeout',
  'namespace-missing',
  'gone',
  'target-unknown', // there is no such Service, Deployment, ...
  'target-unfit', // it is there, and cannot serve for what was asked
  'not-ready', // it has no ready pod now
  'held', // exchanged by somebody else
  'taken-over', // it is not ours any more
  'name-taken', // an object of the name that is needed is there, and not kt's
  'internal',
])
export type ClusterErrorCode = z.infer<typeof ClusterErrorCode>

export class ClusterError extends ToldError<ClusterErrorCode> {
  override readonly name = 'ClusterError'
}
