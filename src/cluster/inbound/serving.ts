// What makes a shadow serve a Service: the ports that its agent listens on, and the labels by which Services find its pod. Pure.
import type { AgentPort, InboundHandle, Serving } from '../inbound-calls.ts'
import { type Draft, targetOf } from './context.ts'
import type { PortPlan } from './ports.ts'
import { ID_LABEL, type Labels } from './record.ts'

interface Served {
  ports: AgentPort[]
  /** Of the pod, beside kt's own. */
  podLabels: Labels
  /** The agent ends this long after its last client has gone; 0: never. */
  idleSeconds: number
  env?: Record<string, string>
}

export function servingOf(draft: Draft, { named, sshPort, readyPort }: PortPlan, served: Served): Serving {
  const { id, kind, holder } = draft
  return {
    id,
    ports: served.ports,
    named,
    sshPort,
    readyPort,
    probed: false,
    podLabels: { ...served.podLabels, [ID_LABEL]: id },
    idleSeconds: served.idleSeconds,
    annotations: { 'kt/target': targetOf(draft), 'kt/kind': kind, 'kt/holder': holder },
    env: served.env ?? {},
  }
}

/** Requests are on their way already, so they must not reach a pod before its agent listens. */
export function probed(handle: InboundHandle): InboundHandle {
  return { ...handle, serving: { ...handle.serving, probed: true } }
}
