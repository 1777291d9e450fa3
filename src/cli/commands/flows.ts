// `kt flows`: what goes through kt now, whose it is and where it goes.
import type { Command } from 'commander'
import type { Flows } from '../../control/views.ts'
import { withEngine } from '../engine.ts'
import { flowsTable } from '../flows-table.ts'
import { printJson } from '../output.ts'
import { withClusterOptions } from './common.ts'

/** A reverse look-up takes a round trip or two; without an answer by then the address has to do. */
const NAMES_MS = 300

export function addFlowsCommand(program: Command): void {
  withClusterOptions(
    program.command('flows').description('what goes through kt now: program, name, address, state, bytes, age'),
  )
    .option('--json', 'one JSON object')
    .action(async (options: { json?: boolean }) => {
      const flows = await withEngine((engine) => engine.request('flows', { waitMs: NAMES_MS }))
      if (options.json) printJson(flows)
      else printFlows(flows)
    })
}

function printFlows({ flows, total }: Flows): void {
  const out = process.stdout
  if (total === 0) {
    out.write('no flows: no program talks to the cluster at the moment\n')
    return
  }
  for (const line of flowsTable(flows, out)) out.write(`${line}\n`)
  if (total > flows.length) out.write(`and ${total - flows.length} more, less recently used\n`)
}
