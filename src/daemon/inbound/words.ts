// What exchange and run say of what they do. Pure.
import type { InboundEvent, InboundHandle } from '../../cluster/inbound-calls.ts'
import type { ExposedPort } from '../../control/holder.ts'
import type { StatusFault } from '../../control/protocol.ts'
import type { ProgramNetwork } from './program-network.ts'

type Said = Pick<InboundHandle, 'namespace' | 'ports' | 'mesh' | 'owner'>

/** The step that leads requests here. */
export function leadsWords(handle: Said, name: string): string {
  return `${name} leads to the shadow${portsWords(handle)}`
}

/** Which ports come here, and where they go. */
export function wayWords(ports: readonly ExposedPort[], { portName }: Pick<ProgramNetwork, 'portName'>): string {
  return ports
    .map(({ local, remote, protocol }) => `${protocol === 'UDP' ? `${remote}/UDP` : remote} -> ${portName(local)}`)
    .join(', ')
}

/** Which ports do not come here, as the end of a sentence. */
export function portsWords(handle: Pick<Said, 'ports'>): string {
  const others = handle.ports
    .filter((port) => !port.exposed)
    .map(({ port, protocol }) => (protocol === 'TCP' ? `${port}` : `${port}/${protocol}`))
  if (others.length === 0) return ''
  if (others.length === 1) return `; port ${others[0]} stays with the original pods`
  return `; ports ${others.slice(0, -1).join(', ')} and ${others.at(-1)} stay with the original pods`
}

export function awayWords(hasOriginal: boolean): string {
  // Nobody here knows whether the shadows live. Where they do not, requests fail until the nodes know it too.
  const what = hasOriginal
    ? 'the original pods answer until it is back. If the shadows are gone too, some requests fail at first'
    : 'requests are refused until it is back'
  return `the connection to the cluster is lost; ${what}`
}

/** What happens to callers of the original pods that were there before, and what to do about it. */
export function keptConnectionsWords(handle: Said): string {
  const how = handle.owner
    ? `\`kubectl -n ${handle.namespace} rollout restart ${handle.owner}\` ends these connections`
    : 'A restart of these callers, or of the original pods, ends these connections'
  return `callers with open connections stay with the original pods until they connect again. ${how}`
}

/** When no request has come for some time after the beginning. */
export function silenceWords(handle: Said, seconds: number): string {
  const kept = keptConnectionsWords(handle)
  const what = handle.mesh ? `no request with ${handle.mesh.header}: ${handle.mesh.value}` : 'no request'
  return `${what} has come in ${seconds} s: ${kept}`
}

/** What `event` says that somebody else did to the Service, at `at` (ms since 1970); undefined when it leads here again. */
export function takenAway(
  event: InboundEvent,
  { namespace }: Said,
  target: string,
  at: number,
): StatusFault | undefined {
  const { type, message } = event
  if (type === 'returned') return undefined
  const again = type === 'deleted' ? 'when the Service is there again, begin anew' : 'begin anew to take it back'
  const hint = `\`kt leave ${target} -n ${namespace}\` ends this; ${again}`
  return { code: 'taken-away', message, hint, since: new Date(at).toISOString() }
}

/** While connections are waited for at the end. */
export function waitingWords(count: number): string {
  const which = count === 1 ? 'a connection is' : `${count} connections are`
  return `${which} in the middle of a request and waited for, 20 s at most; Ctrl-C, or \`kt leave\` again, ends the wait`
}
