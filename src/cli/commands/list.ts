// `kt list`: what can be exchanged or forwarded in a namespace, who holds it, and what of it comes to this machine.
import type { Command } from 'commander'
import type { HolderLine, ListConfig } from '../../control/holder.ts'
import { heldHere } from '../../control/holders.ts'
import type { TargetList } from '../../control/targets.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { runTask } from '../holder.ts'
import { printJson } from '../output.ts'
import { clusterSelection } from '../selection.ts'
import { listLines, listWithHeld } from '../targets-table.ts'
import { type ClusterOptions, withClusterOptions } from './common.ts'

export function addListCommand(program: Command): void {
  withClusterOptions(
    program.command('list').description('what can be exchanged or forwarded here, who holds it, and what comes to you'),
  )
    .option('--json', 'one JSON object')
    .action(async (options: ClusterOptions & { json?: boolean }) => {
      const caller = whoCalls()
      const [targets, held] = await Promise.all([listTargets(options, caller), heldHere(caller.uid, process.env)])
      const list = listWithHeld(targets, held)
      if (options.json) printJson(list)
      else for (const line of listLines(list, Date.now(), process.stdout)) process.stdout.write(`${line}\n`)
    })
}

/** Rejects with CliError. */
export async function listTargets(options: ClusterOptions, caller: Caller): Promise<TargetList> {
  const config: ListConfig = { ...clusterSelection(options, caller), kind: 'list' }
  return ((await runTask(config, caller)) as HolderLine & { type: 'listed' }).targets
}
