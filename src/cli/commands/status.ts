// `kt status`: what is connected, since when, through what; once, or drawn anew each second.
import type { Command } from 'commander'
import { networkName, systemFacts } from '../../base/system.ts'
import { visibleJson } from '../../base/visible.ts'
import type { ControlClient } from '../../control/client.ts'
import { askHolders, proxiesHere, shellsHere } from '../../control/holders.ts'
import { lineWords } from '../../control/line-words.ts'
import type { Held, ProxyStatus, ShellReport, Status, StatusFault } from '../../control/protocol.ts'
import { whoCalls } from '../caller.ts'
import { withEngine } from '../engine.ts'
import { liveView } from '../live-view.ts'
import {
  bold,
  CliError,
  dim,
  EXIT,
  fieldLines,
  formatAge,
  formatBytes,
  green,
  printFields,
  printJson,
  printProgress,
  red,
  yellow,
} from '../output.ts'
import { insideFields, shellFields } from '../shell-fields.ts'
import { StatusView } from '../status-view.ts'
import { withClusterOptions } from './common.ts'

export function addStatusCommand(program: Command): void {
  withClusterOptions(program.command('status').description('what is connected, since when, and whether it works'))
    .option('--json', 'one JSON object; with --watch one a line')
    .option('-w, --watch', 'show it until q or Ctrl-C, drawn anew each second')
    .action(async (options: { json?: boolean; watch?: boolean }) => {
      const { exchanges, silent, proxies, shells } = await held()
      for (const pid of silent)
        printProgress({
          step: 'note',
          state: 'note',
          detail: `process ${pid} holds something and does not answer: \`kill -KILL ${pid}\` ends it, then kt recover SERVICE -n NAMESPACE puts back what it held`,
          ms: 0,
        })
      const network = networkName(systemFacts())
      const inside = shells.find((shell) => shell.networkNamespace === network)
      if (inside) {
        tellInside(inside, { exchanges, proxies, shells }, options.json === true)
        return
      }
      try {
        if (options.watch) return await withEngine((engine) => watchStatus(engine, options.json === true))
        const status = { ...(await withEngine(lookAndAsk)), exchanges, proxies, shells }
        if (options.json) printJson(status)
        else for (const line of statusLines(status)) process.stdout.write(`${line}\n`)
        if (status.state === 'connecting' || status.state === 'disconnecting') process.exitCode = EXIT.notConnected
      } catch (error) {
        if (options.json && error instanceof CliError && error.exitCode === EXIT.notConnected) {
          printJson({ state: 'disconnected', message: error.message, exchanges, proxies, shells })
          process.exitCode = EXIT.notConnected
          return
        }
        printFields([...exchangeFields(exchanges), ...proxyFields(proxies), ...shellFields(shells)])
        throw error
      }
    })
}

/** The network here is the shell's, whatever the machine outside is connected to. */
function tellInside(shell: ShellReport, held: Pick<Status, 'exchanges' | 'proxies' | 'shells'>, json: boolean): void {
  if (json) printJson({ state: shell.state, shell, ...held })
  else printFields([...insideFields(shell), ...exchangeFields(held.exchanges), ...proxyFields(held.proxies)])
  if (shell.state === 'connecting' || shell.state === 'disconnecting') process.exitCode = EXIT.notConnected
}

const ask = (engine: ControlClient): Promise<Status> => engine.request('status', {})

/** The status as it is now: what is wrong is looked for first. */
async function lookAndAsk(engine: ControlClient): Promise<Status> {
  await engine.request('look', {}).catch(() => {}) // an engine that cannot be asked fails below
  return ask(engine)
}

/** What is held on this machine by this user, and the processes that hold something and do not say what. */
async function held(): Promise<{ exchanges: Held[]; silent: number[]; proxies: ProxyStatus[]; shells: ShellReport[] }> {
  const { uid } = whoCalls()
  const [{ holders, silent }, proxies, shells] = await Promise.all([
    askHolders(uid, process.env),
    proxiesHere(uid, process.env),
    shellsHere(uid, process.env),
  ])
  for (const { client } of holders) client.close()
  return { exchanges: holders.map(({ held }) => held), silent, proxies, shells }
}

