// Root's part of `kt down`: the helper's `undo`, by its socket, or through sudo where the caller is not root.
import { spawn } from 'node:child_process'
import { quietPipes } from '../base/children.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { REPAIR } from '../base/installation.ts'
import { type Caller, helperEnvironment } from './caller.ts'
import { callHelper, type HelperConnection } from './helper-socket.ts'
import { CliError } from './output.ts'
import { programCommand } from './programs.ts'

/** Longer than the helper allows itself. */
const MOST_UNDO_MS = 120_000

/** What the helper prints; docs/understand/host.md. */
export interface Undone {
  undone: string[]
  notes: string[]
  failed: string[]
  unreadable?: { path: string; why: string }[]
}

/** Ends what lives of the caller's kt and undoes what dead ones left. Rejects with CliError. */
export async function undoAsRoot(caller: Caller): Promise<Undone> {
  const called = caller.root ? undefined : await callHelper({ op: 'undo' })
  if (called) return reportOf(called)
  // The helper has a limit of its own; only the person whom sudo asks for a password may take longer.
  const command = [process.execPath, ...programCommand('helper', []), 'undo', '--end', String(caller.uid)]
  const { code, stdout, stderr } = await run(caller.root ? command : ['sudo', '--', ...command], caller)
  try {
    const report = JSON.parse(stdout) as Undone
    if (Array.isArray(report.undone)) return report
  } catch {
    // said below
  }
  const last = stderr.trim().split('\n').at(-1)
  if (!caller.root && !last)
    throw new CliError(
      'kt has left its settings on this machine, and to put it back needs root, which sudo did not give',
      '`kt down` asks sudo again; or run `sudo kt down` where you may',
    )
  throw new CliError(
    `what kt left could not be undone: ${last || `the helper ended with code ${code}`}`,
    'the steps are in /var/lib/kt; `kt down` tries again',
  )
}

/** What the helper says at the end of `undo`. It has a limit of its own, which is of no use where it is stopped. */
export async function reportOf({ socket, lines }: HelperConnection, clock: Clock = systemClock): Promise<Undone> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const cancel = clock.after(MOST_UNDO_MS, () =>
    reject(
      new CliError(
        `kt's helper has not answered for ${MOST_UNDO_MS / 1000} s`,
        '`sudo kt down` starts another one; the steps are in /var/lib/kt',
      ),
    ),
  )
  try {
    const { value } = await Promise.race([lines.next(), late])
    const line = value as (Undone & { type: string; message?: string }) | undefined
    if (line?.type === 'undone') return line
    throw new CliError(
      `what kt left could not be undone: ${line?.message ?? 'the helper ended'}`,
      'the steps are in /var/lib/kt; `kt down` tries again',
    )
  } finally {
    cancel()
    socket.destroy()
  }
}

function run(command: string[], caller: Caller): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), {
      // sudo asks on the terminal, and says there what is wrong with the answer.
      stdio: ['inherit', 'pipe', caller.root ? 'pipe' : 'inherit'],
      env: caller.root ? helperEnvironment() : process.env,
    })
    quietPipes(child)
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-2000)
    })
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT' && !caller.root
          ? new CliError(
              'kt has left its settings on this machine, to put it back needs root, and there is no sudo',
              'run `kt down` as root',
            )
          : new CliError(`the helper cannot be started: ${error.message}`, REPAIR),
      ),
    )
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}
