// `kt recover` and `kt clean`: put back what somebody else, or a kt that was killed, has left.
import type { Command } from 'commander'
import { connectControl } from '../../control/client.ts'
import type { HolderLine, LeftBehind } from '../../control/holder.ts'
import { askHolders, removeStale } from '../../control/holders.ts'
import { controlSocket } from '../../control/paths.ts'
import type { PutBack } from '../../control/views.ts'
import { whoCalls } from '../caller.ts'
import { runTask } from '../holder.ts'
import { printJson } from '../output.ts'
import { clusterSelection } from '../selection.ts'
import { type ClusterOptions, withClusterOptions } from './common.ts'

export function addRecoverCommand(program: Command): void {
  withClusterOptions(
    program
      .command('recover')
      .description('put an exchanged or meshed Service back, whoever left it so')
      .argument('<target>', '[service/|deployment/|statefulset/|pod/]NAME'),
  )
    .option('--force', 'also while its holder is alive')
    .option('--json', 'one JSON object')
    .action(async (target: string, options: ClusterOptions & { force?: boolean; json?: boolean }) => {
      const caller = whoCalls()
      const config = {
        ...clusterSelection(options, caller),
        kind: 'recover' as const,
        target,
        force: options.force ?? false,
      }
      const { result } = (await runTask(config, caller)) as HolderLine & { type: 'recovered' }
      if (options.json) printJson(result)
      else printPutBack(result)
    })
}

export function addCleanCommand(program: Command): void {
  withClusterOptions(
    program.command('clean').description('remove what dead clients left, here and in the namespace; never a live one'),
  )
    .option('--dry-run', 'tell what it would do, and why')
    .option('--json', 'one JSON object')
    .action(async (options: ClusterOptions & { dryRun?: boolean; json?: boolean }) => {
      const caller = whoCalls()
      const dryRun = options.dryRun ?? false
      const { holders, stale } = await askHolders(caller.uid, process.env)
      const liveShadows = [...holders.map(({ held }) => held.shadow?.job), await shadowOfEngine(caller.uid)]
      for (const { client } of holders) client.close()
      if (!dryRun) for (const path of stale) removeStale(path)
      const config = {
        ...clusterSelection(options, caller),
        kind: 'clean' as const,
        dryRun,
        liveShadows: liveShadows.flatMap((job) => job ?? []),
      }
      const { found, done } = (await runTask(config, caller)) as HolderLine & { type: 'cleaned' }
      if (options.json) {
        printJson({ dryRun, sockets: stale, found, done })
        return
      }
      for (const path of stale) say(`${dryRun ? 'would remove' : 'removed'} ${path}: its holder was killed`)
      if (dryRun) for (const one of found) printLeftBehind(one)
      else for (const one of done) printPutBack(one)
      if (stale.length + found.length === 0) say('nothing to clean')
    })
}

async function shadowOfEngine(uid: number): Promise<string | undefined> {
  const { client } = await connectControl(controlSocket(uid))
  try {
    const status = await client?.request('status', {})
    return status?.shadow?.job
  } catch {
    return undefined // one that does not answer is not asked again: its shadow has a client, or none
  } finally {
    client?.close()
  }
}

function printPutBack({ target, restored, kept, removed, holder }: PutBack): void {
  say(`${target}${holder ? `, held by ${holder}` : ''}`)
  for (const one of restored) say(`  put back: ${one}`)
  for (const one of kept) say(`  kept: ${one}`)
  for (const one of removed) say(`  removed: ${one}`)
  if (restored.length + kept.length + removed.length === 0) say('  nothing to put back')
}

function printLeftBehind({ kind, target, namespace, holder, reason, actions }: LeftBehind): void {
  say(
    `${kind === 'shadow' ? `shadow ${target}` : `${kind} of ${target}`} in ${namespace}${holder ? `, held by ${holder}` : ''}: ${reason}`,
  )
  for (const action of actions) say(`  would ${action}`)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
