// The child process that speaks to the API server; client.ts starts it. It ends when its channel closes, whatever became
// of the parent, and takes a shadow that is not finished with it.

import * as z from 'zod/mini'
import { systemTime } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { type ClusterCalls, ClusterError, callOf, type Method, type Progress, type ShadowHooks } from './calls.ts'
import type { PluginMemory } from './credentials.ts'
import { clusterError } from './errors.ts'
import type { InboundEvent } from './inbound-calls.ts'
import { localCalls } from './local.ts'
import { type Reply, type Request, readRequest } from './messages.ts'

// Time for the removal of a Job whose creation was cut short.
const LAST_WORDS_MS = 8_000

let client: ClusterCalls | undefined
/** Of the person who waits for what was asked for last. */
let terminal: string | undefined
const calls = new Map<number, { method: Method; abort: AbortController; done: Promise<void> }>()

function tell(reply: Reply): void {
  // The callback takes the error of a channel that has just closed; `disconnect` handles that.
  if (process.connected) process.send!(reply, undefined, undefined, () => {})
}

async function run({ id, method, args }: Request & { type: 'call' }, signal: AbortSignal): Promise<void> {
  try {
    if (!client) throw new Error('called before it was opened')
    const progress: Progress = (step, detail) => tell({ type: 'progress', id, step, detail })
    const hooks: ShadowHooks = { signal, dialable: (shadow) => tell({ type: 'dialable', id, shadow }) }
    const { takes, tells = 'nothing' } = callOf(method)
    const told = {
      nothing: [],
      progress: [progress],
      shadow: [progress, hooks],
      events: [(event: InboundEvent) => tell({ type: 'event', id, event }), signal],
    }[tells]
    takes.forEach((schema, i) => void z.parse(schema, args[i]))
    const act = client[method] as (...all: unknown[]) => Promise<unknown>
    tell({ type: 'result', id, value: await act(...args.slice(0, takes.length), ...told) })
  } catch (error) {
    const { code, message, hint } =
      error instanceof ClusterError
        ? error
        : clusterError('internal', `${method}: ${(error as Error).message ?? error}`)
    tell({ type: 'error', id, code, message, hint })
  }
}

process.on('message', (message) => {
  const request = readRequest(message)
  switch (request?.type) {
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
      client = localCalls(request.selection, {
        env: { ...process.env, ...(request.nodeOptions && { NODE_OPTIONS: request.nodeOptions }) },
        agentBundle: request.agentBundle,
        time: systemTime,
        random: systemRandom,
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
  const waitFor = ({ method }: { method: Method }) => callOf(method).whenLeft !== undefined
  await Promise.all([...calls.values()].filter(waitFor).map(({ done }) => done))
  process.exit(0)
}

process.once('disconnect', finish)
process.once('SIGTERM', finish)
// Ctrl-C in a terminal reaches the whole process group; the parent decides what it means.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
