// What is read of pods in several places. Pure.
import type { V1Container, V1Pod } from '@kubernetes/client-node'

/** Those that run as long as the pod does, native sidecars among them: init containers that are restarted always. */
export function longLivedContainers({ spec }: V1Pod): V1Container[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...(spec?.containers ?? []), ...sidecars]
}
