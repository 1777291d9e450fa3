// `kt down`: disconnect and restore everything; also what a killed kt left behind, when run as root.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import { connectControl } from '../../control/client.ts'
import { controlFolder, controlSocket } from '../../control/paths.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { CliError, printError, printProgress } from '../output.ts'
import { programFile } from '../programs.ts'
import { withClusterOptions } from './common.ts'

// The engine's own patience with a cluster that is out of reach is less.
const DOWN_MS = 15_000
const HELPER_MS = 5_000

export function addDownCommand(program: Command): void {
  withClusterOptions(program.command('down').description('disconnect, restore everything, remove the shadow')).action(
    async () => {
      await disconnect(whoCalls())
    },
  )
}

/** Ends the caller's engine, if any, and undoes what dead ones left. */
export async function disconnect(caller: Caller): Promise<void> {
  const { client, stale } = await connectControl(controlSocket(caller.uid))
  if (client) {
    try {
      const { notes } = await within(DOWN_MS, client.request('down', {}, printProgress))
      for (const note of notes) printProgress({ step: 'note', state: 'note', detail: note, ms: 0 })
    } finally {
      client.close()
    }
    await helperGone(caller)
    process.stderr.write('disconnected\n')
  }
  if (caller.root) {
    const undone = await undoLeftovers()
    for (const step of undone) printProgress({ step: 'restored', state: 'done', detail: step, ms: 0 })
    if (!client)
      process.stderr.write(
        undone.length > 0
          ? 'the machine is as it was before the kt that was killed\n'
          : 'not connected; nothing to do\n',
      )
    return
  }
  if (client) return
  if (stale)
    throw new CliError(
      'kt was killed and left its settings on this machine',
      'restoring them needs root: `sudo kt down`',
    )
  process.stderr.write('not connected; nothing to do\n')
}

/** Fails with words when the engine takes longer than it may. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new CliError(`kt did not end within ${ms / 1000} s`, '`kt logs` may say why; `sudo kt down` again')),
      ms,
    )
  })
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

/** What the helper's journal says dead helpers left, undone; a line each. */
async function undoLeftovers(): Promise<string[]> {
  const script = programFile('helper')
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script, 'undo'])
    const result = JSON.parse(stdout || '{}') as { undone?: string[]; failed?: string[] }
    for (const one of result.failed ?? [])
      printError(one, 'the step stays in /var/lib/kt and is tried again by the next `sudo kt down`')
    if (result.failed?.length) process.exitCode = 1
    return result.undone ?? []
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1)
    throw new CliError(
      `what a killed kt left could not be undone: ${stderr || (error as Error).message}`,
      'the steps are in /var/lib/kt; run `sudo kt down` again',
    )
  }
}
