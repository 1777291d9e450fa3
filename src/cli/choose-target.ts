// What `kt exchange` and `kt mesh` do without a TARGET: they offer what the namespace has.
import type { ExposedPort } from '../control/holder.ts'
import type { ListedTarget } from '../control/targets.ts'
import { whoCalls } from './caller.ts'
import { Dialogue, ownTerminal, type Terminal } from './choose.ts'
import type { ClusterOptions } from './commands/common.ts'
import { exposedPorts } from './commands/expose.ts'
import { listTargets } from './commands/list.ts'
import { CliError, EXIT } from './output.ts'
import { portsText } from './targets-table.ts'

/** Rejects with CliError: wrong usage without a terminal, or where a person leaves. */
export async function chooseTarget(
  kind: 'exchange' | 'mesh',
  options: ClusterOptions & { expose?: ExposedPort[] },
  /** Whether kt runs a program in the container's place: then its ports are the container's. */
  program: boolean,
  terminal: Terminal = ownTerminal,
): Promise<{ target: string; ports: ExposedPort[] }> {
  if (!Dialogue.possible(terminal))
    throw new CliError(`kt ${kind} needs a TARGET`, 'name a Service; `kt list` shows what there is', EXIT.usage)
  const { targets, namespace } = await listTargets(options, whoCalls())
  const choices = targets
    .filter(({ kind, unfit }) => kind === 'service' && unfit === '')
    .map((target) => ({ value: target, name: target.name, detail: portsText(target.ports) }))
  if (choices.length === 0)
    throw new CliError(`there is no Service in ${namespace} that can be exchanged`, '`kt list` shows what there is')
  const dialogue = new Dialogue(terminal)
  try {
    const target = await dialogue.choose(`Which Service of ${namespace}`, choices)
    return { target: target.name, ports: options.expose ?? (program ? [] : await askForPorts(dialogue, target)) }
  } finally {
    dialogue[Symbol.dispose]()
  }
}

async function askForPorts(dialogue: Dialogue, { name, ports }: ListedTarget): Promise<ExposedPort[]> {
  const remote = ports.find(({ protocol }) => protocol === 'TCP')?.port ?? ports[0]?.port ?? 80
  return dialogue.ask(
    `Which port of this machine answers for ${name}? LOCAL[:REMOTE], like 8080:${remote}: `,
    (text) => {
      try {
        return { value: exposedPorts(text) }
      } catch (error) {
        return (error as Error).message
      }
    },
  )
}
