// The helper by its socket, for those who may open it: members of the group that the package's kt.socket names need no
// password. Whoever may not, and a kt that is not the one of the package, goes by sudo.
import { connect, type Socket } from 'node:net'
import { ownProgram } from '../base/installation.ts'
import { type HelperCall, OTHER_PROGRAM, TAKEN } from '../control/helper-call.ts'
import { LineSplitter } from '../control/lines.ts'
import { HELPER_SOCKET } from '../control/paths.ts'
import { VERSION } from '../control/version.ts'
import { CliError } from './output.ts'

export interface HelperConnection {
  socket: Socket
  /** What the helper says from here on; its end is the end of these. */
  lines: AsyncGenerator<unknown>
}

/** The connection is opened at once or not at all; then systemd starts a process, which on a busy machine takes a while. */
const ANSWER_MS = 15_000

type Call = HelperCall extends infer C ? (C extends HelperCall ? Omit<C, 'program' | 'version'> : never) : never

/**
 * Makes a call of the helper, with `config` behind it if it has one. Undefined where there is no socket, the caller may not
 * open it, or the helper is not this kt's. Rejects with CliError for what the helper refuses.
 */
export async function callHelper(call: Call, config?: object): Promise<HelperConnection | undefined> {
  const socket = await opened()
  if (!socket) return undefined
  const said = [{ ...call, program: ownProgram, version: VERSION }, ...(config ? [config] : [])]
  socket.write(said.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const limit = setTimeout(() => socket.destroy(), ANSWER_MS)
  const lines = jsonLines(socket)
  const { value } = await lines.next()
  clearTimeout(limit)
  const first = value as { type?: string; code?: string; message?: string; hint?: string } | undefined
  if (first?.type === TAKEN.type) return { socket, lines }
  socket.destroy()
  // Without an answer: systemd lets no more in, or the helper could not be started.
  if (first === undefined || first.code === OTHER_PROGRAM) return undefined
  throw new CliError(first.message ?? 'the helper refused', first.hint ?? '`kt down`, then try again')
}

/** True if the helper serves the caller, and is this kt's. */
export async function helperServes(): Promise<boolean> {
  try {
    const connection = await callHelper({ op: 'hello' })
    connection?.socket.destroy()
    return connection !== undefined
  } catch {
    return false
  }
}

function opened(): Promise<Socket | undefined> {
  const { promise, resolve } = Promise.withResolvers<Socket | undefined>()
  // Half open: the end of what is said to the helper tells it to undo everything, and it is heard out.
  const socket = connect({ path: HELPER_SOCKET, allowHalfOpen: true })
  const limit = setTimeout(() => socket.destroy(), ANSWER_MS)
  socket.once('connect', () => resolve(socket))
  socket.on('error', () => {}) // `close` follows
  socket.once('close', () => resolve(undefined))
  return promise.finally(() => clearTimeout(limit))
}

/** Objects of a stream, one a line. What is none ends it. */
export async function* jsonLines(input: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  const splitter = new LineSplitter()
  try {
    for await (const chunk of input)
      for (const text of splitter.push(chunk as Buffer)) yield JSON.parse(text) as unknown
  } catch {
    // What is no line of the helper's is its end for us.
  }
}
