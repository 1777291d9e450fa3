// `kt files`: once, or kept up to date until it is told to end. What it has written stays.
import { type Clock, systemClock } from '../../base/clock.ts'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { FilesConfig, KeepFilesConfig } from '../../control/holder.ts'
import type { PlaceFiles as Written } from '../../control/place.ts'
import { runInPod } from '../../tunnel/index.ts'
import type { HolderDeps, Holding } from '../inbound/holding.ts'
import { prepareFolder } from './chosen-folder.ts'
import { PlaceFiles } from './place-files.ts'

type Config = Pick<FilesConfig | KeepFilesConfig, 'target' | 'container' | 'to' | 'most'>

/** Rejects with ToldError or ClusterError. */
export async function writeFiles(
  config: Config,
  cluster: ClusterClient,
  log: (line: string) => void,
): Promise<Written> {
  return (await begun(config, cluster, log, new AbortController().signal)).written
}

async function begun(
  { target, container, to, most }: Config,
  cluster: ClusterClient,
  log: (line: string) => void,
  closing: AbortSignal,
  clock: Clock = systemClock,
): Promise<{ files: PlaceFiles; written: Written }> {
  prepareFolder(to)
  const effects = { cluster, run: runInPod, clock, wall: Date.now, log, closing }
  const files = new PlaceFiles(effects, { target, container, serviceLinks: false }, to)
  const { place, missing } = await files.write(most)
  const { pod, namespace, containers } = place
  return { files, written: { pod, namespace, container: place.container, containers, folder: to, missing } }
}

export class FilesHolding implements Holding {
  readonly #config: KeepFilesConfig
  readonly #deps: HolderDeps
  readonly #closing = new AbortController()
  written: Written | undefined

  constructor(config: KeepFilesConfig, deps: HolderDeps) {
    this.#config = config
    this.#deps = deps
  }

  async start(): Promise<string> {
    const { cluster, log } = this.#deps
    const { files, written } = await begun(this.#config, cluster, log, this.#closing.signal)
    this.written = written
    void files.keep()
    return `the files of ${written.container} are in ${written.folder} and follow the cluster.`
  }

  async close(): Promise<string[]> {
    this.#closing.abort()
    await this.#deps.cluster.close(0)
    return []
  }

  hurry(): void {}

  status(): undefined {
    return undefined
  }
}
