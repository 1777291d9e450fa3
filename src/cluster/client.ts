// The ClusterClient of the rest of kt. It passes every call of the table (calls.ts) to a child process (worker-calls.ts),
// so that client-node's memory does not stay.
import { type ClusterClient, type ClusterSelection, callOf, METHODS, type Method } from './calls.ts'
import type { InboundEvent } from './inbound-calls.ts'
import type { Progress, ShadowHooks } from './shadow-calls.ts'
import { type ClusterClientOptions, type Listeners, WorkerCalls } from './worker-calls.ts'

/** Nothing is started or read before the first call. */
export function createClusterClient(selection: ClusterSelection, options: ClusterClientOptions = {}): ClusterClient {
  const worker = new WorkerCalls(selection, options)
  const calls = (Object.keys(METHODS) as Method[]).map((method) => [
    method,
    (...args: unknown[]) => {
      const { takes, tells = 'nothing' } = callOf(method)
      const listen = listening[tells] as (...told: unknown[]) => Listening
      const { listeners, signal } = listen(...args.slice(takes.length))
      return worker.call(method, args.slice(0, takes.length), listeners, signal)
    },
  ])
  return { ...Object.fromEntries(calls), close: (patienceMs?: number) => worker.close(patienceMs) }
}

/** What is told goes to these, by what a call tells. */
const listening = {
  nothing: (): Listening => ({}),
  progress: (progress: Progress): Listening => ({ listeners: { progress } }),
  shadow: (progress: Progress, { dialable, signal }: ShadowHooks = {}): Listening => ({
    listeners: { progress, dialable },
    signal,
  }),
  events: (event: (event: InboundEvent) => void, signal: AbortSignal): Listening => ({ listeners: { event }, signal }),
}

interface Listening {
  listeners?: Listeners
  signal?: AbortSignal
}
