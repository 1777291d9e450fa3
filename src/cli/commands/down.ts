// `kt down`: disconnect and restore everything; also what a killed kt left behind. Whatever needs root is asked of sudo.
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { type ControlClient, ControlFailure, connectControl } from '../../control/client.ts'
import { controlFolder, controlSocket } from '../../control/paths.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { printError, printProgress } from '../output.ts'
import { tracesOf } from '../traces.ts'
import { type Undone, undoAsRoot } from '../undo.ts'
import { withClusterOptions } from './common.ts'

// The engine gives all of its leaving less, and the helper what follows.
const DOWN_MS = 12_000
const HELPER_MS = 4_000

export function addDownCommand(program: Command): void {
  withClusterOptions(program.command('down').description('disconnect, restore everything, remove the shadow')).action(
    async () => {
      await disconnect(whoCalls())
    },
  )
}

/** Ends the caller's kt, if any, by force if it must be, and undoes what dead ones left. Rejects with CliError. */
export async function disconnect(caller: Caller): Promise<void> {
  const engine = await askToLeave(caller)
  const traces = tracesOf(caller.uid)
  if (engine === 'silent') process.stderr.write('kt does not answer; it is ended\n')
  const report = caller.root || traces.length > 0 ? await undoAsRoot(caller) : undefined
  if (report) tell(report)
  if (engine !== 'none') process.stderr.write('disconnected\n')
  else if (report?.undone.length) process.stderr.write('the machine is as it was before kt\n')
  else if (!report?.failed.length && !report?.unreadable) process.stderr.write('not connected; nothing to do\n')
}

/** `left`: the engine said good-bye, and its helper has put the machine back, or should have. */
async function askToLeave(caller: Caller): Promise<'left' | 'silent' | 'none'> {
  let client: ControlClient | undefined
  try {
    client = (await connectControl(controlSocket(caller.uid))).client
    if (!client) return 'none'
    const { notes } = await within(DOWN_MS, client.request('down', {}, printProgress))
    for (const note of notes) printProgress({ step: 'note', state: 'note', detail: note, ms: 0 })
  } catch (error) {
    if (!(error instanceof ControlFailure)) throw error
    if (error.code === 'no-answer') return 'silent'
    // It ended while it was asked: what matters is what it has left.
    if (error.code !== 'engine-lost') throw error
  } finally {
    client?.close()
  }
  await helperGone(caller)
  return 'left'
}

function tell({ undone, notes, failed, unreadable = [] }: Undone): void {
  for (const step of undone) printProgress({ step: 'restored', state: 'done', detail: step, ms: 0 })
  for (const note of notes) printProgress({ step: 'note', state: 'note', detail: note, ms: 0 })
  for (const one of failed) printError(`not undone: ${one}`, '`kt down` tries again: the step stays in /var/lib/kt')
  for (const { path, why } of unreadable)
    printError(
      `the undo journal ${path} cannot be used: ${why}`,
      `see that /etc/resolv.conf is yours, then remove the journal: \`sudo rm -r ${path}\``,
    )
  if (failed.length + unreadable.length > 0) process.exitCode = 1
}

/** The engine has its own deadline; one that answers and does not end is one that hangs. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new ControlFailure({ code: 'no-answer', message: `kt did not end within ${ms / 1000} s`, hint: '' })),
    ms,
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The helper removes its folder last: after that the machine is as it was, and a new `kt up` may start. */
async function helperGone(caller: Caller): Promise<void> {
  const end = Date.now() + HELPER_MS
  while (existsSync(controlFolder(caller.uid)) && Date.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 20))
}
