// Starts the worker (worker.ts) and tells of its end, with its last words.
import { type ChildProcess, spawn } from 'node:child_process'
import { quietPipes } from '../base/children.ts'
import { programArguments } from '../base/installation.ts'
import { type Reply, readReply } from './messages.ts'

interface WorkerOptions {
  env?: NodeJS.ProcessEnv
  prefix?: string[]
}

interface WorkerEvents {
  /** Undefined: something that is no reply. */
  reply(reply: Reply | undefined): void
  /** It has ended, or could not be started; may come twice. */
  over(how: string): void
}

/** `nodeOptions` are those of the environment: for credential plugins, and not for the worker itself. */
export function startWorker(
  { prefix = [], env = process.env }: WorkerOptions,
  events: WorkerEvents,
): { worker: ChildProcess; nodeOptions: string | undefined } {
  const [command, ...args] = [...prefix, process.execPath, ...programArguments('worker')]
  const { NODE_OPTIONS: nodeOptions, ...rest } = env
  const worker = spawn(command, args, { env: rest, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  quietPipes(worker)
  let complaint = ''
  worker.stderr!.setEncoding('utf8').on('data', (text) => {
    complaint = (complaint + text).slice(-2000)
  })
  worker.on('message', (message) => events.reply(readReply(message)))
  worker.on('error', (error) => events.over(error.message))
  // `close` and not `exit`: what it said on stderr is read by then.
  worker.once('close', (code, signal) => {
    const last = complaint.trim().split('\n').at(-1)
    events.over(`${signal ?? `exit code ${code}`}${last ? `: ${last}` : ''}`)
  })
  return { worker, nodeOptions }
}
