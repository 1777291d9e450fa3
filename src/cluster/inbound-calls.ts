// What the calls of exchange, mesh and run pass. Requests to a Service come to this machine (exchange), some of them do
// (mesh), or a new Service leads here (run). The calls (calls.ts) are the transitions of the state machine in
// docs/understand/exchange.md. Plain data: it crosses the border to the worker.
import * as z from 'zod/mini'
import { ShadowHandle, ShadowOptions } from './shadow-calls.ts'

const texts = z.record(z.string(), z.string())

const Protocol = z.enum(['TCP', 'UDP'])
export type Protocol = z.infer<typeof Protocol>

const InboundKind = z.enum(['exchange', 'mesh', 'run'])
export type InboundKind = z.infer<typeof InboundKind>

/** A port of the target that shall come here. Without a protocol: TCP if it has that port for TCP, else UDP. */
const WantedPort = z.object({
  port: z.number(),
  protocol: z.optional(Protocol),
  /** What was asked for is the port of this name, whatever its number. */
  name: z.optional(z.string()),
  /** No port was named: it is this one if the Service has it, else the only one. */
  implied: z.optional(z.boolean()),
})
export type WantedPort = z.infer<typeof WantedPort>

/** What the terminal asked for. */
export const ExchangeRequest = z.object({
  kind: z.enum(['exchange', 'mesh']),
  /** `[service/|deployment/|statefulset/|pod/]NAME` */
  target: z.string(),
  mode: z.enum(['selector', 'scale']),
  ports: z.array(WantedPort),
  /** `user@machine/ID`, another one for each exchange. */
  holder: z.string(),
  /** Takes over what somebody else holds, after having put it back; in scale mode also leaves ports without anybody. */
  force: z.boolean(),
})
export type ExchangeRequest = z.infer<typeof ExchangeRequest>

/** `kt mesh`. */
export const MeshRequest = z.object({
  /** `[service/|deployment/|statefulset/|pod/]NAME` */
  target: z.string(),
  mode: z.enum(['auto', 'manual']),
  ports: z.array(WantedPort),
  /** auto: a header's name; manual: a label's. */
  header: z.string(),
  /** manual: one is made up where there is none. */
  value: z.optional(z.string()),
  /** auto: a header that begins with the value is enough. */
  prefix: z.boolean(),
  holder: z.string(),
  force: z.boolean(),
})
export type MeshRequest = z.infer<typeof MeshRequest>

export const RunRequest = z.object({
  /** Of the new Service. */
  name: z.string(),
  ports: z.array(z.object({ port: z.number(), protocol: Protocol })),
  holder: z.string(),
})
export type RunRequest = z.infer<typeof RunRequest>

/** One port of the Service (of the pods, where no Service is involved), and where the agent listens for it. */
const InboundPort = z.object({
  name: z.optional(z.string()),
  /** As the Service says it: `http`, `kubernetes.io/h2c`. */
  appProtocol: z.optional(z.string()),
  port: z.number(),
  protocol: Protocol,
  /** Port inside the shadow's pod: claim this one (Tunnel.listen). */
  listen: z.number(),
  /** Wanted here. The others keep reaching the original pods. */
  exposed: z.boolean(),
})
export type InboundPort = z.infer<typeof InboundPort>

/** One element of the agent's KT_AGENT_PORTS (docs/understand/agent-protocol.md). */
const AgentPort = z.object({
  port: z.number(),
  protocol: Protocol,
  http: z.boolean(),
  original: z.optional(z.object({ host: z.string(), port: z.number() })),
})
export type AgentPort = z.infer<typeof AgentPort>

/** A container port to declare, since a Service asks for it by name. */
const NamedPort = z.object({ name: z.string(), port: z.number(), protocol: Protocol })
export type NamedPort = z.infer<typeof NamedPort>

/** What makes a shadow serve a Service: it listens by itself, and goes on while no client is there. */
const Serving = z.object({
  /** Value of the label `kt/exchange`. */
  id: z.string(),
  ports: z.array(AgentPort),
  named: z.array(NamedPort),
  sshPort: z.number(),
  /** The agent listens on it once it serves the others: for the kubelet's probe. */
  readyPort: z.number(),
  /** The pod gets no requests before the agent serves. The first pod does without: its client waits for it itself, which is faster. */
  probed: z.boolean(),
  /** Of the pods, those among them that a Service selects by; they go before kt's own. */
  podLabels: texts,
  /** The agent ends this long after its last client has gone; 0: never. */
  idleSeconds: z.number(),
  annotations: texts,
  /** More variables of the agent. */
  env: texts,
})
export type Serving = z.infer<typeof Serving>

