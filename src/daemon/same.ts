// Whether what a second `kt up` asks for is what this one is connected to.
import { ToldError } from '../base/told-error.ts'
import type { ClusterIdentity } from '../cluster/calls.ts'
import { createClusterClient } from '../cluster/client.ts'
import type { UpConfig } from '../control/config.ts'

export interface SameAnswer {
  same: boolean
  wanted: string
  current: string
  /** Names of options that were given and are not so. */
  ignored: string[]
}

/** Is `selection` the cluster and namespace of `mine`? Rejects with ClusterError, and while `mine` is not known. */
export async function isSame(
  {
    env,
    given = {},
    ...selection
  }: Pick<UpConfig, 'kubeconfig' | 'context' | 'namespace' | 'env'> & { given?: Record<string, unknown> },
  mine: ClusterIdentity | undefined,
  config: UpConfig,
): Promise<SameAnswer> {
  if (!mine) throw new ToldError('not-ready', 'kt is still connecting', 'try again when `kt up` has returned')
  const { context, server, namespace } = mine
  const connected = { context, server, namespace }
  const other = createClusterClient({ ...selection, connected }, { env: { ...process.env, ...env } })
  try {
    const id = await other.identify()
    const name = (i: ClusterIdentity) => `${i.cluster} (${i.server}), namespace ${i.namespace}`
    return {
      same: id.server === mine.server && id.namespace === mine.namespace,
      wanted: name(id),
      current: name(mine),
      ignored: differing(given, config),
    }
  } finally {
    await other.close()
  }
}

/** Names of what was asked for and is not so. The order of a list says nothing. */
function differing(given: Record<string, unknown>, config: UpConfig): string[] {
  const text = (value: unknown) => JSON.stringify(Array.isArray(value) ? [...value].sort() : (value ?? null))
  return Object.entries(given)
    .filter(([key, value]) => text(value) !== text(config[key as keyof UpConfig]))
    .map(([key]) => key)
}
