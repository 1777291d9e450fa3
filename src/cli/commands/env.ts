// `kt env`: the environment of a container, as text for other programs.
import { type Command, Option } from 'commander'
import type { EnvConfig, HolderLine } from '../../control/holder.ts'
import type { PlaceEnvironment } from '../../control/place.ts'
import { whoCalls } from '../caller.ts'
import { type EnvFormat, formatEnvironment } from '../env-formats.ts'
import { runTask } from '../holder.ts'
import { CliError } from '../output.ts'
import { missingWords } from '../place-words.ts'
import { writePrivately } from '../private-file.ts'
import { clusterSelection } from '../selection.ts'
import { type ClusterOptions, oneOf, withClusterOptions } from './common.ts'

interface EnvFlags extends ClusterOptions {
  container?: string
  format: EnvFormat
  output?: string
  serviceLinks?: boolean
  live?: boolean
  strict?: boolean
}

export function addEnvCommand(program: Command): void {
  withClusterOptions(
    program
      .command('env')
      .description("the environment of a container, from the pod's spec; needs no root")
      .argument('<target>', '[service/|deployment/|statefulset/|pod/]NAME'),
  )
    .option('-c, --container <name>', 'the container (default: the one that serves the Service, or the first)')
    .addOption(
      new Option('--format <format>', 'dotenv: NAME=value; shell: for `eval`; docker: for --env-file; json: one object')
        .default('dotenv' as const)
        .argParser(oneOf('dotenv', 'json', 'shell', 'docker')),
    )
    .option('-o, --output <file>', 'write to this file (mode 0600) instead of standard output')
    .option('--service-links', 'also the variables for Services, like WEB_SERVICE_HOST')
    .option('--live', 'read them from the running process instead')
    .option('--strict', 'fail where a variable cannot be found out')
    .action(async (target: string, options: EnvFlags) => {
      const caller = whoCalls()
      const { container, serviceLinks = false, live = false } = options
      const config: EnvConfig = {
        ...clusterSelection(options, caller),
        kind: 'env',
        target,
        container,
        serviceLinks,
        live,
      }
      const { environment } = (await runTask(config, caller)) as HolderLine & { type: 'environment' }
      const { text, leftOut } = formatEnvironment(environment.variables, options.format)
      tell(environment, leftOut, options)
      const bytes = Buffer.from(text)
      if (options.output !== undefined) writePrivately(options.output, bytes)
      // On a terminal, what would steer it is made visible; to a program goes every byte.
      else process.stdout.write(process.stdout.isTTY ? text : bytes)
    })
}

/** On standard error. Throws CliError with --strict. */
function tell({ container, containers, missing }: PlaceEnvironment, leftOut: string[], options: EnvFlags): void {
  if (containers.length > 1 && options.container === undefined)
    process.stderr.write(`container ${container} of ${containers.join(', ')}; -c names another\n`)
  const words = missingWords(missing)
  for (const line of words) process.stderr.write(`${line}\n`)
  for (const name of leftOut)
    process.stderr.write(`left out: ${name}: the format ${options.format} cannot hold it; --format json can\n`)
  const count = missing.length + leftOut.length
  if (options.strict && count > 0)
    throw new CliError(`${count} of the variables are left out`, 'leave --strict out to have the others')
}
