// What crosses the border between client.ts and worker.ts: JSON over Node's IPC channel.

import type { ClusterClient, ClusterErrorCode, ClusterSelection, ShadowHandle } from './calls.ts'
import type { InboundEvent } from './inbound-calls.ts'
import type { PluginAnswer } from './plugin.ts'

export type Method = Exclude<keyof ClusterClient, 'close'>

/** What undoes itself when it is aborted, and says so only then. */
export const making: ReadonlySet<Method> = new Set<Method>([
  'createShadow',
  'beginExchange',
  'beginMesh',
  'beginRun',
  'addShadow',
  'replaceShadow',
])

/** What goes on when its caller has died. */
export const ending: ReadonlySet<Method> = new Set<Method>([
  'restoreExchange',
  'removeExchange',
  'retireShadow',
  'recover',
  'removeLeftovers',
])

/** To the worker. `open` comes first, once; `nodeOptions` are for credential plugins, not for the worker. */
export type Request =
  | {
      type: 'open'
      selection: ClusterSelection
      agentBundle: string
      kept: [string, PluginAnswer][]
      nodeOptions?: string
    }
  /** `terminal`: of the person who waits for it, if there is one. */
  | { type: 'call'; id: number; method: Method; argument?: unknown; terminal?: string }
  | { type: 'abort'; id: number }
  /** To be answered at once, whatever else it does. */
  | { type: 'ping' }

/** To the client. Each call ends with one `result` or `error`. */
export type Reply =
  | { type: 'progress'; id: number; step: string; detail: string }
  | { type: 'pong' }
  | { type: 'dialable'; id: number; shadow: ShadowHandle }
  | { type: 'event'; id: number; event: InboundEvent }
  | { type: 'result'; id: number; value?: unknown }
  /** A line of a credential plugin's standard error. */
  | { type: 'said'; line: string }
  /** A plugin's answer for the next worker, too; without one it is forgotten. */
  | { type: 'kept'; id: string; answer?: PluginAnswer }
  | { type: 'error'; id: number; code: ClusterErrorCode; message: string; hint: string }
