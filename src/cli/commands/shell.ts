// `kt shell`: one program with the cluster's network and this machine's, in a namespace of its own, without root.
import { type Command, InvalidArgumentError } from 'commander'
import type { PlaceWish, ShellConfig, ShellPort } from '../../control/holder.ts'
import { whoCalls } from '../caller.ts'
import { CliError, EXIT } from '../output.ts'
import { runShell } from '../shell.ts'
import { cidrs } from './common.ts'
import { portNumber } from './expose.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

interface ShellFlags extends ShadowFlags {
  name?: string
  publish?: ShellPort[]
  include?: string[]
  exclude?: string[]
  clusterDomain?: string
  like?: string
  container?: string
  env: boolean
  files: boolean
}

export function addShellCommand(program: Command): void {
  const command = program
    .command('shell')
    .description("one program with the cluster's network, and only that one; needs no root")
    .argument('[command...]', 'what to run, after --; your $SHELL where nothing is named')
    .passThroughOptions()
  withShadowOptions(command)
    .option('-p, --publish <local:inside>', 'a port of this machine leads to one of the program (repeatable)', ports)
    .option('--name <name>', 'name of the shell in `kt status`', shellName)
    .option('--include <cidr>', 'send this range through the tunnel too (repeatable; the longest prefix wins)', cidrs)
    .option('--exclude <cidr>', 'reach this range from this machine (repeatable)', cidrs)
    .option('--cluster-domain <domain>', "the cluster's DNS domain (default: what its pods are told)")
    .option('--like <target>', 'with environment and files of a container, as in the pods of this target')
    .option(
      '-c, --container <name>',
      'with --like: the container (default: the one that serves the Service, or the first)',
    )
    .option('--no-env', "with --like: leave its environment as this terminal's")
    .option('--no-files', "with --like: without the container's files")
    .action(async (words: string[], options: ShellFlags) => {
      const caller = whoCalls()
      if (caller.sudo)
        throw new CliError('kt shell needs no root, and would run your program as root', 'leave sudo out', EXIT.usage)
      const place = placeWish(options)
      const argv = words.length > 0 ? words : [process.env['SHELL'] || '/bin/sh']
      const config: ShellConfig = {
        ...shadowConfig(options, caller),
        kind: 'shell',
        name: options.name ?? `shell-${process.pid}`,
        command: argv,
        ports: options.publish ?? [],
        include: options.include ?? [],
        exclude: options.exclude ?? [],
        clusterDomain: options.clusterDomain,
        place,
      }
      await runShell(config, caller, { interactive: words.length === 0 })
    })
}

function placeWish({ like, container, env, files }: ShellFlags): PlaceWish | undefined {
  if (like !== undefined) return { target: like, container, environment: env, files }
  if (container !== undefined || !env || !files)
    throw new CliError(
      `${container !== undefined ? '--container' : env ? '--no-files' : '--no-env'} is about the container of --like`,
      'add --like TARGET',
      EXIT.usage,
    )
  return undefined
}

/** `LOCAL[:INSIDE]`, one more of several. */
function ports(text: string, before: ShellPort[] = []): ShellPort[] {
  const [, local, inside] = /^(\d+)(?::(\d+))?$/.exec(text) ?? []
  if (local === undefined || (Number(local) === 0 && inside === undefined))
    throw new InvalidArgumentError('expected LOCAL or LOCAL:INSIDE, like 8080 or 8080:80.')
  const port = { local: Number(local) === 0 ? 0 : portNumber(local, text), inside: portNumber(inside ?? local, text) }
  if (port.local > 0 && before.some((one) => one.local === port.local))
    throw new InvalidArgumentError(`port ${port.local} of this machine is named twice.`)
  return [...before, port]
}

function shellName(text: string): string {
  if (/^[\w.@-]{1,40}$/.test(text)) return text
  throw new InvalidArgumentError('expected letters, digits, dots and dashes, 40 at most.')
}
