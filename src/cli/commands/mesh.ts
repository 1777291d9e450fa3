// `kt mesh`: the requests of one version come here, all others stay where they are, until Ctrl-C or `kt leave`.
import { randomInt } from 'node:crypto'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { unfitHeader } from '../../base/version-header.ts'
import type { MeshConfig } from '../../control/holder.ts'
import { oneOf } from './common.ts'
import { COMMAND, type InboundFlags, start, targetOf, withBackOptions } from './exchange.ts'
import { withShadowOptions } from './shadow-options.ts'

interface MeshFlags extends InboundFlags {
  mode: MeshConfig['mode']
  versionMark?: VersionMark
  force?: boolean
}

interface VersionMark {
  key?: string
  value: string
}

const HEADER = 'kt-version'
const LABEL = 'version'

export function addMeshCommand(program: Command): void {
  const command = program
    .command('mesh')
    .description('requests of one version to a Service come here, all others do not; needs no root')
    .argument('[target]', '[service/|deployment/|statefulset/|pod/]NAME; without it, you choose')
    .argument('[command...]', COMMAND)
  withBackOptions(withShadowOptions(command, { agentOnly: true }))
    .addOption(
      new Option('--mode <mode>', 'auto: by a header; manual: by a label, for rules of Istio, which are printed')
        .default('auto' as const)
        .argParser(oneOf('auto', 'manual')),
    )
    .option(
      '--version-mark <mark>',
      `[KEY:]VALUE, the header (${HEADER}) or label (${LABEL}) and its value; VALUE* is a beginning (default: random)`,
      versionMark,
    )
    .option('--force', 'take over a version that somebody else holds')
    .action(async (target: string | undefined, words: string[], options: MeshFlags, command: Command) => {
      const { mode, force = false } = options
      let mesh: MeshConfig
      try {
        mesh = meshConfig(mode, options.versionMark)
      } catch (error) {
        command.error((error as Error).message)
      }
      const chosen = await targetOf('mesh', target, words, options)
      await start('mesh', chosen.target, chosen.ports, { mode: 'selector', force, mesh }, options, chosen.words)
    })
}

/** `[KEY:]VALUE` */
export function versionMark(text: string): VersionMark {
  const colon = text.indexOf(':')
  const key = colon < 0 ? undefined : text.slice(0, colon).trim()
  const value = text.slice(colon + 1).trim()
  if (key === '' || value === '' || value === '*')
    throw new InvalidArgumentError('expected [KEY:]VALUE, like abc or x-team:blue.')
  return { ...(key && { key }), value }
}

/** Throws Error for a mark that cannot be a header, or a label. */
export function meshConfig(mode: MeshConfig['mode'], mark: VersionMark | undefined): MeshConfig {
  if (mode === 'manual') {
    const header = mark?.key ?? LABEL
    // Kubernetes: a label's name and value.
    if (!/^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/.test(header))
      throw new Error(`${JSON.stringify(header)} cannot be a label`)
    if (mark && !/^[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/.test(mark.value))
      throw new Error(`${JSON.stringify(mark.value)} cannot be a label's value`)
    return { mode, header, ...(mark && { value: mark.value }), prefix: false }
  }
  const header = mark?.key ?? HEADER
  const value = mark?.value ?? randomVersion()
  const prefix = value.endsWith('*')
  const wrong = unfitHeader(header, prefix ? value.slice(0, -1) : value, prefix)
  if (wrong !== undefined) throw new Error(wrong)
  return { mode, header, value: prefix ? value.slice(0, -1) : value, prefix }
}

// No vowels, so that no words come of it.
const letters = 'bcdfghjklmnpqrstvwxz'

function randomVersion(): string {
  return Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join('')
}
