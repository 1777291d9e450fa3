// Which ports the agent listens on so that a Service can lead to it, and what it dials for those nobody takes. Pure.
import type { V1Pod, V1Service, V1ServicePort } from '@kubernetes/client-node'
import { clusterError } from '../errors.ts'
import type { AgentPort, InboundPort, NamedPort, Protocol, WantedPort } from '../inbound-calls.ts'
import { longLivedContainers } from '../pods.ts'

export interface PortPlan {
  /** Without those that come along with an exposed one, since both lead to the same port of the pods. */
  ports: InboundPort[]
  /** What each wanted port is, in that order. */
  remotes: number[]
  named: NamedPort[]
  warnings: string[]
  /** Ports of the agent itself, which none of the others is. The second is where it says that it serves. */
  sshPort: number
  readyPort: number
}

const SSH_PORT = 2222
const READY_PORT = 2223
// Where a port of our own choice is looked for.
const FREE_FROM = 20_000

/** Throws ClusterError `target-unfit` for a port that the Service has not, or that is wanted twice. */
export function planPorts(service: V1Service, pods: V1Pod[], wanted: WantedPort[]): PortPlan {
  const name = service.metadata!.name!
  const declared = service.spec?.ports ?? []
  const known = declared.filter((port) => protocolOf(port) !== undefined)
  const picked = wanted.map((one) => pick(name, known, one))
  const exposed = new Set(picked)
  if (exposed.size < wanted.length) throw twice(picked)
  const remotes = picked.map(({ port }) => port)
  const taken = new Set<string>()
  const listen = new Map<string, number>()
  const named: NamedPort[] = []
  const warnings = declared
    .filter((port) => protocolOf(port) === undefined)
    .map(
      (port) =>
        `port ${port.port} of Service ${name} is ${port.protocol}, which kt cannot pass on: it is not served meanwhile`,
    )
  // Numbers first: they cannot be moved out of the way.
  for (const port of known) {
    const target = port.targetPort ?? port.port
    const key = `${protocolOf(port)} ${target}`
    if (typeof target !== 'number' || listen.has(key)) continue
    listen.set(key, target)
    taken.add(`${protocolOf(port)} ${target}`)
  }
  for (const port of known) {
    const target = port.targetPort ?? port.port
    const protocol = protocolOf(port)!
    const key = `${protocol} ${target}`
    if (typeof target === 'number' || listen.has(key)) continue
    const number = free(taken, protocol, numberOf(pods, target, protocol) ?? port.port)
    listen.set(key, number)
    if (named.every((one) => one.name !== target)) named.push({ name: target, port: number, protocol })
  }
  const all = known.map(
    (port): InboundPort => ({
      ...(port.name && { name: port.name }),
      ...(port.appProtocol && { appProtocol: port.appProtocol }),
      port: port.port,
      protocol: protocolOf(port)!,
      listen: listen.get(`${protocolOf(port)} ${port.targetPort ?? port.port}`)!,
      exposed: exposed.has(port),
    }),
  )
  const ports = all.filter((port) => {
    const twin = port.exposed
      ? undefined
      : all.find((other) => other.exposed && other.listen === port.listen && other.protocol === port.protocol)
    if (twin)
      warnings.push(
        `port ${port.port} of Service ${name} leads to the same port of the pods as ${twin.port}, so it comes here too`,
      )
    return !twin
  })
  return { ports, remotes, named, warnings, ...ownPorts(taken) }
}

/**
 * For pods without a Service, and for run: the agent listens on the wanted ports themselves. Port names are those of `pods`.
 */
export function plainPorts(wanted: WantedPort[], pods: V1Pod[] = []): PortPlan {
  const ports = wanted.map(({ port, name, protocol = 'TCP' }): InboundPort => {
    const number = name === undefined ? port : numberOf(pods, name, protocol)
    if (number === undefined)
      throw clusterError('target-unfit', `the pods name no ${protocol} port ${name}`, 'give its number: LOCAL:NUMBER')
    return { port: number, protocol, listen: number, exposed: true }
  })
  const taken = new Set(ports.map((port) => `${port.protocol} ${port.listen}`))
  if (taken.size < ports.length) throw twice(ports)
  return { ports, remotes: ports.map(({ port }) => port), named: [], warnings: [], ...ownPorts(taken) }
}

