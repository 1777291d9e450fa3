// Who keeps a Service's pods: what `kubectl rollout restart` would be given. Pure.
import type { V1Pod } from '@kubernetes/client-node'
import { ID_LABEL } from './record.ts'

const RESTARTABLE = new Set(['StatefulSet', 'DaemonSet'])

/** `deployment/web`; undefined where the pods have no such owner, or several. */
export function ownerOf(pods: V1Pod[]): string | undefined {
  const own = pods.filter(({ metadata }) => metadata?.labels?.[ID_LABEL] === undefined)
  const owners = new Set(own.map(ownerOfPod))
  return owners.size === 1 ? [...owners][0] : undefined
}

function ownerOfPod({ metadata }: V1Pod): string | undefined {
  const owner = metadata?.ownerReferences?.find(({ controller }) => controller)
  if (!owner) return undefined
  if (RESTARTABLE.has(owner.kind)) return `${owner.kind.toLowerCase()}/${owner.name}`
  const hash = metadata?.labels?.['pod-template-hash']
  // A Deployment names its ReplicaSets after itself and the template.
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`))
    return `deployment/${owner.name.slice(0, -hash.length - 1)}`
  return undefined
}
