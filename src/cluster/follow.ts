// Following objects by watches that are begun again whenever the API server ends one.
import type { Api } from './api.ts'

/** What requests are sent through; tests put a cluster in memory in its place. */
export type ApiPort = Pick<Api, 'get' | 'send' | 'ask' | 'watch'>

export const MERGE = 'application/merge-patch+json' // RFC 7386

/** Ends when `signal` aborts. Throws ClusterError when it may not be watched or the API server is away. */
export async function follow<T>(
  api: ApiPort,
  path: string,
  query: Record<string, string>,
  signal: AbortSignal,
  each: (type: string, object: T) => unknown,
): Promise<void> {
  while (!signal.aborted) {
    for await (const { type, object } of api.watch<T>(path, query, signal)) {
      if (signal.aborted) return
      if (type !== 'BOOKMARK') each(type, object)
    }
  }
}
