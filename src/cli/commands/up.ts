// `kt up`: starts the helper (by sudo where needed), shows its steps, returns when names and addresses work.
import { type Command, Option } from 'commander'
import { type ControlClient, connectControl } from '../../control/client.ts'
import type { UpConfig } from '../../control/config.ts'
import { controlSocket } from '../../control/paths.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { runTask } from '../holder.ts'
import { besideAnyVersion } from '../other-version.ts'
import { bold, CliError, printProgress } from '../output.ts'
import { startHelper } from '../start-helper.ts'
import { hasDevice } from '../traces.ts'
import { cidrs, oneOf } from './common.ts'
import { disconnect } from './down.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

interface UpOptions extends ShadowFlags {
  foreground?: boolean
  include?: string[]
  exclude?: string[]
  dns: UpConfig['dns']
  clusterDomain?: string
}

export function addUpCommand(program: Command): void {
  const command = program
    .command('up')
    .alias('connect')
    .description('connect: pods, services and names of the cluster work on this machine')
  withShadowOptions(command)
    .option('--foreground', 'stay here until Ctrl-C')
    .option('--include <cidr>', 'capture this range too (repeatable; the longest prefix wins)', cidrs)
    .option('--exclude <cidr>', 'leave this range alone (repeatable)', cidrs)
    .addOption(
      new Option('--dns <mode>', 'auto, resolved, resolvconf or none')
        .default('auto' as const)
        .argParser(oneOf('auto', 'resolved', 'resolvconf', 'none')),
    )
    .option('--cluster-domain <domain>', "the cluster's DNS domain (default: what its pods are told)")
    .action(up)
}

async function up(options: UpOptions, command: Command): Promise<void> {
  const caller = whoCalls()
  const config = configOf(options, caller)
  if (await isConnected(caller, config, command)) return
  // What is wrong with the kubeconfig or the cluster is told before anybody has typed a password.
  if (!caller.root) await runTask({ ...config, kind: 'identify' }, caller)
  const { message, ended } = await startHelper(caller, config, options.foreground === true)
  process.stderr.write(`${bold(process.stderr, message)}\n`)
  if (options.foreground) await holdForeground(caller, ended)
}

/** True, with words, if kt is connected as asked. What is half gone is ended first. Throws CliError for another cluster. */
async function isConnected(caller: Caller, config: UpConfig, command: Command): Promise<boolean> {
  const { client: running } = await connectControl(controlSocket(caller.uid))
  if (!running) return false
  try {
    if (await besideAnyVersion(running, () => isAsAsked(running, config, command), Boolean)) return true
  } finally {
    running.close()
  }
  await disconnect(caller)
  return false
}

/** False, with words, if the engine is half gone. Throws CliError for another cluster. */
async function isAsAsked(running: ControlClient, config: UpConfig, command: Command): Promise<boolean> {
  const { state, tun } = await running.request('status', {})
  if (state === 'connecting')
    throw new CliError('kt is connecting already', '`kt status` shows how far it is; `kt down` ends it')
  if (state === 'disconnecting' || !tun || !hasDevice(tun.name)) {
    process.stderr.write(
      state === 'disconnecting'
        ? 'the last kt is still on its way out; it is ended first\n'
        : `kt runs, but its network device ${tun?.name ?? ''} is gone; it is ended first\n`,
    )
    return false
  }
  const { kubeconfig, context, namespace, env } = config
  const given = givenFlags(command, config)
  const { same, wanted, current, ignored } = await running.request('same', {
    kubeconfig,
    context,
    namespace,
    env,
    ...(Object.keys(given).length > 0 && { given }),
  })
  if (!same)
    throw new CliError(
      `already connected to ${current}; ${wanted} was asked for`,
      '`kt down` disconnects; then `kt up` again',
    )
  process.stderr.write(`already connected to ${current}\n`)
  const unheeded: string[] = (ignored ?? []).map((key) => FLAGS[key as Flag]?.flag ?? key)
  if (command.opts<UpOptions>().foreground) unheeded.push('--foreground')
  if (unheeded.length > 0)
    printProgress({
      step: 'note',
      state: 'note',
      detail: `${unheeded.join(', ')}: not heeded, since kt is connected already and not so; disconnect first: \`kt down\``,
      ms: 0,
    })
  return true
}

/** Flags that make a connection what it is: the option's name, by the configuration's. */
const FLAGS = {
  include: { option: 'include', flag: '--include' },
  exclude: { option: 'exclude', flag: '--exclude' },
  dns: { option: 'dns', flag: '--dns' },
  clusterDomain: { option: 'clusterDomain', flag: '--cluster-domain' },
  shadow: { option: 'shadow', flag: '--shadow' },
  paths: { option: 'paths', flag: '--paths' },
  image: { option: 'image', flag: '--image' },
  nodeSelector: { option: 'nodeSelector', flag: '--node-selector' },
  tolerations: { option: 'toleration', flag: '--toleration' },
  readyTimeoutS: { option: 'readyTimeout', flag: '--ready-timeout' },
  lineWaitS: { option: 'lineWait', flag: '--line-wait' },
  serviceAccount: { option: 'serviceAccount', flag: '--service-account' },
  imagePullSecrets: { option: 'imagePullSecret', flag: '--image-pull-secret' },
  labels: { option: 'label', flag: '--label' },
  annotations: { option: 'annotation', flag: '--annotation' },
  podResources: { option: 'podResources', flag: '--pod-resources' },
} as const
type Flag = keyof typeof FLAGS

/** What the person has asked for, on the command line or in the configuration. */
function givenFlags(command: Command, config: UpConfig): Record<string, unknown> {
  const given = (Object.keys(FLAGS) as Flag[]).filter(
    (key) => !['default', undefined].includes(command.getOptionValueSource(FLAGS[key].option)),
  )
  return Object.fromEntries(given.map((key) => [key, config[key]]))
}

function configOf(options: UpOptions, caller: Caller): UpConfig {
  return {
    ...shadowConfig(options, caller),
    include: options.include ?? [],
    exclude: options.exclude ?? [],
    dns: options.dns,
    clusterDomain: options.clusterDomain?.replace(/\.$/, '').toLowerCase(),
  }
}

/** Stays until Ctrl-C, SIGTERM, or the end of kt, whoever brings that about. */
async function holdForeground(caller: Caller, ended: Promise<void>): Promise<void> {
  process.stderr.write('Ctrl-C disconnects\n')
  const { promise: told, resolve } = Promise.withResolvers<'told'>()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const end = () => resolve('told')
  for (const signal of signals) process.on(signal, end)
  try {
    if ((await Promise.race([ended, told])) === 'told') await disconnect(caller)
    else process.stderr.write('disconnected\n')
  } finally {
    for (const signal of signals) process.off(signal, end)
  }
}
