// Options of every command that starts a shadow, and what the daemon is told of them.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { ShadowConfig } from '../../control/config.ts'
import { type Caller, ownerOf } from '../caller.ts'
import { callersEnvironment, callersTerminal } from '../environment.ts'
import { CliError, EXIT } from '../output.ts'
import { type ClusterOptions, oneOf, seconds, withClusterOptions } from './common.ts'
import { amounts, annotations, imageName, labels, objectName, objectNames, tolerations } from './pod-values.ts'

export interface ShadowFlags extends ClusterOptions {
  image?: string
  shadow: ShadowConfig['shadow']
  paths: '1' | '2'
  readyTimeout: number
  lineWait?: number
  nodeSelector?: Record<string, string>
  toleration?: ShadowConfig['tolerations']
  serviceAccount?: string
  imagePullSecret?: string[]
  label?: Record<string, string>
  annotation?: Record<string, string>
  podResources?: Record<string, string>
}

/**
 * Those of the cluster, which image, and what the pod is to be like. `agentOnly`: the command works with kt's own agent
 * alone. It refuses `--shadow sshd` and its help does not offer it.
 */
export function withShadowOptions(command: Command, { agentOnly = false } = {}): Command {
  return withPodOptions(withClusterOptions(command))
    .option(
      '-i, --image <image>',
      `the shadow's image (default: node:24-alpine${agentOnly ? '' : '; with --shadow sshd there is none'})`,
      imageName,
    )
    .addOption(
      new Option('--shadow <kind>', "agent: kt's own; sshd: any OpenSSH image, TCP and names only")
        .default('agent' as const)
        .argParser(oneOf('agent', 'sshd'))
        .hideHelp(agentOnly),
    )
    .option(
      '--line-wait <seconds>',
      'how long the agent keeps your connections open while it does not hear from this machine (default: 4500)',
      seconds,
    )
    .addOption(
      new Option('--paths <number>', 'port-forwards at a time, 1 or 2; two are faster over a long way or with loss')
        .default('1' as const)
        .argParser(oneOf('1', '2')),
    )
}

/** What the pod is to be like. */
export function withPodOptions(command: Command): Command {
  return command
    .option('--ready-timeout <seconds>', 'how long the shadow may take to start', seconds, 60)
    .option('--node-selector <key=value>', 'nodes the shadow may run on (repeatable)', labels)
    .option('--toleration <taint>', 'KEY[=VALUE][:EFFECT], a taint the shadow tolerates (repeatable)', tolerations)
    .option('--service-account <name>', "the shadow's service account", objectName)
    .option('--image-pull-secret <name>', 'secret to pull the image with (repeatable)', objectNames)
    .option('--label <key=value>', 'label of the shadow (repeatable)', labels)
    .option('--annotation <key=value>', 'annotation of the shadow (repeatable)', annotations)
    .option('--pod-resources <cpu=…,memory=…>', "the shadow's resources, requested and limited", amounts)
}

/** Throws CliError where an image is missing, or flags do not go together. */
export function shadowConfig(options: ShadowFlags, caller: Caller): ShadowConfig {
  if (options.shadow === 'sshd' && !options.image) {
    throw new CliError(
      '--shadow sshd needs --image',
      'name an image with an OpenSSH server, for example the shadow image of KT Connect',
      EXIT.usage,
    )
  }
  if (options.shadow === 'sshd' && options.paths === '2') {
    throw new CliError(
      '--paths 2 needs the agent: an sshd shadow has one port-forward',
      'leave out --paths, or --shadow sshd',
      EXIT.usage,
    )
  }
  return {
    kubeconfig: options.kubeconfig && resolve(options.kubeconfig),
    context: options.context,
    namespace: options.namespace,
    shadow: options.shadow,
    image: options.image,
    paths: options.paths === '2' ? 2 : 1,
    readyTimeoutS: options.readyTimeout,
    lineWaitS: options.lineWait,
    nodeSelector: options.nodeSelector ?? {},
    tolerations: options.toleration ?? [],
    serviceAccount: options.serviceAccount,
    imagePullSecrets: options.imagePullSecret ?? [],
    labels: options.label ?? {},
    annotations: options.annotation ?? {},
    podResources: options.podResources ?? {},
    owner: ownerOf(caller),
    env: callersEnvironment(process.env, caller),
    terminal: callersTerminal(),
  }
}