async function watchStatus(engine: ControlClient, json: boolean): Promise<void> {
  const view = new StatusView()
  let drawn = 0
  await liveView(
    async () => {
      // A look takes a process or two: not each second.
      const { exchanges, proxies, shells } = await held()
      const status = { ...(await (drawn++ % 5 === 0 ? lookAndAsk : ask)(engine)), exchanges, proxies, shells }
      return json ? [visibleJson(status)] : view.lines(status, statusLines(status), performance.now(), process.stdout)
    },
    json ? { separator: '' } : {},
  )
}

function statusLines(s: Status): string[] {
  const out = process.stdout
  const colour = s.state === 'connected' && !s.faults?.length ? green : yellow
  return fieldLines([
    [
      'state',
      `${colour(out, s.state)} for ${formatAge(Date.now() - Date.parse(s.since))}${s.reconnects ? `, ${s.reconnects} reconnect${s.reconnects > 1 ? 's' : ''}` : ''}`,
    ],
    ...(s.faults ?? []).map((fault): [string, string] => ['fault', faultText(fault)]),
    ['cluster', `${bold(out, s.cluster)} (context ${s.context}, user ${s.user}, ${s.server})`],
    ['namespace', s.namespace],
    ['shadow', s.shadow ? `${s.shadow.pod} on ${s.shadow.node} (${s.shadow.kind}, ${s.shadow.image})` : undefined],
    ['ranges', s.ranges.map((r) => `${r.cidr}  ${r.kind}, ${r.guessed ? 'guessed: ' : ''}${r.source}`).join('\n')],
    ['dns', `${s.dns.mode}, server ${s.dns.servers.join(' and ')}`],
    ['flows', `${s.flows.tcp} TCP, ${s.flows.udp} UDP`],
    [
      'dropped',
      s.foreignPackets
        ? `${s.foreignPackets} packets of other machines since \`kt up\`: they do not reach the cluster through this one`
        : undefined,
    ],
    ['bytes', `${formatBytes(s.bytes.in)} received, ${formatBytes(s.bytes.out)} sent`],
    ['round trip', s.roundTripMs === null ? undefined : `${s.roundTripMs.toFixed(1)} ms`],
    ['line', s.line ? lineWords(s.line, formatAge) : undefined],
    ['notes', s.notes.join('\n')],
    ...exchangeFields(s.exchanges),
    ...proxyFields(s.proxies),
    ...shellFields(s.shells),
  ])
}

function faultText({ message, hint, since }: StatusFault): string {
  const out = process.stdout
  return `${red(out, message)} ${dim(out, `(for ${formatAge(Date.now() - Date.parse(since))})`)}\n${hint}`
}

const exchangeFields = (exchanges: Held[]): [string, string][] => exchanges.map((one) => [one.kind, describe(one)])

function describe(one: Held): string {
  const out = process.stdout
  const place = (local: number) => (one.shell ? `port ${local} inside of ${one.shell}` : `localhost:${local}`)
  const ports = one.ports.map(({ local, remote }) => `${remote} -> ${place(local)}`).join(', ')
  const { total, open, refused } = one.connections
  const colour = one.state === 'active' ? green : yellow
  return [
    `${bold(out, `${one.target}.${one.namespace}`)}  ${ports}${one.version ? `, version ${one.version}` : ''}`,
    `${colour(out, one.state)} for ${formatAge(Date.now() - Date.parse(one.since))}, ${total} connections (${open} open${refused ? `, ${refused} refused here` : ''}), ${formatBytes(one.bytes.in)} received, ${formatBytes(one.bytes.out)} sent${one.background ? ', in the background' : ''}`,
    ...(one.faults ?? []).map(faultText), // a holder of an older kt tells none
  ].join('\n')
}

const proxyFields = (proxies: ProxyStatus[]): [string, string][] => proxies.map((one) => ['proxy', describeProxy(one)])

function describeProxy(one: ProxyStatus): string {
  const out = process.stdout
  const { total, open, failed } = one.connections
  const colour = one.state === 'active' ? green : yellow
  const only = one.clusterOnly ? ', the cluster only' : ''
  const where = one.cluster ? `into ${one.cluster}, namespace ${one.namespace}${only}` : ''
  return [
    `${bold(out, one.address)}  ${where}`,
    `${colour(out, one.state)} for ${formatAge(Date.now() - Date.parse(one.since))}, ${total} connections (${open} open${failed ? `, ${failed} failed` : ''}), ${formatBytes(one.bytes.in)} received, ${formatBytes(one.bytes.out)} sent`,
  ].join('\n')
}
