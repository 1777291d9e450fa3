// Starts the engine as the user and keeps hold of it: the TUN's descriptor in, messages both ways, its end noticed.
import { type ChildProcess, spawn } from 'node:child_process'
import { quietPipes } from '../../base/children.ts'
import { useNative } from '../../base/installation.ts'
import { type Account, loginEnvironment } from './account.ts'
import type { HelperAnswer, HelperEvent } from './protocol.ts'

export interface EngineProcess {
  readonly pid: number
  send(message: HelperAnswer | HelperEvent): void
  kill(): void
  readonly ended: Promise<EngineEnd>
}

export interface EngineEnd {
  /** How it ended, in words. */
  how: string
  /** Because it was to end. */
  orderly: boolean
  /** The last of what it wrote to standard error. */
  lastWords: string
  /** The file or folder that kept it from starting, since the user may not read or enter it. */
  closed?: string
}

/** The exit code of kt-launch for a path that is closed to the user; it writes that path. EX_NOPERM of sysexits(3). */
const CLOSED = 77

const LAST_WORDS = 2000

/**
 * `program` is what follows the Node. kt-launch takes root away before Node starts; see native/launch.c. Rejects never: what
 * cannot be started has ended.
 */
export function startEngine(
  program: readonly string[],
  account: Account,
  tunFd: number,
  inherited: NodeJS.ProcessEnv,
  onMessage: (message: unknown) => void,
): EngineProcess {
  const { uid, gid, groups } = account
  const args = [String(uid), String(gid), groups.join(',') || '-', process.execPath, ...program]
  const start = (launcher: string): ChildProcess =>
    spawn(launcher, args, {
      stdio: ['ignore', 'ignore', 'pipe', tunFd, 'ipc'],
      env: loginEnvironment(account, inherited),
      cwd: '/',
      detached: true, // Ctrl-C in the caller's terminal is for the helper alone
    })
  const child = useNative('kt-launch', start)
  quietPipes(child)
  let lastWords = ''
  child.stderr!.setEncoding('utf8')
  child.stderr!.on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-LAST_WORDS)
  })
  child.on('message', onMessage)
  child.stderr!.on('error', () => {}) // `close` follows
  const ended = new Promise<EngineEnd>((resolve) => {
    child.on('error', (error) => resolve({ how: `it cannot be started: ${error.message}`, orderly: false, lastWords }))
    child.on('close', (code, signal) =>
      resolve({
        how: signal ? `it was ended by ${signal}` : `it ended with code ${code}`,
        orderly: code === 0,
        lastWords,
        ...(code === CLOSED && { closed: lastWords }),
      }),
    )
  })
  return {
    pid: child.pid ?? 0,
    ended,
    send(message) {
      if (child.connected) child.send(message, () => {}) // an engine that is gone is seen by `ended`
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
