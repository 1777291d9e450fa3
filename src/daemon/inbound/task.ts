// `kt recover`, `kt clean`, `kt env`, `kt list`, and the first question of `kt up`: what ends by itself, with a result instead of something held.

import type { ClusterClient, TargetsSeen } from '../../cluster/calls.ts'
import type { Leftover, Recovered } from '../../cluster/inbound-calls.ts'
import type { EnvConfig, HolderLine, LeftBehind, RecoverConfig, TaskConfig } from '../../control/holder.ts'
import type { PlaceEnvironment } from '../../control/place.ts'
import type { TargetList } from '../../control/targets.ts'
import type { PutBack } from '../../control/views.ts'
import { runInPod } from '../../tunnel/index.ts'
import { writeFiles } from '../place/files-holding.ts'
import { readLive } from '../place/live.ts'

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
    if (config.kind === 'list') return { type: 'listed', targets: targetList(await cluster.targets()) }
    if (config.kind === 'env') return { type: 'environment', environment: await environment(config, cluster) }
    if (config.kind === 'files')
      return { type: 'files', files: await writeFiles(config, cluster, (line) => progress('files', line)) }
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

async function environment(config: EnvConfig, cluster: ClusterClient): Promise<PlaceEnvironment> {
  const { target, container, serviceLinks, live } = config
  const place = await cluster.readPlace({ target, container, serviceLinks, files: false, tokens: false })
  const { pod, namespace, containers } = place
  const found = { pod, namespace, container: place.container, containers }
  return live
    ? { ...found, variables: await readLive({ cluster, run: runInPod }, place), missing: [] }
    : { ...found, variables: place.variables, missing: place.missing }
}

function targetList({ held, ...rest }: TargetsSeen): TargetList {
  return {
    ...rest,
    held: held.map(({ kind, mode, target, holder, since, mark }) => ({
      kind,
      mode,
      target,
      holder: holder.replace(/\/[^/]*$/, ''),
      since,
      version: mark ?? null,
    })),
  }
}

function putBack(target: string, { restored, kept, removed, holder }: Recovered): PutBack {
  return { target, restored, kept, removed, holder: holder ?? null }
}

function leftBehind({ kind, target, namespace, holder, reason, actions }: Leftover): LeftBehind {
  return { kind, target, namespace, holder: holder ?? null, reason, actions }
}
