// Before a command runs: flags that were not given get their value from the environment, the profile or the defaults.
import { type Command, InvalidArgumentError, type Option } from 'commander'
import { whoCalls } from '../caller.ts'
import { CliError, EXIT } from '../output.ts'
import { type Configuration, configFile, readConfiguration, type Settings, type Value } from './file.ts'
import { isConfigurable, parseValue, settingsOf } from './keys.ts'

// These say something else than a default of a flag: KT_LOG=debug asks for a longer log, and kt gives every program of a
// shell the name of the shell in KT_SHELL.
const otherMeaning = new Set(['KT_LOG', 'KT_SHELL'])

/** `--ready-timeout` may be set as KT_READY_TIMEOUT. Undefined where the variable has another meaning. */
export function variableOf(flag: string): string | undefined {
  const variable = `KT_${flag.toUpperCase().replaceAll('-', '_')}`
  return otherMeaning.has(variable) ? undefined : variable
}

/** Makes every command of `program` take unset flags from the environment and the configuration. */
export function heedConfiguration(program: Command): void {
  program.hook('preAction', (_, command) => {
    adoptGlobals(command)
    if (!isConfigurable(command)) return
    const file = configFile(whoCalls().home, process.env)
    applyConfiguration(command, readConfiguration(file), process.env, file)
  })
}

/** Flags before the command count as if they stood behind it: `kt -n shop exchange web`, `kt dns -n shop query web`. */
function adoptGlobals(command: Command): void {
  for (const option of command.options) {
    const name = option.attributeName()
    for (
      let above: Command | null = command;
      above && command.getOptionValueSource(name) !== 'cli';
      above = above.parent
    )
      if (above.getOptionValueSource(name) === 'cli')
        command.setOptionValueWithSource(name, above.getOptionValue(name), 'cli')
  }
}

/** Throws CliError for an unknown profile and for values that the flag does not take. */
export function applyConfiguration(
  command: Command,
  configuration: Configuration,
  env: NodeJS.ProcessEnv,
  file: string,
): void {
  const layers = [chosenProfile(command, configuration, env), configuration.defaults]
  for (const { key, flag, option } of settingsOf(command)) {
    const name = option.attributeName()
    if (command.getOptionValueSource(name) === 'cli') continue
    const variable = variableOf(flag)
    const set = (value: Value, where: string, hint: string) =>
      command.setOptionValueWithSource(name, parsed(option, value, where, hint), 'config')
    if (variable && env[variable]) {
      set(env[variable], `the variable ${variable}`, `unset ${variable}, or give it another value`)
      continue
    }
    // KUBECONFIG, kubectl's own variable, comes before a configuration file as well.
    if (flag === 'kubeconfig' && env['KUBECONFIG']) continue
    const found = layers.flatMap((layer) =>
      [key, flag].filter((one) => Object.hasOwn(layer, one)).map((one) => [layer, one] as const),
    )[0]
    if (!found) continue
    const [layer, used] = found
    set(
      layer[used],
      `${used} in ${file}`,
      `\`kt config unset ${used}\` removes it, \`kt config set ${used}\` changes it`,
    )
  }
}

function chosenProfile(command: Command, { profiles }: Configuration, env: NodeJS.ProcessEnv): Settings {
  const given = (command.optsWithGlobals() as { profile?: string }).profile
  const name = given ?? env['KT_PROFILE']
  if (!name) return {}
  if (Object.hasOwn(profiles, name)) return profiles[name]
  const there = Object.keys(profiles)
  throw new CliError(
    `there is no profile ${JSON.stringify(name)}${given ? '' : ', which KT_PROFILE names'}`,
    there.length > 0
      ? `profiles there: ${there.join(', ')}`
      : `\`kt config --profile ${name} set KEY VALUE\` makes it; there is none yet`,
    EXIT.usage,
  )
}

function parsed(option: Option, value: Value, where: string, hint: string): unknown {
  try {
    return parseValue(option, value)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw new CliError(`${where} is ${JSON.stringify(value)}: ${error.message.replace(/\.$/, '')}`, hint, EXIT.usage)
  }
}