/** One exchange, mesh or run that this process holds. Give it back unchanged. */
export const InboundHandle = z.object({
  kind: InboundKind,
  mode: z.enum(['selector', 'scale', 'run']),
  /** Also the value of the label `kt/exchange` on all that belongs to it. */
  id: z.string(),
  namespace: z.string(),
  /** The Service; undefined in scale mode for a workload that no single Service selects. */
  service: z.optional(z.string()),
  /** Where the Service is reached; undefined for a headless one, and where there is none. */
  address: z.optional(z.string()),
  /** What keeps the original pods, for `kubectl rollout restart`: `deployment/web`. */
  owner: z.optional(z.string()),
  /** In scale mode. `replicas` is the number to go back to. */
  workload: z.optional(
    z.object({ kind: z.enum(['Deployment', 'StatefulSet']), name: z.string(), replicas: z.number() }),
  ),
  /** The Service's selector before, and what kt puts in its place. */
  selector: texts,
  written: texts,
  ports: z.array(InboundPort),
  /** What each wanted port is, in the order of the request. */
  remotes: z.array(z.number()),
  holder: z.string(),
  /** ISO 8601, by the API server's clock. */
  since: z.string(),
  lease: z.object({ name: z.string(), uid: z.string() }),
  /** The second Service, which keeps the old selector; none in scale mode and for run. */
  original: z.optional(z.object({ name: z.string() })),
  /** Sentences for the terminal: what will not work, or not as one might think. */
  warnings: z.array(z.string()),
  shadow: ShadowHandle,
  /** Stands beside it, so that either may end (addShadow). */
  second: z.optional(ShadowHandle),
  /** For addShadow and replaceShadow. */
  options: ShadowOptions,
  serving: Serving,
  /** Of a mesh that others hold too: its routers get requests already, the second as well as the first. */
  joined: z.optional(z.boolean()),
  /** Of kind mesh: which requests come here. */
  mesh: z.optional(
    z.object({
      mode: z.enum(['auto', 'manual']),
      header: z.string(),
      value: z.string(),
      prefix: z.boolean(),
      /** Values of the label `version` on the Service's own pods. */
      others: z.array(z.string()),
    }),
  ),
})
export type InboundHandle = z.infer<typeof InboundHandle>

/** What happened to the Service (in scale mode: the workload) while it was held. */
export const InboundEvent = z.object({
  /** `reverted`: it does not lead here any more; `returned`: it does again; `deleted`: it is gone. */
  type: z.enum(['reverted', 'returned', 'deleted']),
  /** Who wrote it, by managedFields (`argocd-controller`, `kubectl-edit`); undefined where it does not say. */
  manager: z.optional(z.string()),
  /** For people, one line. */
  message: z.string(),
})
export type InboundEvent = z.infer<typeof InboundEvent>

/** One lease of kt in the namespace: who holds what. */
export const HeldLease = z.object({
  kind: InboundKind,
  mode: z.string(),
  /** `web`, or `deployment/web`. */
  target: z.string(),
  namespace: z.string(),
  holder: z.string(),
  since: z.string(),
  id: z.string(),
  lease: z.string(),
  leaseUid: z.string(),
  /** Of a mesh: the header or label, `kt-version: abc`. */
  mark: z.optional(z.string()),
  /** Changes with every renewal: who sees it change knows that the holder lives. */
  resourceVersion: z.string(),
})
export type HeldLease = z.infer<typeof HeldLease>

/** What a restore found. */
export const Restored = z.object({
  /** What was put back: `Service web: selector`. Empty when there was nothing to do. */
  restored: z.array(z.string()),
  /** What somebody else changed meanwhile, and was therefore kept: one sentence each. */
  kept: z.array(z.string()),
})
export type Restored = z.infer<typeof Restored>

export const Recovered = z.extend(Restored, {
  /** What was deleted: `Job kt-shadow-x`. */
  removed: z.array(z.string()),
  /** Who held it; undefined where nothing says so. */
  holder: z.optional(z.string()),
})
export type Recovered = z.infer<typeof Recovered>

/** Whose shadows of `kt up` and `kt forward` may be removed, and which of them living processes use. */
export const OwnShadows = z.object({ owner: z.string(), except: z.array(z.string()) })
export type OwnShadows = z.infer<typeof OwnShadows>

/** What one dead client left, and why it is believed dead. Give it to removeLeftovers unchanged. */
export const Leftover = z.object({
  id: z.string(),
  /** `shadow`: of a `kt up` or `kt forward`. */
  kind: z.enum(['exchange', 'mesh', 'run', 'shadow']),
  namespace: z.string(),
  target: z.string(),
  holder: z.optional(z.string()),
  /** `its lease kt-exchange-web was not renewed for 12 s while we watched` */
  reason: z.string(),
  /** What removing it will do, in that order: `put back the selector of Service web`, `delete Job kt-shadow-x`. */
  actions: z.array(z.string()),
  /** As they were seen; none where nothing holds it. */
  leases: z.array(z.object({ name: z.string(), uid: z.string(), resourceVersion: z.string() })),
  /** Others of the same mesh live: only these leases go. */
  leasesOnly: z.boolean(),
  /** Of kind shadow: as it was seen. */
  shadow: z.optional(z.object({ job: z.string(), uid: z.string(), owner: z.string(), said: z.string() })),
})
export type Leftover = z.infer<typeof Leftover>
