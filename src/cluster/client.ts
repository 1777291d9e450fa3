// The ClusterClient of the rest of kt. It passes every call to a child process (worker-calls.ts), so that client-node's memory
// does not stay.

import type {
  ClusterClient,
  ClusterIdentity,
  ClusterSelection,
  ForwardRequest,
  ForwardTarget,
  PortForwardEndpoint,
  Progress,
  Ranges,
  Services,
  ShadowHandle,
  ShadowHooks,
  ShadowOptions,
  TeamSeen,
} from './calls.ts'
import type {
  ExchangeRequest,
  HeldLease,
  InboundEvent,
  InboundHandle,
  Leftover,
  MeshRequest,
  OwnShadows,
  Recovered,
  Restored,
  RunRequest,
} from './inbound-calls.ts'
import type { Method } from './messages.ts'
import { type ClusterClientOptions, type Listeners, WorkerCalls } from './worker-calls.ts'

/** Nothing is started or read before the first call. */
export function createClusterClient(selection: ClusterSelection, options: ClusterClientOptions = {}): ClusterClient {
  return new WorkerClient(selection, options)
}

class WorkerClient implements ClusterClient {
  readonly #calls: WorkerCalls

  constructor(selection: ClusterSelection, options: ClusterClientOptions) {
    this.#calls = new WorkerCalls(selection, options)
  }

  identify(): Promise<ClusterIdentity> {
    return this.#call('identify')
  }

  namespaces(): Promise<string[]> {
    return this.#call('namespaces')
  }

  services(): Promise<Services> {
    return this.#call('services')
  }

  team(): Promise<TeamSeen> {
    return this.#call('team')
  }

  discoverRanges(): Promise<Ranges> {
    return this.#call('discoverRanges')
  }

  createShadow(options: ShadowOptions, progress: Progress, hooks: ShadowHooks = {}): Promise<ShadowHandle> {
    return this.#call('createShadow', options, { progress, dialable: hooks.dialable }, hooks.signal)
  }

  resolveForward(request: ForwardRequest): Promise<ForwardTarget> {
    return this.#call('resolveForward', request)
  }

  portForward(shadow: ShadowHandle): Promise<PortForwardEndpoint> {
    return this.#call('portForward', shadow)
  }

  shadowState(shadow: ShadowHandle): Promise<{ state: 'running' | 'starting' | 'gone'; detail: string }> {
    return this.#call('shadowState', shadow)
  }

  prolongShadow(shadow: ShadowHandle): Promise<void> {
    return this.#call('prolongShadow', shadow)
  }

  removeShadow(shadow: ShadowHandle): Promise<void> {
    return this.#call('removeShadow', shadow)
  }

  retireShadow(shadow: ShadowHandle): Promise<void> {
    return this.#call('retireShadow', shadow)
  }

  beginExchange(request: ExchangeRequest, options: ShadowOptions, progress: Progress, hooks: ShadowHooks = {}) {
    return this.#call<InboundHandle>(
      'beginExchange',
      [request, options],
      { progress, dialable: hooks.dialable },
      hooks.signal,
    )
  }

  beginMesh(request: MeshRequest, options: ShadowOptions, progress: Progress, hooks: ShadowHooks = {}) {
    return this.#call<InboundHandle>(
      'beginMesh',
      [request, options],
      { progress, dialable: hooks.dialable },
      hooks.signal,
    )
  }

  beginRun(request: RunRequest, options: ShadowOptions, progress: Progress, hooks: ShadowHooks = {}) {
    return this.#call<InboundHandle>(
      'beginRun',
      [request, options],
      { progress, dialable: hooks.dialable },
      hooks.signal,
    )
  }

  switchExchange(handle: InboundHandle, progress: Progress): Promise<void> {
    return this.#call('switchExchange', handle, { progress })
  }

  renewLease(handle: InboundHandle): Promise<void> {
    return this.#call('renewLease', handle)
  }

  watchExchange(handle: InboundHandle, onEvent: (event: InboundEvent) => void, signal: AbortSignal): Promise<void> {
    return this.#call('watchExchange', handle, { event: onEvent }, signal)
  }

  restoreExchange(handle: InboundHandle, progress: Progress): Promise<Restored> {
    return this.#call('restoreExchange', handle, { progress })
  }

  removeExchange(handle: InboundHandle): Promise<void> {
    return this.#call('removeExchange', handle)
  }

  addShadow(handle: InboundHandle, progress: Progress, hooks: ShadowHooks = {}) {
    return this.#call<ShadowHandle>('addShadow', handle, { progress, dialable: hooks.dialable }, hooks.signal)
  }

  replaceShadow(handle: InboundHandle, progress: Progress, hooks: ShadowHooks = {}) {
    return this.#call<InboundHandle>('replaceShadow', handle, { progress, dialable: hooks.dialable }, hooks.signal)
  }

  leases(): Promise<HeldLease[]> {
    return this.#call('leases')
  }

  recover(target: string, options: { force: boolean; holder: string }, progress: Progress): Promise<Recovered> {
    return this.#call('recover', [target, options], { progress })
  }

  findLeftovers(shadows: OwnShadows, progress: Progress): Promise<Leftover[]> {
    return this.#call('findLeftovers', shadows, { progress })
  }

  removeLeftovers(leftovers: Leftover[], holder: string, progress: Progress): Promise<Recovered[]> {
    return this.#call('removeLeftovers', [leftovers, holder], { progress })
  }

  close(patienceMs?: number): Promise<void> {
    return this.#calls.close(patienceMs)
  }

  #call<T>(method: Method, argument?: unknown, listeners?: Listeners, signal?: AbortSignal): Promise<T> {
    return this.#calls.call(method, argument, listeners, signal)
  }
}
