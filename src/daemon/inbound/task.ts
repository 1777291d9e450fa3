// `kt recover`, `kt clean`, and the first question of `kt up`: what ends by itself, with a result instead of something held.

import type { ClusterClient } from '../../cluster/calls.ts'
import type { Leftover, Recovered } from '../../cluster/inbound-calls.ts'
import type { HolderLine, LeftBehind, RecoverConfig, TaskConfig } from '../../control/holder.ts'
import type { PutBack } from '../../control/views.ts'

/** Resolves to the line that tells the result, and closes `cluster`. Rejects with ClusterError. */
export async function runTask(
  config: TaskConfig,
  cluster: ClusterClient,
  progress: (step: string, detail: string) => void,
): Promise<HolderLine> {
  const { owner } = config
  try {
    if (config.kind === 'identify') {
      await cluster.identify()
      return { type: 'identified' }
    }
    if (config.kind === 'recover') {
      const recovered = await cluster.recover(config.target, { force: config.force, holder: owner }, progress)
      return { type: 'recovered', result: putBack(config.target, recovered) }
    }
    const found = await cluster.findLeftovers({ owner, except: config.liveShadows }, progress)
    const done: PutBack[] = []
    // One at a time, since what has come alive meanwhile is skipped without a word.
    for (const leftover of config.dryRun ? [] : found)
      for (const one of await cluster.removeLeftovers([leftover], owner, progress))
        done.push(putBack(leftover.target, one))
    return { type: 'cleaned', found: found.map(leftBehind), done }
  } finally {
    await cluster.close()
  }
}

/** As `runTask`, for a caller that is connected already: what was changed for `target` is put back. */
export async function recoverNow(
  config: RecoverConfig,
  cluster: ClusterClient,
  progress: (step: string, detail: string) => void,
): Promise<PutBack> {
  return ((await runTask(config, cluster, progress)) as HolderLine & { type: 'recovered' }).result
}

function putBack(target: string, { restored, kept, removed, holder }: Recovered): PutBack {
  return { target, restored, kept, removed, holder: holder ?? null }
}

function leftBehind({ kind, target, namespace, holder, reason, actions }: Leftover): LeftBehind {
  return { kind, target, namespace, holder: holder ?? null, reason, actions }
}
