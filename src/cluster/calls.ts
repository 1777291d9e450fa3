// The table of all calls to the API server: what each takes, what it gives, and what it tells while it runs. Client and worker
// are both made from it (client.ts, worker.ts), and what each does is in local.ts. So a new call is a line here and one there.
//
// client-node costs 460 ms and 84 MB to load. That is why the calls run in a child process, the worker, which lives only
// while there is something to say to the API server. All that they pass crosses a process border as JSON.
import * as z from 'zod/mini'
import {
  ClusterIdentity,
  ForwardRequest,
  ForwardTarget,
  PodName,
  PortForwardEndpoint,
  Ranges,
  Services,
  ShadowState,
  TargetsSeen,
  TeamSeen,
} from './cluster-calls.ts'
import {
  ExchangeRequest,
  HeldLease,
  type InboundEvent,
  InboundHandle,
  Leftover,
  MeshRequest,
  OwnShadows,
  Recovered,
  Restored,
  RunRequest,
} from './inbound-calls.ts'
import { ExecRequest, Place, PlaceRequest } from './place-calls.ts'
import { type Progress, ShadowHandle, type ShadowHooks, ShadowOptions } from './shadow-calls.ts'

export {
  ClusterError,
  type ClusterErrorCode,
  type ClusterIdentity,
  type ClusterSelection,
  type ForwardRequest,
  type ForwardTarget,
  type PodName,
  type PortForwardEndpoint,
  type Range,
  type Ranges,
  type ServiceSeen,
  type Services,
  type ShadowState,
  type TargetsSeen,
  type TeamSeen,
} from './cluster-calls.ts'
export type { Progress, ShadowHandle, ShadowHooks, ShadowKind, ShadowOptions } from './shadow-calls.ts'

/** What a call tells while it runs, as the arguments that follow its data. */
interface Told {
  nothing: []
  progress: [progress: Progress]
  shadow: [progress: Progress, hooks?: ShadowHooks]
  /** Until the signal aborts. */
  events: [onEvent: (event: InboundEvent) => void, signal: AbortSignal]
}

interface Call {
  readonly takes: readonly z.ZodMiniType[]
  readonly gives: z.ZodMiniType
  /** Default: nothing. */
  readonly tells?: keyof Told
  /** `undone`: an abort undoes it, and it says so only then. `finished`: it goes on when its caller has died. */
  readonly whenLeft?: 'undone' | 'finished'
}

const nothing = z.void()
const makesShadow = { tells: 'shadow', whenLeft: 'undone' } as const

