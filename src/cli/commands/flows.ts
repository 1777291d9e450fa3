// `kt flows`: what goes through kt now, whose it is and where it goes; or its packets, into a file.
import { type Command, InvalidArgumentError } from 'commander'
import { visibleJson } from '../../base/visible.ts'
import type { ControlClient } from '../../control/client.ts'
import type { CaptureEvent, Flows } from '../../control/views.ts'
import { CaptureFile } from '../capture-file.ts'
import { withEngine } from '../engine.ts'
import { flowsTable } from '../flows-table.ts'
import { FlowsView } from '../flows-view.ts'
import { liveView } from '../live-view.ts'
import { CliError, EXIT, formatBytes, printJson } from '../output.ts'
import { withClusterOptions } from './common.ts'

/** A reverse look-up takes a round trip or two; without an answer by then the address has to do. */
const NAMES_MS = 300
/** The engine holds packets back for a tenth of a second. */
const LAST_MS = 300

interface FlowsOptions {
  json?: boolean
  watch?: boolean
  pcap?: string
  filter?: string
  rotateSize?: number
}

export function addFlowsCommand(program: Command): void {
  withClusterOptions(
    program.command('flows').description('what goes through kt now: program, name, address, state, bytes, age'),
  )
    .option('--json', 'one JSON object; with --watch one a line')
    .option('-w, --watch', 'show them until q or Ctrl-C, drawn anew each second')
    .option('--pcap <file>', 'write the packets there until Ctrl-C, as pcapng; - is the standard output')
    .option('--filter <name>', 'with --pcap: only those of this service, pod or address')
    .option('--rotate-size <MB>', 'with --pcap: go on in another file (NAME-2, NAME-3, ...) at this size', megabytes)
    .action(async (options: FlowsOptions) => {
      if (options.pcap !== undefined) return captureInto(options.pcap, options)
      if (options.filter !== undefined || options.rotateSize !== undefined)
        throw new CliError(
          '--filter and --rotate-size go with --pcap',
          '`kt flows --pcap FILE --filter web`',
          EXIT.usage,
        )
      if (options.watch) return withEngine((engine) => watchFlows(engine, options.json === true))
      const flows = await withEngine((engine) => engine.request('flows', { waitMs: NAMES_MS }))
      if (options.json) printJson(flows)
      else printFlows(flows)
    })
}

async function watchFlows(engine: ControlClient, json: boolean): Promise<void> {
  const view = new FlowsView()
  await liveView(
    async (size) => {
      const flows = await engine.request('flows', {})
      return json ? [visibleJson(flows)] : view.lines(flows, size, performance.now(), process.stdout)
    },
    json ? { separator: '' } : {},
  )
}

/** Captures until Ctrl-C, and says what it got. */
async function captureInto(path: string, { filter, rotateSize, json, watch }: FlowsOptions): Promise<void> {
  if (json || watch || (path === '-' && rotateSize !== undefined))
    throw new CliError(
      json || watch ? '--json and --watch do not go with --pcap' : 'the standard output cannot be rotated',
      'see `kt flows --help`',
      EXIT.usage,
    )
  const file = new CaptureFile(path, rotateSize)
  try {
    await withEngine(async (engine) => {
      await new Promise<void>((resolve, reject) => {
        // What is held back for its names comes within LAST_MS.
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
          process.once(signal, () => setTimeout(resolve, LAST_MS))
        const take = (event: CaptureEvent) => {
          try {
            file.take(event)
          } catch (error) {
            reject(error)
          }
          if (event.kind === 'header') process.stderr.write(`capturing into ${file.where}; Ctrl-C ends it\n`)
        }
        engine.request('capture', filter === undefined ? {} : { filter }, take).then(() => resolve(), reject)
      })
    })
  } finally {
    file.close()
    const { packets, bytes, dropped, files } = file
    if (files > 0)
      process.stderr.write(
        `${packets} packets, ${formatBytes(bytes)}${files > 1 ? ` in ${files} files` : ''}${dropped > 0 ? `; ${dropped} more were dropped` : ''}\n`,
      )
  }
}

function megabytes(text: string): number {
  const value = Number(text)
  if (!(value >= 1 && value <= 1e6)) throw new InvalidArgumentError('expected a size in MB, 1 or more.')
  return Math.round(value * 1e6)
}

function printFlows({ flows, total }: Flows): void {
  const out = process.stdout
  if (total === 0) {
    out.write('no flows: no program talks to the cluster at the moment\n')
    return
  }
  // A terminal that nobody has given a size says 0.
  const room = (out.isTTY && out.columns) || undefined
  for (const line of flowsTable(flows, out, undefined, room)) out.write(`${line}\n`)
  if (total > flows.length) out.write(`and ${total - flows.length} more, less recently used\n`)
}
