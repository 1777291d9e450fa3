// Which container of a pod is meant, and which of a Service's ports it serves. Pure.
import type { V1Container, V1Pod, V1ServicePort } from '@kubernetes/client-node'
import { clusterError } from '../errors.ts'
import type { ServedPort } from '../place-calls.ts'
import { longLivedContainers } from '../pods.ts'

// kubectl's: https://kubernetes.io/docs/reference/labels-annotations-taints/
const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'

/**
 * `name`, else the one that the pod's annotation names, else the one that serves the first of the Service's ports that any declares, else the first. Throws
 * ClusterError `target-unfit`.
 */
export function chooseContainer(pod: V1Pod, name: string | undefined, ports: V1ServicePort[]): V1Container {
  const containers = pod.spec?.containers ?? []
  const all = [...containers, ...longLivedContainers(pod).slice(containers.length)]
  if (name !== undefined) {
    const named = all.find((one) => one.name === name)
    if (named) return named
    const list = all.map((one) => one.name).join(', ')
    throw clusterError('target-unfit', `there is no container ${JSON.stringify(name)} in the pod`, `it has ${list}`)
  }
  const marked = all.find((one) => one.name === pod.metadata?.annotations?.[DEFAULT_CONTAINER])
  const serving = ports.flatMap((port) => all.find((one) => targetIn(one, port) !== undefined) ?? [])[0]
  const chosen = marked ?? serving ?? all[0]
  if (!chosen) throw clusterError('target-unfit', 'the pod has no containers')
  return chosen
}

/** The Service's ports that `container` serves; a port that nobody declares is that of the only container, or of the chosen one. */
export function servedPorts(pod: V1Pod, container: V1Container, ports: V1ServicePort[]): ServedPort[] {
  const others = longLivedContainers(pod).filter((one) => one.name !== container.name)
  return ports.flatMap((port) => {
    const protocol = port.protocol ?? 'TCP'
    if (protocol !== 'TCP' && protocol !== 'UDP') return []
    let target = targetIn(container, port)
    if (target === undefined && !others.some((one) => targetIn(one, port) !== undefined)) target = numberOf(port)
    return target === undefined ? [] : { port: port.port, target, protocol }
  })
}

/** The container's port that a Service's port leads to, if it declares it. */
function targetIn({ ports = [] }: V1Container, port: V1ServicePort): number | undefined {
  const protocol = port.protocol ?? 'TCP'
  const wanted = port.targetPort ?? port.port
  return ports.find(
    (one) => (one.protocol ?? 'TCP') === protocol && (one.name === wanted || one.containerPort === wanted),
  )?.containerPort
}

function numberOf({ port, targetPort = port }: V1ServicePort): number | undefined {
  return typeof targetPort === 'number' ? targetPort : undefined
}
