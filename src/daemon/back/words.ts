// What exchange and run say of what they do. Pure.
import type { BackHandle } from '../../cluster/back-port.ts'

type Said = Pick<BackHandle, 'kind' | 'mode' | 'namespace' | 'service' | 'workload' | 'ports' | 'mesh' | 'owner'>

/** The step that leads requests here. */
export function switchWords(handle: Said, name: string): string {
  const exposed = handle.ports.filter((port) => port.exposed)
  if (handle.kind === 'run') return `${name} made, port ${exposed.map(({ port }) => port).join(', ')}`
  const others = handle.ports
    .filter((port) => !port.exposed)
    .map(({ port, protocol }) => (protocol === 'TCP' ? `${port}` : `${port}/${protocol}`))
  const rest =
    others.length === 0
      ? ''
      : others.length === 1
        ? `; port ${others[0]} stays with the original pods`
        : `; ports ${others.slice(0, -1).join(', ')} and ${others.at(-1)} stay with the original pods`
  const how =
    handle.mode === 'scale' && handle.workload
      ? `${handle.workload.kind} ${handle.workload.name} scaled from ${handle.workload.replicas} to 0`
      : `${name} leads to the shadow`
  return `${how}${rest}`
}

/** True where somebody serves what does not come here. */
export function hasOriginal({ kind, mode, mesh }: Pick<BackHandle, 'kind' | 'mode' | 'mesh'>): boolean {
  return kind !== 'run' && mode === 'selector' && mesh?.mode !== 'manual'
}

export function awayWords(handle: Said): string {
  const what = hasOriginal(handle) ? 'go to the original pods' : 'are refused'
  return `the way to the cluster is away; requests ${what} until it is back`
}

/** What happens to callers that were there before, and what to do about it; undefined where there are none. */
export function keptConnectionsWords(handle: Said): string | undefined {
  if (!hasOriginal(handle)) return undefined
  const how = handle.owner
    ? `; \`kubectl -n ${handle.namespace} rollout restart ${handle.owner}\` makes them`
    : ', for which you may restart them, or the original pods'
  return `callers that keep connections open stay with the original pods until they connect again${how}`
}

/** When no request has come for some time after the beginning. */
export function silenceWords(handle: Said, seconds: number): string | undefined {
  const kept = keptConnectionsWords(handle)
  if (!kept) return undefined
  const what = handle.mesh ? `no request with ${handle.mesh.header}: ${handle.mesh.value}` : 'no request'
  return `${what} has come in ${seconds} s: ${kept}`
}