/** Ports of these Services that nobody serves while their pods are away: `7, 9 and 7/UDP of Service web`. */
export function unservedPorts(services: V1Service[], pods: V1Pod[], plan: PortPlan): string[] {
  const served = new Set(plan.ports.flatMap((port) => (port.exposed ? [`${port.protocol} ${port.listen}`] : [])))
  return services.flatMap((service) => {
    const left = planPorts(service, pods, [])
      .ports.filter((port) => !served.has(`${port.protocol} ${port.listen}`))
      .map(({ port, protocol }) => (protocol === 'TCP' ? `${port}` : `${port}/${protocol}`))
    const last = left.pop()
    if (last === undefined) return []
    return [`${left.length > 0 ? `${left.join(', ')} and ` : ''}${last} of Service ${service.metadata!.name}`]
  })
}

/** `originalHost` undefined: there is nobody behind, and what is not taken is refused. */
export function agentPorts(plan: PortPlan, originalHost: string | undefined, http: boolean): AgentPort[] {
  const seen = new Set<string>()
  const ports: AgentPort[] = []
  // Where two ports of the Service share one of the pods, the exposed one stands for both.
  for (const port of [...plan.ports].sort((a, b) => Number(b.exposed) - Number(a.exposed))) {
    const key = `${port.protocol} ${port.listen}`
    if (seen.has(key)) continue
    seen.add(key)
    ports.push({
      port: port.listen,
      protocol: port.protocol,
      http: http && port.exposed && port.protocol === 'TCP',
      ...(originalHost && { original: { host: originalHost, port: port.port } }),
    })
  }
  return ports
}

function pick(name: string, ports: V1ServicePort[], wanted: WantedPort): V1ServicePort {
  const fit = ports.filter((port) => !wanted.protocol || protocolOf(port) === wanted.protocol)
  const same =
    wanted.name === undefined
      ? fit.filter((port) => port.port === wanted.port)
      : ([fit.filter((port) => port.name === wanted.name), fit.filter((port) => port.targetPort === wanted.name)].find(
          ({ length }) => length > 0,
        ) ?? [])
  const found = same.find((port) => protocolOf(port) === 'TCP') ?? same[0]
  if (found) return found
  if (wanted.implied && fit.length === 1) return fit[0]
  const list = ports.map((port) => `${port.port}/${protocolOf(port)}${port.name ? ` (${port.name})` : ''}`).join(', ')
  const what = wanted.name ?? wanted.port
  throw clusterError(
    'target-unfit',
    `Service ${name} has no port ${what}${wanted.protocol ? `/${wanted.protocol}` : ''}`,
    list ? `its ports are ${list}: use --expose LOCAL:REMOTE with one of them` : 'it has no ports at all',
  )
}

function twice(ports: { port: number; protocol?: string }[]) {
  const { port } = ports.find((one, index) => ports.findIndex((other) => other.port === one.port) < index) ?? ports[0]
  return clusterError('target-unfit', `port ${port} is exposed twice`, 'expose each port once')
}

function numberOf(pods: V1Pod[], name: string, protocol: Protocol): number | undefined {
  for (const pod of pods)
    for (const container of longLivedContainers(pod))
      for (const port of container.ports ?? [])
        if (port.name === name && (port.protocol ?? 'TCP') === protocol) return port.containerPort
  return undefined
}

function free(taken: Set<string>, protocol: Protocol, first: number): number {
  let number = first
  for (let next = FREE_FROM; taken.has(`${protocol} ${number}`); next++) number = next
  taken.add(`${protocol} ${number}`)
  return number
}

function ownPorts(taken: Set<string>): Pick<PortPlan, 'sshPort' | 'readyPort'> {
  return { sshPort: free(taken, 'TCP', SSH_PORT), readyPort: free(taken, 'TCP', READY_PORT) }
}

function protocolOf(port: V1ServicePort): Protocol | undefined {
  const protocol = port.protocol ?? 'TCP'
  return protocol === 'TCP' || protocol === 'UDP' ? protocol : undefined
}
