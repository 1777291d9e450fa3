// Options that several commands have, and how their values are read.
import { isIP } from 'node:net'
import { Command, InvalidArgumentError } from 'commander'

/** `-n`, `--context`, `--kubeconfig`: every command takes them; those that only ask the engine ignore them. */
export function withClusterOptions(command: Command): Command {
  return command
    .option(
      '-n, --namespace <name>',
      'namespace that short names are looked up in (default: that of `kt config`, of a live `kt up`, of the context)',
    )
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig to use')
    .option('--profile <name>', 'profile of `kt config` whose defaults to use')
}

/**
 * Takes them where they say nothing, as every command does: for commands that use none of them, and for a group of
 * commands, of which each has its own. The help does not show them.
 */
export function acceptClusterOptions(command: Command): Command {
  const there = new Set(command.options.map(({ long }) => long))
  for (const option of withClusterOptions(new Command()).options)
    if (!there.has(option.long)) command.addOption(option.hideHelp())
  return command
}

export interface ClusterOptions {
  namespace?: string
  context?: string
  kubeconfig?: string
}

/** Collects a repeatable option. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** `KEY=VALUE`, repeatable, commas allowed between pairs. */
export function keyValues(value: string, before: Record<string, string> = {}): Record<string, string> {
  const result = { ...before }
  for (const pair of value.split(',')) {
    const at = pair.indexOf('=')
    if (at < 1) throw new InvalidArgumentError(`expected KEY=VALUE, not ${JSON.stringify(pair)}.`)
    result[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return result
}

/** A whole number of seconds, at least 1. */
export function seconds(value: string): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1 || number > 86_400)
    throw new InvalidArgumentError('expected a whole number of seconds, 1 to 86400.')
  return number
}

/** One of `allowed`, which completion offers. */
export function oneOf<T extends string>(...allowed: T[]): (value: string) => T {
  const parse = (value: string) => {
    if (!(allowed as string[]).includes(value)) throw new InvalidArgumentError(`expected one of ${allowed.join(', ')}.`)
    return value as T
  }
  return Object.assign(parse, { allowed })
}

/** An address range in CIDR notation; a bare address stands for itself. */
export function cidrs(value: string, before: string[] = []): string[] {
  const match = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(value)
  if (!match)
    throw new InvalidArgumentError(`expected an address range like 10.96.0.0/16, not ${JSON.stringify(value)}.`)
  const bits = match[1].includes(':') ? 128 : 32
  const prefix = match[2] === undefined ? bits : Number(match[2])
  if (prefix > bits || !isIP(match[1]))
    throw new InvalidArgumentError(`expected an address range like 10.96.0.0/16, not ${JSON.stringify(value)}.`)
  return [...before, `${match[1]}/${prefix}`]
}
