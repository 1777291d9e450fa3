// `kt config`: the defaults of flags, in the user's configuration file; with --profile those of a profile.
import { type Command, InvalidArgumentError } from 'commander'
import { type Caller, whoCalls } from '../caller.ts'
import {
  type Configuration,
  configFile,
  readConfiguration,
  type Settings,
  type Value,
  writeConfiguration,
} from '../config/file.ts'
import { allKeys, allSettings, checkedValue, findSettings, type Setting } from '../config/keys.ts'
import { CliError, dim, EXIT, printFields, printJson } from '../output.ts'
import { acceptClusterOptions } from './common.ts'

export function addConfigCommands(program: Command): void {
  const config = program
    .command('config')
    .description("defaults of the commands' flags: `image` for every command that has it, `up.image` for one")
  withProfile(config)
  const sub = (words: string, description: string) => withProfile(config.command(words).description(description))
  sub('get', 'one value')
    .argument('<key>')
    .action((key: string, _: unknown, command: Command) => get(program, key, command))
  sub('set', "sets a value, checked as the flag's; several for a flag that may be repeated")
    .argument('<key>')
    .argument('[value...]', 'true when left out, for a flag without a value')
    .action((key: string, values: string[], _: unknown, command: Command) => set(program, key, values, command))
  sub('unset', 'removes a value')
    .argument('<key>')
    .action((key: string, _: unknown, command: Command) => unset(program, key, command))
  sub('show', 'all that is set, and where it is kept')
    .option('--all', 'also list every key there is')
    .option('--json', 'one JSON object')
    .action((options: { all?: boolean; json?: boolean }) => show(program, options))
}

function withProfile(command: Command): Command {
  return acceptClusterOptions(
    command.option('--profile <name>', 'of this profile; `kt --profile NAME COMMAND` or KT_PROFILE choose it'),
  )
}

function get(program: Command, key: string, command: Command): void {
  requireKey(program, key)
  const value = layerOf(open().content, profileOf(command))[key]
  if (value === undefined)
    throw new CliError(`${key} is not set${inProfile(profileOf(command))}`, `\`kt config set ${key} VALUE\` sets it`)
  process.stdout.write(`${(Array.isArray(value) ? value : [value]).join('\n')}\n`)
}

function set(program: Command, key: string, values: string[], command: Command): void {
  const settings = requireKey(program, key)
  const { file, content } = open()
  const profile = profileOf(command)
  if (profile !== undefined) content.profiles[profile] ??= {}
  layerOf(content, profile)[key] = checked(key, settings, values)
  writeConfiguration(file, content)
}

function unset(program: Command, key: string, command: Command): void {
  const { file, content } = open()
  const profile = profileOf(command)
  const layer = layerOf(content, profile)
  if (layer[key] === undefined) {
    requireKey(program, key)
    process.stderr.write(`${key} was not set${inProfile(profile)}\n`)
    return
  }
  delete layer[key]
  if (profile !== undefined && Object.keys(layer).length === 0) delete content.profiles[profile]
  writeConfiguration(file, content)
}

function show(program: Command, { all, json }: { all?: boolean; json?: boolean }): void {
  const { file, content } = open()
  if (json) {
    printJson({ file, ...content, ...(all && { keys: allKeys(program) }) })
    return
  }
  const rows: [string, string][] = [['file', file]]
  const layers: [string, Settings][] = [['', content.defaults], ...Object.entries(content.profiles)]
  for (const [profile, settings] of layers)
    for (const [key, value] of Object.entries(settings)) {
      const unknown = findSettings(program, key).length === 0 ? '  (no flag of this kt)' : ''
      rows.push([profile ? `${profile}: ${key}` : key, `${textOf(value)}${unknown}`])
    }
  printFields(rows)
  if (rows.length === 1) process.stdout.write('nothing is set\n')
  if (all) printKeys(program)
}

function printKeys(program: Command): void {
  const byFlag = Map.groupBy(allSettings(program), ({ flag }) => flag)
  process.stdout.write('\n')
  printFields(
    [...byFlag].map(([flag, settings]) => [
      flag,
      `${settings[0].option.description}\n${dim(process.stdout, settings.map(({ key }) => key).join(' '))}`,
    ]),
  )
}

function requireKey(program: Command, key: string): Setting[] {
  const settings = findSettings(program, key)
  if (settings.length > 0) return settings
  const flags = [...new Set(allSettings(program).map(({ flag }) => flag))]
  throw new CliError(
    `there is no key ${JSON.stringify(key)}`,
    `keys there: ${flags.join(', ')}; or for one command alone, as up.image (\`kt config show --all\`)`,
    EXIT.usage,
  )
}

function checked(key: string, settings: Setting[], values: string[]): Value {
  try {
    return checkedValue(settings, values)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    const help = settings[0].key.split('.').slice(0, -1).join(' ')
    throw new CliError(`${key}: ${error.message.replace(/\.$/, '')}`, `\`kt ${help} --help\` describes it`, EXIT.usage)
  }
}

function profileOf(command: Command): string | undefined {
  const { profile } = command.optsWithGlobals() as { profile?: string }
  if (profile !== undefined && !/^[A-Za-z0-9][\w.-]{0,62}$/.test(profile))
    throw new CliError(
      `${JSON.stringify(profile)} cannot be the name of a profile`,
      'use letters, digits, dots, dashes and underscores',
      EXIT.usage,
    )
  return profile
}

function layerOf(content: Configuration, profile: string | undefined): Settings {
  return profile === undefined ? content.defaults : (content.profiles[profile] ?? {})
}

function inProfile(profile: string | undefined): string {
  return profile === undefined ? '' : ` in the profile ${profile}`
}

function textOf(value: Value): string {
  return Array.isArray(value) ? value.join(', ') : String(value)
}

function open(): { file: string; content: Configuration } {
  const caller = whoCalls()
  becomeCaller(caller)
  const file = configFile(caller.home, process.env)
  return { file, content: readConfiguration(file) }
}

/** Under sudo the file is still the caller's: made as the caller, so that nothing of root's is left in their home. */
function becomeCaller({ sudo, uid, gid }: Caller): void {
  if (!sudo || process.getuid!() !== 0) return
  process.setgroups!([gid])
  process.setgid!(gid)
  process.setuid!(uid)
}
