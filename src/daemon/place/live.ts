// The environment of a container's first process as it is, read by a command that runs in the container.

import { ToldError } from '../../base/told-error.ts'
import type { ClusterClient } from '../../cluster/calls.ts'
import type { Place, Variable } from '../../cluster/place-calls.ts'
import type { runInPod } from '../../tunnel/index.ts'

/** ARG_MAX of Linux is 2 MiB for arguments and environment together, with the usual stack limit; the limit can be raised. */
const MOST_BYTES = 8 << 20
const PATIENCE_MS = 15_000

export interface LiveEffects {
  cluster: Pick<ClusterClient, 'podExec'>
  run: typeof runInPod
}

/** Rejects with ToldError `live`, ClusterError or TunnelError. */
export async function readLive({ cluster, run }: LiveEffects, place: Place): Promise<Variable[]> {
  const { namespace, pod, container, running, sharedProcesses } = place
  if (!pod || !running)
    throw new ToldError('live', `no process of ${container} runs now`, 'leave --live out to have it from the spec')
  // Where processes are shared, process 1 is another container's. What `env` gets is what the first process got.
  const own = [
    ['cat', '/proc/1/environ'],
    ['env', '-0'],
  ]
  let words = ''
  for (const command of sharedProcesses ? own.slice(1) : own) {
    const chunks: Buffer[] = []
    const endpoint = await cluster.podExec({ namespace, pod, container, command })
    const end = await run(endpoint, {
      onOutput: (chunk) => chunks.push(Buffer.from(chunk)),
      most: MOST_BYTES,
      patienceMs: PATIENCE_MS,
    })
    if (end.code === 0) return variablesOf(Buffer.concat(chunks).toString())
    words = end.words.trim().split('\n')[0]
  }
  throw new ToldError(
    'live',
    `the environment of ${container} in ${pod} cannot be read: ${words || 'its commands failed'}`,
    'an image without `cat` and `env` has no way to tell it; leave --live out to have it from the spec',
  )
}

function variablesOf(text: string): Variable[] {
  return text
    .split('\0')
    .filter((entry) => entry.indexOf('=') > 0)
    .map((entry) => ({ name: entry.slice(0, entry.indexOf('=')), value: entry.slice(entry.indexOf('=') + 1) }))
}
