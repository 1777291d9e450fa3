// The way back, as the rest of kt sees it: requests to a Service come to this machine (exchange), some of them do (mesh),
// or a new Service leads here (run). These calls are the transitions of the state machine in docs/understand/exchange.md.
// Only plain data is passed, as in port.ts.
import type { Progress, ShadowHandle, ShadowHooks, ShadowOptions } from './shadow-calls.ts'

export type Protocol = 'TCP' | 'UDP'
export type InboundKind = 'exchange' | 'mesh' | 'run'

/** A port of the target that shall come here. Without a protocol: TCP if it has that port for TCP, else UDP. */
export interface WantedPort {
  port: number
  protocol?: Protocol
  /** What was asked for is the port of this name, whatever its number. */
  name?: string
  /** No port was named: it is this one if the Service has it, else the only one. */
  implied?: boolean
}

/** What the terminal asked for. */
export interface ExchangeRequest {
  kind: 'exchange' | 'mesh'
  /** `[service/|deployment/|statefulset/|pod/]NAME` */
  target: string
  mode: 'selector' | 'scale'
  ports: WantedPort[]
  /** `user@machine/ID`, another one for each exchange. */
  holder: string
  /** Takes over what somebody else holds, after having put it back; in scale mode also leaves ports without anybody. */
  force: boolean
}

/** `kt mesh`. */
export interface MeshRequest {
  /** `[service/|deployment/|statefulset/|pod/]NAME` */
  target: string
  mode: 'auto' | 'manual'
  ports: WantedPort[]
  /** auto: a header's name; manual: a label's. */
  header: string
  /** manual: one is made up where there is none. */
  value: string | undefined
  /** auto: a header that begins with the value is enough. */
  prefix: boolean
  holder: string
  force: boolean
}

export interface RunRequest {
  /** Of the new Service. */
  name: string
  ports: { port: number; protocol: Protocol }[]
  holder: string
}

/** One port of the Service (of the pods, where no Service is involved), and where the agent listens for it. */
export interface InboundPort {
  name?: string
  /** As the Service says it: `http`, `kubernetes.io/h2c`. */
  appProtocol?: string
  port: number
  protocol: Protocol
  /** Port inside the shadow's pod: claim this one (Tunnel.listen). */
  listen: number
  /** Wanted here. The others keep reaching the original pods. */
  exposed: boolean
}

/** One exchange, mesh or run that this process holds. JSON; give it back unchanged. */
export interface InboundHandle {
  kind: InboundKind
  mode: 'selector' | 'scale' | 'run'
  /** Also the value of the label `kt/exchange` on all that belongs to it. */
  id: string
  namespace: string
  /** The Service; undefined in scale mode for a workload that no single Service selects. */
  service: string | undefined
  /** Where the Service is reached; undefined for a headless one, and where there is none. */
  address?: string
  /** What keeps the original pods, for `kubectl rollout restart`: `deployment/web`. */
  owner?: string
  /** In scale mode. `replicas` is the number to go back to. */
  workload: { kind: 'Deployment' | 'StatefulSet'; name: string; replicas: number } | undefined
  /** The Service's selector before, and what kt puts in its place. */
  selector: Record<string, string>
  written: Record<string, string>
  ports: InboundPort[]
  /** What each wanted port is, in the order of the request. */
  remotes: number[]
  holder: string
  /** ISO 8601, by the API server's clock. */
  since: string
  lease: { name: string; uid: string }
  /** The second Service, which keeps the old selector; none in scale mode and for run. */
  original: { name: string } | undefined
  /** Sentences for the terminal: what will not work, or not as one might think. */
  warnings: string[]
  shadow: ShadowHandle
  /** Stands beside it, so that either may end (addShadow). */
  second?: ShadowHandle
  /** For addShadow and replaceShadow. */
  options: ShadowOptions
  serving: Serving
  /** Of a mesh that others hold too: its routers get requests already, the second as well as the first. */
  joined?: boolean
  /** Of kind mesh: which requests come here. */
  mesh?: {
    mode: 'auto' | 'manual'
    header: string
    value: string
    prefix: boolean
    /** Values of the label `version` on the Service's own pods. */
    others: string[]
  }
}

/** One element of the agent's KT_AGENT_PORTS (docs/understand/agent-protocol.md). */
export interface AgentPort {
  port: number
  protocol: Protocol
  http: boolean
  original?: { host: string; port: number }
}

/** A container port to declare, since a Service asks for it by name. */
export interface NamedPort {
  name: string
  port: number
  protocol: Protocol
}

/** What makes a shadow serve a Service: it listens by itself, and goes on while no client is there. */
export interface Serving {
  /** Value of the label `kt/exchange`. */
  id: string
  ports: AgentPort[]
  named: NamedPort[]
  sshPort: number
  /** The agent listens on it once it serves the others: for the kubelet's probe. */
  readyPort: number
  /** The pod gets no requests before the agent serves. The first pod does without: its client waits for it itself, which is faster. */
  probed: boolean
  /** Of the pods, those among them that a Service selects by; they go before kt's own. */
  podLabels: Record<string, string>
  /** The agent ends this long after its last client has gone; 0: never. */
  idleSeconds: number
  annotations: Record<string, string>
  /** More variables of the agent. */
  env: Record<string, string>
}

/** What happened to the Service (in scale mode: the workload) while it was held. */
export interface InboundEvent {
  /** `reverted`: it does not lead here any more; `returned`: it does again; `deleted`: it is gone. */
  type: 'reverted' | 'returned' | 'deleted'
  /** Who wrote it, by managedFields (`argocd-controller`, `kubectl-edit`); undefined where it does not say. */
  manager: string | undefined
  /** For people, one line. */
  message: string
}

