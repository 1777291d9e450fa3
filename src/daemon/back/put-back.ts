// The end of an exchange, mesh or run in the cluster: the Service is put back, then what kt made is removed. What cannot be done is
// told, with the command that does it later.
import { delay, systemClock } from '../../base/clock.ts'
import type { BackHandle } from '../../cluster/back-port.ts'
import type { ClusterClient } from '../../cluster/port.ts'
import type { Steps } from './holding.ts'
import type { Reach } from './reach.ts'

const AGAIN_MS = 1_000

export interface PutBackContext {
  cluster: ClusterClient
  steps: Steps
  log(line: string): void
  /** Gives up when the API server is out of reach. */
  reach: Reach
  /** Of the target, for people. */
  name: string
  /** Somebody waits no longer. */
  hurry: AbortSignal
}

/** Resolves to what could not be put back, undefined if nothing is left to do. */
export async function restore(context: PutBackContext, handle: BackHandle): Promise<string | undefined> {
  const { cluster, steps, name, hurry, reach } = context
  const began = performance.now()
  for (;;) {
    try {
      const { restored, kept } = await reach.wait(
        cluster.restoreExchange(handle, (_, detail) => steps.running('service', detail)),
      )
      for (const one of kept) steps.note('service', one)
      const done = restored.length > 0 ? `put back: ${restored.join(', ')}` : kept.length > 0 ? 'left' : 'is as before'
      steps.done('service', done, performance.now() - began)
      return undefined
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      context.log(`restore: ${message}`)
      const late = reach.lost || hurry.aborted
      if (code !== 'unreachable' || late) {
        const again = handle.kind === 'run' ? 'kt clean' : `kt recover ${name}`
        return `${name} could not be put back: ${message}; \`${again} -n ${handle.namespace}\` does it later`
      }
    }
    await delay(AGAIN_MS, hurry, systemClock)
  }
}

/** As `restore`. */
export async function remove(
  { cluster, steps, reach }: PutBackContext,
  handle: BackHandle,
): Promise<string | undefined> {
  const began = performance.now()
  try {
    await reach.wait(cluster.removeExchange(handle))
    const what = handle.mesh?.mode === 'auto' ? 'left' : `${handle.shadow.job} removed`
    steps.done('shadow', what, performance.now() - began)
    return undefined
  } catch (error) {
    return `the shadow ${handle.shadow.job} could not be removed (\`kt clean -n ${handle.namespace}\` does it later): ${(error as Error).message}`
  }
}
