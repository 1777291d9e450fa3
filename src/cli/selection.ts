// Which cluster a task of the holder's is about, and as whom.
import { resolve } from 'node:path'
import { type Caller, ownerOf } from './caller.ts'
import type { ClusterOptions } from './commands/common.ts'
import { callersEnvironment, callersTerminal } from './environment.ts'

export function clusterSelection({ kubeconfig, context, namespace }: ClusterOptions, caller: Caller) {
  return {
    kubeconfig: kubeconfig && resolve(kubeconfig),
    context,
    namespace,
    owner: ownerOf(caller),
    env: callersEnvironment(process.env, caller),
    terminal: callersTerminal(),
  }
}
