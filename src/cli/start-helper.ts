// Starts the helper (by its socket, or by sudo where needed) and shows its lines until kt is connected, in the foreground
// until it ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { quietPipes } from '../base/children.ts'
import { REPAIR } from '../base/installation.ts'
import { connectControl } from '../control/client.ts'
import type { UpConfig } from '../control/config.ts'
import { controlSocket, HELPER_SOCKET } from '../control/paths.ts'
import type { Progress } from '../control/protocol.ts'
import { type Caller, helperEnvironment } from './caller.ts'
import { callHelper, jsonLines } from './helper-socket.ts'
import { CliError, printProgress } from './output.ts'
import { programCommand } from './programs.ts'

// The helper does little: without the optimizing compilers it takes 3 MB less.
const HELPER_NODE_OPTIONS = process.versions.node.startsWith('22.')
  ? ['--lite-mode', '--no-expose-wasm'] // without the second, V8 there warns that the first implies it
  : ['--lite-mode']
/** So often it is looked whether a connection in the making still lives; dead twice in a row is dead. */
const LOOK_MS = 10_000
/** The helper gives its engine less to leave. */
const INTERRUPTED_MS = 15_000

/** Lines of the helper: steps, one of two ends of the beginning, and in the foreground the end. */
type HelperLine =
  | ({ type: 'progress' } & Progress)
  | { type: 'ready'; message: string }
  | { type: 'failed'; code: string; message: string; hint: string }
  | { type: 'ended'; orderly: boolean; why: string }

export interface Started {
  /** What it is connected to. */
  message: string
  /** In the foreground: it has ended and all is undone. Rejects with CliError when it fell over. */
  ended: Promise<void>
}

/** The way to a helper that was started. */
interface Link {
  /** Its end tells the helper to undo everything. */
  input: { end(): void; destroy(): void }
  lines: AsyncGenerator<HelperLine>
  /** Rejects where it cannot be started. */
  broken: Promise<never>
  /** Lets it run on without us. */
  letGo(): void
}

/** Resolves when connected. Rejects with CliError; then nothing is left. */
export async function startHelper(caller: Caller, config: UpConfig, foreground: boolean): Promise<Started> {
  const called = caller.root ? undefined : await bySocket(config, foreground)
  const { input, lines, broken, letGo } = called ?? byCommand(caller, config, foreground)
  const late = Promise.withResolvers<never>()
  late.promise.catch(() => {})
  let interrupted = false
  let limit: NodeJS.Timeout | undefined
  const interrupt = () => {
    interrupted = true
    input.end() // the end of its input tells the helper to undo everything
    limit ??= setTimeout(
      () => late.reject(new CliError('kt does not end', '`kt down` ends it and puts the machine back')),
      INTERRUPTED_MS,
    )
  }
  const dead = watchOver(caller)
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    const begun = begin(lines, () => interrupted, dead.start)
    begun.catch(() => {})
    const message = await Promise.race([begun, broken, late.promise, dead.promise])
    if (!foreground) letGo()
    const ended = foreground ? untilEnd(lines).finally(letGo) : Promise.resolve()
    ended.catch(() => {})
    return { message, ended }
  } catch (error) {
    letGo()
    throw error
  } finally {
    clearTimeout(limit)
    dead.stop()
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}

/** Undefined where the caller may not use the socket. */
async function bySocket(config: UpConfig, foreground: boolean): Promise<Link | undefined> {
  const connection = await callHelper({ op: 'up', foreground }, config)
  if (!connection) return undefined
  const { socket, lines } = connection
  return {
    input: socket,
    lines: lines as AsyncGenerator<HelperLine>,
    broken: new Promise(() => {}),
    letGo: () => socket.destroy(),
  }
}

