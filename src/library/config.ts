// What the library's options are for the parts below it, which know the same as a configuration of the command line.
import { randomUUID } from 'node:crypto'
import { hostname, userInfo } from 'node:os'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import type { ShadowConfig } from '../control/config.ts'
import { type ConnectOptions, KtError } from './api.ts'

/** Throws KtError where an option has a value that it cannot have. */
export function configOf(options: ConnectOptions): ShadowConfig {
  const { kubeconfig, context, namespace, image, paths = 1, readyTimeoutMs = 60_000 } = options
  // Who writes JavaScript may give anything.
  if (paths !== 1 && paths !== 2)
    throw new KtError('usage', `the option \`paths\` is ${inspect(paths)}, which it cannot be`, 'it is 1 or 2')
  const env = Object.entries(process.env).filter((one): one is [string, string] => one[1] !== undefined)
  return {
    ...{ kubeconfig: kubeconfig && resolve(kubeconfig), context, namespace, image, shadow: 'agent', paths },
    ...{ readyTimeoutS: Math.ceil(readyTimeoutMs / 1000), nodeSelector: {}, tolerations: [], imagePullSecrets: [] },
    ...{
      labels: {},
      annotations: {},
      podResources: {},
      owner: `${userName()}@${hostname()}`,
      env: Object.fromEntries(env),
    },
  }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `user-${randomUUID().slice(0, 4)}` // a container may give no name to its user
  }
}
