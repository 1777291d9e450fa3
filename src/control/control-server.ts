// The answering side of the control socket. The folder it lies in belongs to one user and has mode 0700: the file
// system is the access check. Requests are checked against a schema, since whatever runs as that user may write here.
import { chmodSync, rmSync } from 'node:fs'
import net from 'node:net'
import { prettifyError } from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { listening } from '../base/listen.ts'
import { ToldError } from '../base/told-error.ts'
import { LineSplitter } from './lines.ts'
import { type ArgsOf, Envelope, type EventOf, OPERATIONS, type Operation, type ResultOf } from './operations.ts'
import { CONTROL_VERSION, type ControlError, isStable, type Response } from './protocol.ts'
import { VERSION } from './version.ts'

// Without it zod/mini says of everything that it is invalid input, and not why.
const inWords = { error: en().localeError }

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
    args: ArgsOf<O>,
    progress: (p: EventOf<O>) => void,
    caller: ControlCaller,
  ) => Promise<ResultOf<O>> | ResultOf<O>
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
    const request = Envelope.parse(JSON.parse(line))
    id = request.id
    if (request.v !== CONTROL_VERSION && !isStable(request.op)) {
      throw new ToldError(
        'version',
        `this engine speaks control version ${CONTROL_VERSION}, the command ${request.v}`,
        'run `kt down` and `kt up` again after an update',
      )
    }
    // Is anybody there, and who? Asked at first, and by a caller who has heard nothing for a while.
    if (request.op === 'ping') return send({ id, ok: true, result: { version: VERSION } })
    if (!Object.hasOwn(handlers, request.op))
      throw new ToldError(
        'unknown-operation',
        `unknown operation ${request.op}`,
        'run `kt down` and `kt up` again after an update',
      )
    const op = request.op as Operation
    const args = OPERATIONS[op].args.safeParse(request.args, inWords)
    if (!args.success)
      throw new ToldError(
        'bad-request',
        `${op}: ${prettifyError(args.error).replaceAll('\n', ' ')}`,
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