/** One lease of kt in the namespace: who holds what. */
export interface HeldLease {
  kind: InboundKind
  mode: string
  /** `web`, or `deployment/web`. */
  target: string
  namespace: string
  holder: string
  since: string
  id: string
  lease: string
  leaseUid: string
  /** Of a mesh: the header or label, `kt-version: abc`. */
  mark?: string
  /** Changes with every renewal: who sees it change knows that the holder lives. */
  resourceVersion: string
}

/** What a restore found. */
export interface Restored {
  /** What was put back: `Service web: selector`. Empty when there was nothing to do. */
  restored: string[]
  /** What somebody else changed meanwhile, and was therefore kept: one sentence each. */
  kept: string[]
}

export interface Recovered extends Restored {
  /** What was deleted: `Job kt-shadow-x`. */
  removed: string[]
  /** Who held it; undefined where nothing says so. */
  holder: string | undefined
}

/** Whose shadows of `kt up` and `kt forward` may be removed, and which of them living processes use. */
export interface OwnShadows {
  owner: string
  except: string[]
}

/** What one dead client left, and why it is believed dead. JSON; give it to removeLeftovers unchanged. */
export interface Leftover {
  id: string
  /** `shadow`: of a `kt up` or `kt forward`. */
  kind: InboundKind | 'shadow'
  namespace: string
  target: string
  holder: string | undefined
  /** `its lease kt-exchange-web was not renewed for 12 s while we watched` */
  reason: string
  /** What removing it will do, in that order: `put back the selector of Service web`, `delete Job kt-shadow-x`. */
  actions: string[]
  /** As they were seen; none where nothing holds it. */
  leases: { name: string; uid: string; resourceVersion: string }[]
  /** Others of the same mesh live: only these leases go. */
  leasesOnly: boolean
  /** Of kind shadow: as it was seen. */
  shadow?: { job: string; uid: string; owner: string; said: string }
}

/** Part of ClusterClient. All errors are ClusterError. */
export interface InboundClient {
  /**
   * Takes the lease, makes the second Service and the shadow that listens on the Service's target ports, and resolves
   * when it runs. Nothing leads to it yet (scale mode: it gets its share of the requests and passes on what it can).
   * When it rejects or is aborted, nothing is left in the cluster. `hooks.dialable` as for createShadow.
   * Codes: target-unknown, target-unfit (no such port, no selector, ExternalName, exposed twice), held, name-taken, and
   * those of createShadow.
   */
  beginExchange(
    request: ExchangeRequest,
    options: ShadowOptions,
    progress: Progress,
    hooks?: ShadowHooks,
  ): Promise<InboundHandle>
  /**
   * auto: joins the Service's router, or makes it; manual: a shadow among its pods. As beginExchange otherwise, and so are
   * all calls that take the handle. `held` when the version is somebody else's who is there.
   */
  beginMesh(
    request: MeshRequest,
    options: ShadowOptions,
    progress: Progress,
    hooks?: ShadowHooks,
  ): Promise<InboundHandle>
  /** A new Service that leads to a new shadow; resolves when the shadow runs. Code name-taken where the Service exists. */
  beginRun(request: RunRequest, options: ShadowOptions, progress: Progress, hooks?: ShadowHooks): Promise<InboundHandle>
  /**
   * Leads the Service here; resolves when its endpoints have moved. For run it waits for the endpoints only. Idempotent;
   * may be called again after a `reverted`.
   */
  switchExchange(handle: InboundHandle, progress: Progress): Promise<void>
  /** To be called every 5 s. Throws `taken-over` when somebody else holds it now, or has put it back. */
  renewLease(handle: InboundHandle): Promise<void>
  /**
   * Tells what others do to the Service, until `signal` aborts; then resolves. Begins anew by itself where the
   * API server ends a watch.
   */
  watchExchange(handle: InboundHandle, onEvent: (event: InboundEvent) => void, signal: AbortSignal): Promise<void>
  /**
   * Puts back what kt wrote and nobody has changed since, and waits until endpoints have moved back. The shadow goes on
   * serving open connections. Idempotent. For run: deletes the Service.
   */
  restoreExchange(handle: InboundHandle, progress: Progress): Promise<Restored>
  /** Deletes shadow, second Service and lease; restores first where that was not done. Idempotent. */
  removeExchange(handle: InboundHandle): Promise<void>
  /** A second shadow beside `handle.shadow`, with the same labels. Rejects as createShadow does. */
  addShadow(handle: InboundHandle, progress: Progress, hooks?: ShadowHooks): Promise<ShadowHandle>
  /**
   * `handle.shadow` after its pod went away or was retired: the one that its Job has made since, or a new one with the same
   * labels, so that the Service needs no change. Returns the handle to use from now on.
   */
  replaceShadow(handle: InboundHandle, progress: Progress, hooks?: ShadowHooks): Promise<InboundHandle>
  /** The team's exchanges, meshes and runs in the namespace. */
  leases(): Promise<HeldLease[]>
  /**
   * Puts back what an exchange or mesh of `target` changed, whoever left it so, and removes the rest of it. Watches the lease
   * for 12 s first and throws `held` when it is renewed, unless `force`.
   */
  recover(target: string, options: { force: boolean; holder: string }, progress: Progress): Promise<Recovered>
  /**
   * What dead clients left in the namespace; takes 12 s where there is something to watch. Changes nothing. `shadows`: those
   * of which owner count, without those that live.
   */
  findLeftovers(shadows: OwnShadows, progress: Progress): Promise<Leftover[]>
  /** Skips what has come alive since. */
  removeLeftovers(leftovers: Leftover[], holder: string, progress: Progress): Promise<Recovered[]>
}
