// Copies a volume that only the pod has, by a `tar` that runs in its container.
import { mkdirSync, rmSync } from 'node:fs'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { Place } from '../../cluster/place-calls.ts'
import type { runInPod } from '../../tunnel/index.ts'
import { TarError, TarExtractor } from './tar.ts'

/** A file system that wakes up, or a long list of small files. */
const PATIENCE_MS = 30_000
/** What tar adds: a header of 512 bytes and up to as much padding a file, and the end. */
const MOST_OVERHEAD = 64 << 20

export interface CopyEffects {
  cluster: Pick<ClusterClient, 'podExec'>
  run: typeof runInPod
  signal: AbortSignal
}

/**
 * What is at `path` in the container comes to `folder`, without what is at `except` (paths in the container). Resolves to a sentence for
 * what is missing; undefined when all has come. Never more than `most` bytes of files.
 */
export async function copyFromPod(
  { cluster, run, signal }: CopyEffects,
  { namespace, pod, container, running }: Place,
  path: string,
  folder: string,
  { except, most }: { except: string[]; most: number },
): Promise<string | undefined> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  if (!pod || !running) return 'no container runs now from which it could be copied'
  const hidden = except.filter((one) => one.startsWith(`${path}/`)).map((one) => one.slice(path.length + 1))
  const tar = new TarExtractor(folder, { bytes: most }, (name) =>
    hidden.some((one) => name === one || name.startsWith(`${one}/`)),
  )
  try {
    const endpoint = await cluster.podExec({ namespace, pod, container, command: ['tar', '-cf', '-', '-C', path, '.'] })
    const end = await run(endpoint, {
      onOutput: (chunk) => tar.push(chunk),
      most: most + MOST_OVERHEAD,
      patienceMs: PATIENCE_MS,
      signal,
    })
    // tar says 1 for a file that changed while it was read.
    if (end.code !== 0 && end.code !== 1) {
      tar.abandon()
      return `it cannot be copied: ${end.words.trim().split('\n')[0]}`
    }
    tar.finish()
    return tar.leftOut > 0 ? `${tar.leftOut} links or special files in it were left out` : undefined
  } catch (error) {
    tar.abandon()
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    if (error instanceof TarError && /limit/.test(error.message))
      return `it holds more than ${Math.round(most / 1e6)} MB`
    return `it cannot be copied: ${(error as Error).message}`
  }
}