function byCommand(caller: Caller, config: UpConfig, foreground: boolean): Link {
  const { child, input } = spawnHelper(caller, foreground)
  const { promise: broken, reject } = Promise.withResolvers<never>()
  broken.catch(() => {})
  child.once('error', (error: NodeJS.ErrnoException) =>
    reject(
      error.code === 'ENOENT' && !caller.root
        ? new CliError('kt needs root for its network device, and there is no sudo', withoutSudo(caller))
        : new CliError(`the helper cannot be started: ${error.message}`, REPAIR),
    ),
  )
  input.on('error', () => {}) // the helper's end is seen on its output
  input.write(`${JSON.stringify(config)}\n`)
  return {
    input,
    lines: jsonLines(child.stdout!) as AsyncGenerator<HelperLine>,
    broken,
    letGo: () => {
      input.destroy()
      child.stdout!.destroy()
      child.unref()
    },
  }
}

/** What to do where there is no sudo. */
function withoutSudo(caller: Caller): string {
  return existsSync(HELPER_SOCKET)
    ? `run \`kt up\` as root; or have root add you to the group kt, \`usermod -aG kt ${caller.name}\`, and log in again`
    : 'run `kt up` as root'
}

function spawnHelper(
  caller: Caller,
  foreground: boolean,
): { child: ChildProcess; input: NodeJS.WritableStream & { destroy(): void } } {
  const helper = [
    process.execPath,
    ...programCommand('helper', HELPER_NODE_OPTIONS),
    'up',
    '--uid',
    String(caller.uid),
    '--gid',
    String(caller.gid),
    '--user',
    caller.name,
    ...(foreground ? ['--foreground'] : []),
  ]
  // sudo stays while what it started runs; setsid --fork lets it go, and frees the helper of this terminal.
  const command = caller.root ? helper : ['sudo', '--', 'setsid', '--fork', ...helper]
  const child = spawn(command[0], command.slice(1), {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: caller.root,
    env: caller.root ? helperEnvironment() : process.env,
  })
  quietPipes(child)
  // Node closes a child's input when the child ends, and sudo ends as soon as setsid has let the helper go: the pipe,
  // whose end tells the helper to give up, is kept by ourselves.
  const input = child.stdin
  ;(child as ChildProcess).stdin = null
  return { child, input }
}

/** Shows the steps. Resolves to the words of the last when connected; `onFirst` is called when the helper runs. */
async function begin(
  lines: AsyncGenerator<HelperLine>,
  interrupted: () => boolean,
  onFirst: () => void,
): Promise<string> {
  for (;;) {
    const { value: line, done } = await lines.next()
    if (done) break
    onFirst()
    if (line.type === 'progress') printProgress(line)
    else if (line.type === 'ready') return line.message
    else if (line.type === 'failed' && !interrupted()) throw new CliError(line.message, line.hint)
  }
  if (interrupted()) throw new CliError('interrupted; nothing was left behind', '`kt up` starts again')
  throw new CliError(
    'the helper ended before kt was connected',
    '`kt down` undoes what it may have left, and `kt logs` may say why; if sudo refused, ask for the right to run kt by sudo',
  )
}

async function untilEnd(lines: AsyncGenerator<HelperLine>): Promise<void> {
  for (;;) {
    const { value: line, done } = await lines.next()
    if (done) throw new CliError('the helper was killed', '`kt down` puts the machine back')
    if (line.type === 'progress') printProgress(line)
    if (line.type !== 'ended') continue
    if (line.orderly) return
    throw new CliError(`kt ended by itself (${line.why}); the machine is as before`, '`kt logs` may say why')
  }
}

/**
 * From `start` on rejects when neither an engine nor its beginning shows a sign of life: the person whom sudo asks for a
 * password is waited for, a helper that is stopped is not.
 */
function watchOver(caller: Caller): { promise: Promise<never>; start(): void; stop(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let missed = 0
  const look = async () => {
    missed = (await answers(caller)) ? 0 : missed + 1
    if (stopped) return
    if (missed >= 2) reject(new CliError('kt does not answer', '`kt down` ends it and puts the machine back'))
    else timer = setTimeout(() => void look(), LOOK_MS)
  }
  return {
    promise,
    start: () => {
      if (!stopped) timer ??= setTimeout(() => void look(), LOOK_MS)
    },
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}

async function answers(caller: Caller): Promise<boolean> {
  try {
    const { client } = await connectControl(controlSocket(caller.uid))
    if (!client) return false
    try {
      await client.request('status', {})
      return true
    } finally {
      client.close()
    }
  } catch {
    return false
  }
}
