// The asking side of the control socket. No validation library here: `kt status` as a whole process has 150 ms.
import net from 'node:net'
import { LineSplitter } from './lines.ts'
import type { ArgsOf, EventOf, Operation, ResultOf } from './operations.ts'
import { type ControlError, type Response, versionFor } from './protocol.ts'

/** Silence after which the other end is asked whether it is there, and how long it may take to say so. */
const SILENCE_MS = 3_000
const PONG_MS = 3_000

/** An error the engine reported, or the lack of an engine. */
export class ControlFailure extends Error {
  readonly code: string
  readonly hint: string

  constructor(error: ControlError) {
    super(error.message)
    this.name = 'ControlFailure'
    this.code = error.code
    this.hint = error.hint
  }
}

export interface ControlClient {
  /** Rejects with ControlFailure. */
  request<O extends Operation>(op: O, args: ArgsOf<O>, onProgress?: (p: EventOf<O>) => void): Promise<ResultOf<O>>
  /** Of the kt at the other end; undefined if it is older than this question. Rejects with ControlFailure. */
  version(): Promise<string | undefined>
  close(): void
}

const silent = () =>
  new ControlFailure({
    code: 'no-answer',
    message: 'kt is there, but does not answer',
    hint: '`kt down` ends it and puts the machine back',
  })

/**
 * Connects to the engine's socket. Resolves to undefined when nobody listens there (`stale` tells whether a socket file
 * was left behind by an engine that died); rejects with ControlFailure when it may not be opened. Requests may take as long
 * as they take while the other end answers at all; one that is stopped or hangs ends them with the code `no-answer`.
 */
export async function connectControl(path: string): Promise<{ client?: ControlClient; stale: boolean }> {
  const socket = net.connect(path)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return { stale: false }
    if (code === 'ECONNREFUSED') return { stale: true }
    // unix(7): nobody has taken the connections that wait already.
    if (code === 'EAGAIN') throw silent()
    throw new ControlFailure({
      code: 'control',
      message: `the control socket ${path} cannot be opened: ${code}`,
      hint: 'run the command as the user who ran `kt up`',
    })
  }
  return { client: clientOf(socket), stale: false }
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
  onProgress?: (p: unknown) => void
}

function clientOf(socket: net.Socket): ControlClient {
  const waiting = new Map<number, Waiting>()
  const splitter = new LineSplitter()
  let nextId = 1
  let over: (() => ControlFailure) | undefined
  let watchdog: NodeJS.Timeout | undefined
  const lost = () =>
    new ControlFailure({
      code: 'engine-lost',
      message: 'kt ended before it answered',
      hint: '`kt logs` shows its last words; `kt down` puts the machine back',
    })
  const fail = (why: () => ControlFailure = lost) => {
    over ??= why
    clearTimeout(watchdog)
    for (const one of waiting.values()) one.reject(over())
    waiting.clear()
  }
  const send = (request: { id: number; op: string; args: unknown }) =>
    void socket.write(`${JSON.stringify({ v: versionFor(request.op), ...request })}\n`)
  /** Anew with each sign of life: asks for one after a silence, and gives up when none comes. */
  const watch = () => {
    clearTimeout(watchdog)
    if (waiting.size === 0 || over) return
    watchdog = setTimeout(() => {
      send({ id: nextId++, op: 'ping', args: {} })
      watchdog = setTimeout(() => fail(silent), PONG_MS)
    }, SILENCE_MS)
  }
  const take = (chunk: Buffer) => {
    let responses: Response[]
    try {
      responses = splitter.push(chunk).map((line) => JSON.parse(line) as Response)
    } catch {
      // No engine speaks so: whatever comes after it cannot be trusted.
      socket.destroy()
      return
    }
    for (const response of responses) {
      const one = waiting.get((response as Response | null)?.id ?? 0)
      if (!one) continue
      if ('progress' in response) {
        one.onProgress?.(response.progress)
        continue
      }
      waiting.delete(response.id)
      if (response.ok) one.resolve(response.result)
      else one.reject(new ControlFailure(response.error))
    }
  }
  socket.on('data', (chunk) => {
    take(chunk)
    watch()
  })
  socket.on('error', () => fail())
  socket.on('close', () => fail())
  const ask = (op: string, args: unknown, onProgress?: (p: unknown) => void) =>
    new Promise<unknown>((resolve, reject) => {
      if (over) return reject(over())
      const id = nextId++
      waiting.set(id, { resolve, reject, onProgress })
      send({ id, op, args })
      watch()
    })
  return {
    request: <O extends Operation>(op: O, args: ArgsOf<O>, onProgress?: (p: EventOf<O>) => void) =>
      ask(op, args, onProgress as Waiting['onProgress']) as Promise<ResultOf<O>>,
    version: async () => {
      for (const op of ['ping', 'status']) {
        const answer = await ask(op, {}).catch((error) => {
          if (error.code !== 'unknown-operation') throw error
        })
        const { version } = (answer ?? {}) as { version?: unknown }
        if (typeof version === 'string') return version
      }
      return undefined
    },
    close: () => {
      // Somebody else may have a question under way on the same connection.
      fail()
      socket.removeAllListeners('close')
      socket.on('error', () => {})
      socket.destroy()
    },
  }
}
