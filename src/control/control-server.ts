// The answering side of the control socket. The folder it lies in belongs to one user and has mode 0700: the file
// system is the access check. Requests are checked against a schema, since whatever runs as that user may write here.
import { chmodSync, rmSync } from 'node:fs'
import net from 'node:net'
import { z } from 'zod'
import { listening } from '../base/listen.ts'
import { ToldError } from '../base/told-error.ts'
import { LineSplitter } from './lines.ts'
import {
  CONTROL_VERSION,
  type ControlError,
  type EventOf,
  type Operation,
  type Operations,
  type Response,
} from './protocol.ts'

const empty = z.strictObject({})
const requestArgs: { [O in Operation]: z.ZodType<Operations[O][0]> } = {
  status: empty,
  look: empty,
  down: empty,
  held: empty,
  leave: empty,
  same: z.strictObject({
    kubeconfig: z.string().optional(),
    context: z.string().optional(),
    namespace: z.string().optional(),
    env: z.record(z.string(), z.string()),
    given: z.record(z.string(), z.unknown()).optional(),
  }),
  services: empty,
  team: empty,
  recover: z.strictObject({ target: z.string().min(1).max(253), namespace: z.string().min(1).max(63) }),
  'dns.status': empty,
  'dns.query': z.strictObject({ name: z.string(), type: z.string() }),
  'dns.log': z.strictObject({ since: z.number().int().min(0).optional() }),
  'dns.trace': z.strictObject({ name: z.string(), type: z.string() }),
  capture: z.strictObject({ filter: z.string().optional() }),
  metrics: empty,
  watch: z.strictObject({ dns: z.boolean().optional() }),
  flows: z.strictObject({ waitMs: z.number().int().min(0).max(2000).optional() }),
}
const envelope = z.object({ v: z.number(), id: z.number(), op: z.string(), args: z.unknown() })

/** The other end of the socket, for operations that go on. */
export interface ControlCaller {
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal
  /** Bytes told that the caller has not read yet. Who tells much looks at it. */
  backlog(): number
}

/** One function an operation. An error with `code` and `hint` reaches the caller as it is. */
export type ControlHandlers = {
  [O in Operation]: (
    args: Operations[O][0],
    progress: (p: EventOf<O>) => void,
    caller: ControlCaller,
  ) => Promise<Operations[O][1]> | Operations[O][1]
}

export interface ControlServer {
  close(): void
}

/** Listens on `path`, replacing a socket that a dead engine left. Rejects when it cannot. */
export async function serveControl(
  path: string,
  handlers: Partial<ControlHandlers>,
  log: (line: string) => void,
): Promise<ControlServer> {
  rmSync(path, { force: true })
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    const splitter = new LineSplitter()
    const gone = new AbortController()
    const caller: ControlCaller = { signal: gone.signal, backlog: () => socket.writableLength }
    const send = (response: Response) => {
      if (socket.writable) socket.write(`${JSON.stringify(response)}\n`)
    }
    socket.on('data', (chunk) => {
      try {
        for (const line of splitter.push(chunk)) void answer(line, handlers, send, caller, log)
      } catch (error) {
        log(`control: ${(error as Error).message}`)
        socket.destroy()
      }
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      sockets.delete(socket)
      gone.abort()
    })
  })
  await listening(server, { path })
  chmodSync(path, 0o600)
  return {
    close: () => {
      server.close()
      for (const socket of sockets) socket.end()
      rmSync(path, { force: true })
    },
  }
}

async function answer(
  line: string,
  handlers: Partial<ControlHandlers>,
  send: (r: Response) => void,
  caller: ControlCaller,
  log: (line: string) => void,
) {
  let id = 0
  try {
    const request = envelope.parse(JSON.parse(line))
    id = request.id
    if (request.v !== CONTROL_VERSION) {
      throw new ToldError(
        'version',
        `this engine speaks control version ${CONTROL_VERSION}, the command ${request.v}`,
        'run `kt down` and `kt up` again after an update',
      )
    }
    // Asked by a caller who has heard nothing for a while: is anybody there?
    if (request.op === 'ping') return send({ id, ok: true, result: {} })
    if (!Object.hasOwn(handlers, request.op))
      throw new ToldError(
        'unknown-operation',
        `unknown operation ${request.op}`,
        'run `kt down` and `kt up` again after an update',
      )
    const op = request.op as Operation
    const args = requestArgs[op].safeParse(request.args)
    if (!args.success)
      throw new ToldError(
        'bad-request',
        `${op}: ${z.prettifyError(args.error).replaceAll('\n', ' ')}`,
        'the command and the kt that runs are of different versions: `kt down`, then `kt up` again',
      )
    const handler = handlers[op] as (args: unknown, progress: (p: unknown) => void, caller: ControlCaller) => unknown
    send({ id, ok: true, result: await handler(args.data, (progress) => send({ id, progress }), caller) })
  } catch (error) {
    send({ id, ok: false, error: toControlError(error, log) })
  }
}

/** Errors made for people pass; anything else is a mistake of ours and goes to the log whole. */
export function toControlError(error: unknown, log: (line: string) => void): ControlError {
  const e = error as { code?: unknown; hint?: unknown; message?: unknown; stack?: string }
  if (typeof e?.code === 'string' && typeof e.hint === 'string')
    return { code: e.code, message: String(e.message), hint: e.hint }
  log(`unexpected: ${e?.stack ?? error}`)
  return {
    code: 'internal',
    message: `unexpected error: ${e?.message ?? error}`,
    hint: '`kt logs` has the details; please report it',
  }
}
