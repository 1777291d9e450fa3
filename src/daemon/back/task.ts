// `kt recover` and `kt clean`: what ends by itself, with a result instead of something held.
import type { Leftover, Recovered } from '../../cluster/back-port.ts'
import { createClusterClient } from '../../cluster/client.ts'
import type { HolderLine, LeftBehind, TaskConfig } from '../../control/holder.ts'
import type { PutBack } from '../../control/views.ts'

/** Resolves to the line that tells the result. Rejects with ClusterError. */
export async function runTask(config: TaskConfig, running: (detail: string) => void): Promise<HolderLine> {
  const { kubeconfig, context, namespace, owner } = config
  const cluster = createClusterClient({ kubeconfig, context, namespace })
  const progress = (_: string, detail: string) => running(detail)
  try {
    if (config.kind === 'recover') {
      const recovered = await cluster.recover(config.target, { force: config.force, holder: owner }, progress)
      return { type: 'recovered', result: putBack(config.target, recovered) }
    }
    const found = await cluster.findLeftovers(progress)
    const done = config.dryRun || found.length === 0 ? [] : await cluster.removeLeftovers(found, owner, progress)
    return {
      type: 'cleaned',
      found: found.map(leftBehind),
      done: done.map((one, i) => putBack(found[i]?.target ?? '', one)),
    }
  } finally {
    await cluster.close()
  }
}

function putBack(target: string, { restored, kept, removed, holder }: Recovered): PutBack {
  return { target, restored, kept, removed, holder: holder ?? null }
}

function leftBehind({ kind, target, namespace, holder, reason, actions }: Leftover): LeftBehind {
  return { kind, target, namespace, holder: holder ?? null, reason, actions }
}