export const METHODS = {
  identify: { takes: [], gives: ClusterIdentity },
  /** Where no pod can be seen, it waits for the shadow that is being made, whose own addresses are then the sample. */
  discoverRanges: { takes: [], gives: Ranges },
  /**
   * Namespaces by name: all, where they may be listed; else those that contexts of the kubeconfig name for this cluster.
   * At most 1,000. Never rejects for a missing right.
   */
  namespaces: { takes: [], gives: z.array(z.string()) },
  /** All services that can be seen. */
  services: { takes: [], gives: Services },
  /** What can be exchanged or forwarded in the namespace, and who holds it. */
  targets: { takes: [], gives: TargetsSeen },
  /** Whose shadows run, and what is exchanged, meshed or run. */
  team: { takes: [], gives: TeamSeen },

  /**
   * Creates Job (suspended), Secret, releases it, and resolves when the cluster says that the container runs; see
   * `hooks.dialable` for the earlier moment. When it rejects, nothing is left in the cluster; so does `close` while it is
   * under way, even when the shadow has been dialled already.
   */
  createShadow: { takes: [ShadowOptions], gives: ShadowHandle, ...makesShadow },
  /** How to reach the shadow's port over a WebSocket port-forward (v4.channel.k8s.io). */
  portForward: { takes: [ShadowHandle], gives: PortForwardEndpoint },
  shadowState: { takes: [ShadowHandle], gives: ShadowState },
  /** Moves activeDeadlineSeconds ahead (sshd only). */
  prolongShadow: { takes: [ShadowHandle], gives: nothing },
  /** Deletes Job, pod and Secret of this shadow, nobody else's; resolves when they are gone (5 s at most). Idempotent. */
  removeShadow: { takes: [ShadowHandle], gives: nothing },
  /** The same, but resolves when the API server has taken the deletions: the pod needs a moment more to end. */
  deleteShadow: { takes: [ShadowHandle], gives: nothing, whenLeft: 'finished' },
  /** Takes this shadow out of the Services that lead to it; it serves on until it is not needed. Idempotent. */
  retireShadow: { takes: [ShadowHandle], gives: nothing, whenLeft: 'finished' },

  /** Where a forward leads now. Rejects with `target-unknown`, `target-unfit` or `not-ready`. */
  resolveForward: { takes: [ForwardRequest], gives: ForwardTarget },
  /**
   * The pod with that address: looked for everywhere, or, without the right to that, in the namespace. Null where there is
   * none, or it cannot be told: pods of a node's own network share its address.
   */
  podAt: { takes: [z.string()], gives: z.nullable(PodName) },

  /**
   * The environment of a container and, if asked for, its files. What may not be read is named in what it gives. Rejects with
   * `target-unknown`, `target-unfit` or `not-ready`.
   */
  readPlace: { takes: [PlaceRequest], gives: Place },
  /** How to run a command in a container over a WebSocket (v4.channel.k8s.io). */
  podExec: { takes: [ExecRequest], gives: PortForwardEndpoint },

  /**
   * Takes the lease, makes the second Service and the shadow that listens on the Service's target ports, and resolves
   * when it runs. Nothing leads to it yet (scale mode: it gets its share of the requests and passes on what it can).
   * When it rejects or is aborted, nothing is left in the cluster. `hooks.dialable` as for createShadow.
   * Codes: target-unknown, target-unfit (no such port, no selector, ExternalName, exposed twice), held, name-taken, and
   * those of createShadow.
   */
  beginExchange: { takes: [ExchangeRequest, ShadowOptions], gives: InboundHandle, ...makesShadow },
  /**
   * auto: joins the Service's router, or makes it; manual: a shadow among its pods. As beginExchange otherwise, and so are
   * all calls that take the handle. `held` when the version is somebody else's who is there.
   */
  beginMesh: { takes: [MeshRequest, ShadowOptions], gives: InboundHandle, ...makesShadow },
  /** A new Service that leads to a new shadow; resolves when the shadow runs. Code name-taken where the Service exists. */
  beginRun: { takes: [RunRequest, ShadowOptions], gives: InboundHandle, ...makesShadow },
  /**
   * Leads the Service here; resolves when its endpoints have moved. For run it waits for the endpoints only. Idempotent;
   * may be called again after a `reverted`.
   */
  switchExchange: { takes: [InboundHandle], gives: nothing, tells: 'progress' },
  /** To be called every 5 s. Throws `taken-over` when somebody else holds it now, or has put it back. */
  renewLease: { takes: [InboundHandle], gives: nothing },
  /**
   * Tells what others do to the Service, until the signal aborts; then resolves. Begins anew by itself where the
   * API server ends a watch.
   */
  watchExchange: { takes: [InboundHandle], gives: nothing, tells: 'events' },
  /**
   * Puts back what kt wrote and nobody has changed since, and waits until endpoints have moved back. The shadow goes on
   * serving open connections. Idempotent. For run: deletes the Service.
   */
  restoreExchange: { takes: [InboundHandle], gives: Restored, tells: 'progress', whenLeft: 'finished' },
  /** Deletes shadow, second Service and lease; restores first where that was not done. Idempotent. */
  removeExchange: { takes: [InboundHandle], gives: nothing, whenLeft: 'finished' },
  /** A second shadow beside `handle.shadow`, with the same labels. Rejects as createShadow does. */
  addShadow: { takes: [InboundHandle], gives: ShadowHandle, ...makesShadow },
  /**
   * `handle.shadow` after its pod went away or was retired: the one that its Job has made since, or a new one with the same
   * labels, so that the Service needs no change. Gives the handle to use from now on.
   */
  replaceShadow: { takes: [InboundHandle], gives: InboundHandle, ...makesShadow },

  /** The team's exchanges, meshes and runs in the namespace. */
  leases: { takes: [], gives: z.array(HeldLease) },
  /**
   * Puts back what an exchange or mesh of a target changed, whoever left it so, and removes the rest of it. Watches the
   * lease for 12 s first and throws `held` when it is renewed, unless `force`.
   */
  recover: {
    takes: [z.string(), z.object({ force: z.boolean(), holder: z.string() })],
    gives: Recovered,
    tells: 'progress',
    whenLeft: 'finished',
  },
  /**
   * What dead clients left in the namespace; takes 12 s where there is something to watch. Changes nothing. Of shadows only
   * those of the owner count, without those that live.
   */
  findLeftovers: { takes: [OwnShadows], gives: z.array(Leftover), tells: 'progress' },
  /** Skips what has come alive since. The second argument says who removes them. */
  removeLeftovers: {
    takes: [z.array(Leftover), z.string()],
    gives: z.array(Recovered),
    tells: 'progress',
    whenLeft: 'finished',
  },
} as const satisfies Record<string, Call>

export type Method = keyof typeof METHODS

/** How the call behaves, without its types. */
export const callOf = (method: Method): Call => METHODS[method]

type Data<T extends readonly z.ZodMiniType[]> = { -readonly [I in keyof T]: z.infer<T[I]> }
type Tells<C extends Call> = Told[C extends { readonly tells: infer T extends keyof Told } ? T : 'nothing']
export type Arguments<M extends Method> = [...Data<(typeof METHODS)[M]['takes']>, ...Tells<(typeof METHODS)[M]>]
export type Result<M extends Method> = Promise<z.infer<(typeof METHODS)[M]['gives']>>

/** The calls as functions. All reject with a ClusterError with a stable `code`. */
export type ClusterCalls = { [M in Method]: (...args: Arguments<M>) => Result<M> }

export interface ClusterClient extends ClusterCalls {
  /**
   * Gives up what is under way (a shadow being made is removed) and ends the worker, after `patienceMs` by force; the next
   * call starts it again.
   */
  close(patienceMs?: number): Promise<void>
}
