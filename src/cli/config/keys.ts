// What may be configured: each flag of each command, found in the program itself. `dns` means the flag of every command
// that has it, `up.dns` that of one; values are checked by the flag's own parser.
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, type Option } from 'commander'
import type { Value } from './file.ts'

/** A flag of a command. */
export interface Setting {
  /** `up.dns`, `dns.query.json`. */
  key: string
  /** `dns`, `json`. */
  flag: string
  option: Option
}

// About the call and not about the user's ways, or too easily forgotten.
const never = new Set(['help', 'version', 'profile', 'force', 'dry-run', 'all', 'check.shadow'])

/** `dns query` as `dns.query`; the program itself is ''. */
export function pathOf(command: Command): string {
  const above = command.parent
  if (!above) return ''
  const path = pathOf(above)
  return path ? `${path}.${command.name()}` : command.name()
}

export function flagOf(option: Option): string {
  return (option.long ?? '').replace(/^--/, '')
}

/** The flags of one command that may be configured. */
export function settingsOf(command: Command): Setting[] {
  const path = pathOf(command)
  return command.options
    .filter((option) => option.long && !option.mandatory && !option.hidden && !never.has(flagOf(option)))
    .map((option) => ({ key: `${path}.${flagOf(option)}`, flag: flagOf(option), option }))
    .filter(({ key }) => !never.has(key))
}

/** Those of all commands. */
export function allSettings(program: Command): Setting[] {
  return program.commands.filter(isConfigurable).flatMap(walk)
  function walk(command: Command): Setting[] {
    return [...settingsOf(command), ...command.commands.flatMap(walk)]
  }
}

// These must work whatever is in the file, or are about it.
const exempt = new Set(['config', 'completion', 'help', 'down', 'version', '__complete'])

/** False for a command whose flags are never taken from the configuration. */
export function isConfigurable(command: Command): boolean {
  return !exempt.has(pathOf(command).split('.')[0])
}

/** The flags a key means; none for an unknown key. */
export function findSettings(program: Command, key: string): Setting[] {
  return allSettings(program).filter((setting) => setting.key === key || setting.flag === key)
}

/** All keys: flags by their bare name first, then those of single commands. */
export function allKeys(program: Command): string[] {
  const settings = allSettings(program)
  return [...new Set(settings.map(({ flag }) => flag)), ...settings.map(({ key }) => key)]
}

/** What is stored for values given to `kt config set`. Throws InvalidArgumentError with the flag's own words. */
export function checkedValue(settings: Setting[], values: string[]): Value {
  const [{ flag, option }] = settings
  if (isSwitch(option)) {
    if (values.length === 0) return true
    if (values.length === 1 && ['true', 'false'].includes(values[0])) return values[0] === 'true'
    throw new InvalidArgumentError('expected true or false.')
  }
  if (values.length === 0) throw new InvalidArgumentError('expected a value.')
  const stored = flag === 'kubeconfig' ? values.map((file) => resolve(file)) : values
  for (const setting of settings) {
    const parsed = parseValue(setting.option, stored)
    if (stored.length > 1 && typeof parsed !== 'object')
      throw new InvalidArgumentError(`--${flag} takes one value, not ${stored.length}.`)
  }
  return stored.length === 1 ? stored[0] : stored
}

/** The option's value for what is stored or in the environment. Throws InvalidArgumentError. */
export function parseValue(option: Option, value: Value): unknown {
  if (isSwitch(option)) {
    const on = value === true || value === 'true' || value === '1'
    if (!on && value !== false && value !== 'false' && value !== '0')
      throw new InvalidArgumentError('expected true or false.')
    return option.negate ? !on : on
  }
  if (typeof value === 'boolean') throw new InvalidArgumentError(`expected a value, not ${value}.`)
  const texts = typeof value === 'string' ? [value] : value
  // The first value replaces a default, the next ones add to it, as on the command line.
  let parsed: unknown
  for (const text of texts) parsed = option.parseArg ? option.parseArg(text, parsed as never) : text
  return parsed
}

/** Takes no value; `--no-open` is one, too. */
function isSwitch(option: Option): boolean {
  return !option.required && !option.optional
}
