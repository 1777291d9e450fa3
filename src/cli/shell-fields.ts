// What `kt status` says of shells: of each of them outside, and of the one it is run in.
import type { ShellReport } from '../control/protocol.ts'
import { bold, formatAge, formatBytes, green, yellow } from './output.ts'

const MOST_COMMAND = 60

/** One row a shell. */
export const shellFields = (shells: ShellReport[]): [string, string][] =>
  shells.map((shell) => ['shell', describe(shell)])

/** For who asks inside of `shell`: `kt up` of the machine outside does not count there. */
export function insideFields(shell: ShellReport): [string, string | undefined][] {
  return [
    ['state', `${stateText(shell)}, inside of kt shell ${shell.name}`],
    ['cluster', `${bold(process.stdout, shell.cluster)} (context ${shell.context})`],
    ['namespace', shell.namespace],
    ['shadow', shell.shadow ? `${shell.shadow.pod} on ${shell.shadow.node}` : undefined],
    ['ports', portsText(shell)],
    ['flows', `${shell.flows.tcp} TCP, ${shell.flows.udp} UDP`],
    ['bytes', bytesText(shell)],
    ['round trip', shell.roundTripMs === null ? undefined : `${shell.roundTripMs.toFixed(1)} ms`],
  ]
}

function describe(shell: ShellReport): string {
  const command = shell.command.join(' ')
  const shown = command.length > MOST_COMMAND ? `${command.slice(0, MOST_COMMAND)}…` : command
  const ports = portsText(shell)
  return [
    `${bold(process.stdout, shell.name)}  ${shown}`,
    `${stateText(shell)}, ${shell.cluster} (context ${shell.context}), namespace ${shell.namespace}, process ${shell.pid}`,
    `${shell.flows.tcp} TCP, ${shell.flows.udp} UDP, ${bytesText(shell)}${ports ? `; ${ports}` : ''}`,
  ].join('\n')
}

function stateText({ state, since, reconnects }: ShellReport): string {
  const colour = state === 'connected' ? green : yellow
  const times = reconnects > 0 ? `, ${reconnects} reconnect${reconnects > 1 ? 's' : ''}` : ''
  return `${colour(process.stdout, state)} for ${formatAge(Date.now() - Date.parse(since))}${times}`
}

const portsText = ({ ports }: ShellReport): string | undefined =>
  ports.map(({ local, inside }) => `localhost:${local} -> ${inside} inside`).join(', ') || undefined

const bytesText = ({ bytes }: ShellReport): string =>
  `${formatBytes(bytes.in)} received, ${formatBytes(bytes.out)} sent`
