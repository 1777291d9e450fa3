// The child process that speaks to the API server; client.ts starts it. It ends when its channel closes, whatever became
// of the parent, and takes a shadow that is not finished with it.

import {
  ClusterError,
  type ForwardRequest,
  type Progress,
  type ShadowHandle,
  type ShadowHooks,
  type ShadowOptions,
} from './calls.ts'
import type { PluginMemory } from './credentials.ts'
import { clusterError } from './errors.ts'
import type { ExchangeRequest, InboundHandle, Leftover, MeshRequest, OwnShadows, RunRequest } from './inbound-calls.ts'
import { LocalClusterClient } from './local.ts'
import { ending, type Method, making, type Reply, type Request } from './messages.ts'

// Time for the removal of a Job whose creation was cut short.
const LAST_WORDS_MS = 8_000

let client: LocalClusterClient | undefined
/** Of the person who waits for what was asked for last. */
let terminal: string | undefined
const calls = new Map<number, { method: Method; abort: AbortController; done: Promise<void> }>()

function tell(reply: Reply): void {
  // The callback takes the error of a channel that has just closed; `disconnect` handles that.
  if (process.connected) process.send!(reply, undefined, undefined, () => {})
}

async function run({ id, method, argument }: Request & { type: 'call' }, signal: AbortSignal): Promise<void> {
  try {
    if (!client) throw new Error('called before it was opened')
    const shadow = argument as ShadowHandle
    const handle = argument as InboundHandle
    const progress: Progress = (step, detail) => tell({ type: 'progress', id, step, detail })
    const hooks: ShadowHooks = { signal, dialable: (handle) => tell({ type: 'dialable', id, shadow: handle }) }
    const act = {
      identify: () => client!.identify(),
      discoverRanges: () => client!.discoverRanges(),
      namespaces: () => client!.namespaces(),
      services: () => client!.services(),
      team: () => client!.team(),
      resolveForward: () => client!.resolveForward(argument as ForwardRequest),
      portForward: () => client!.portForward(shadow),
      shadowState: () => client!.shadowState(shadow),
      prolongShadow: () => client!.prolongShadow(shadow),
      removeShadow: () => client!.removeShadow(shadow),
      retireShadow: () => client!.retireShadow(shadow),
      createShadow: () => client!.createShadow(argument as ShadowOptions, progress, hooks),
      beginExchange: () => client!.beginExchange(...(argument as [ExchangeRequest, ShadowOptions]), progress, hooks),
      beginMesh: () => client!.beginMesh(...(argument as [MeshRequest, ShadowOptions]), progress, hooks),
      beginRun: () => client!.beginRun(...(argument as [RunRequest, ShadowOptions]), progress, hooks),
      switchExchange: () => client!.switchExchange(handle, progress),
      renewLease: () => client!.renewLease(handle),
      watchExchange: () => client!.watchExchange(handle, (event) => tell({ type: 'event', id, event }), signal),
      restoreExchange: () => client!.restoreExchange(handle, progress),
      removeExchange: () => client!.removeExchange(handle),
      addShadow: () => client!.addShadow(handle, progress, hooks),
      replaceShadow: () => client!.replaceShadow(handle, progress, hooks),
      leases: () => client!.leases(),
      recover: () => client!.recover(...(argument as [string, { force: boolean; holder: string }]), progress),
      findLeftovers: () => client!.findLeftovers(argument as OwnShadows, progress),
      removeLeftovers: () => client!.removeLeftovers(...(argument as [Leftover[], string]), progress),
    }[method]
    tell({ type: 'result', id, value: await act() })
  } catch (error) {
    const { code, message, hint } =
      error instanceof ClusterError
        ? error
        : clusterError('internal', `${method}: ${(error as Error).message ?? error}`)
    tell({ type: 'error', id, code, message, hint })
  }
}

process.on('message', (request: Request) => {
  switch (request.type) {
    case 'open': {
      const kept = new Map(request.kept)
      const memory: PluginMemory = {
        recall: (id) => kept.get(id),
        keep: (id, answer) => {
          if (answer) kept.set(id, answer)
          else kept.delete(id)
          tell({ type: 'kept', id, answer })
        },
      }
      client = new LocalClusterClient(request.selection, {
        env: { ...process.env, ...(request.nodeOptions && { NODE_OPTIONS: request.nodeOptions }) },
        agentBundle: request.agentBundle,
        api: { plugin: { terminal: () => terminal, said: (line) => tell({ type: 'said', line }) }, memory },
      })
      break
    }
    case 'call': {
      terminal = request.terminal
      const abort = new AbortController()
      const done = run(request, abort.signal).finally(() => calls.delete(request.id))
      calls.set(request.id, { method: request.method, abort, done })
      break
    }
    case 'ping':
      tell({ type: 'pong' })
      break
    case 'abort':
      calls.get(request.id)?.abort.abort()
  }
})

async function finish(): Promise<never> {
  setTimeout(() => process.exit(1), LAST_WORDS_MS)
  for (const { abort } of calls.values()) abort.abort()
  // What is being made has something to undo; what is being put back shall not stop half-way.
  const waitFor = ({ method }: { method: Method }) => making.has(method) || ending.has(method)
  await Promise.all([...calls.values()].filter(waitFor).map(({ done }) => done))
  process.exit(0)
}

process.once('disconnect', finish)
process.once('SIGTERM', finish)
// Ctrl-C in a terminal reaches the whole process group; the parent decides what it means.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
