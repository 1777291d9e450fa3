// Which ports the agent listens on so that a Service can lead to it, and what it dials for those nobody takes. Pure.
import type { V1Pod, V1Service, V1ServicePort } from '@kubernetes/client-node'
import type { AgentPort, BackPort, NamedPort, Protocol } from '../back-port.ts'
import { clusterError } from '../errors.ts'

export interface WantedPort {
  port: number
  protocol?: Protocol
}

export interface PortPlan {
  ports: BackPort[]
  named: NamedPort[]
  warnings: string[]
  /** Ports of the agent itself, which none of the others is. */
  sshPort: number
}

const SSH_PORT = 2222
// Where a port of our own choice is looked for.
const FREE_FROM = 20_000

/** Throws ClusterError `target-unfit` for a port that the Service has not, or that is wanted twice. */
export function planPorts(service: V1Service, pods: V1Pod[], wanted: WantedPort[]): PortPlan {
  const name = service.metadata!.name!
  const all = service.spec?.ports ?? []
  const known = all.filter((port) => protocolOf(port) !== undefined)
  const exposed = new Set(wanted.map((one) => pick(name, known, one)))
  if (exposed.size < wanted.length) throw twice(wanted)
  const taken = new Set<string>()
  const listen = new Map<string, number>()
  const named: NamedPort[] = []
  const warnings = all
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
  const ports = known.map(
    (port): BackPort => ({
      ...(port.name && { name: port.name }),
      port: port.port,
      protocol: protocolOf(port)!,
      listen: listen.get(`${protocolOf(port)} ${port.targetPort ?? port.port}`)!,
      exposed: exposed.has(port),
    }),
  )
  for (const port of ports)
    if (
      !port.exposed &&
      ports.some((other) => other.exposed && other.listen === port.listen && other.protocol === port.protocol)
    )
      warnings.push(
        `port ${port.port} of Service ${name} leads to the same port of the pods as one that is exposed, so it comes here too`,
      )
  const sshPort = free(taken, 'TCP', SSH_PORT)
  return { ports, named, warnings, sshPort }
}

/** For pods that no Service leads to, and for run: what is wanted is what is listened on. */
export function plainPorts(wanted: WantedPort[]): PortPlan {
  const ports = wanted.map(({ port, protocol = 'TCP' }): BackPort => ({ port, protocol, listen: port, exposed: true }))
  const taken = new Set(ports.map((port) => `${port.protocol} ${port.listen}`))
  if (taken.size < ports.length) throw twice(wanted)
  const sshPort = free(taken, 'TCP', SSH_PORT)
  return { ports, named: [], warnings: [], sshPort }
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
  const same = ports.filter((port) => port.port === wanted.port)
  const found = wanted.protocol
    ? same.find((port) => protocolOf(port) === wanted.protocol)
    : (same.find((port) => protocolOf(port) === 'TCP') ?? same[0])
  if (found) return found
  const list = ports.map((port) => `${port.port}/${protocolOf(port)}${port.name ? ` (${port.name})` : ''}`).join(', ')
  throw clusterError(
    'target-unfit',
    `Service ${name} has no port ${wanted.port}${wanted.protocol ? `/${wanted.protocol}` : ''}`,
    list ? `its ports are ${list}: use --expose LOCAL:REMOTE with one of them` : 'it has no ports at all',
  )
}

function twice(wanted: WantedPort[]) {
  const port = wanted.find((one, index) => wanted.findIndex((other) => other.port === one.port) < index) ?? wanted[0]
  return clusterError('target-unfit', `port ${port.port} is exposed twice`, 'expose each port once')
}

function numberOf(pods: V1Pod[], name: string, protocol: Protocol): number | undefined {
  for (const pod of pods)
    for (const container of pod.spec?.containers ?? [])
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

function protocolOf(port: V1ServicePort): Protocol | undefined {
  const protocol = port.protocol ?? 'TCP'
  return protocol === 'TCP' || protocol === 'UDP' ? protocol : undefined
}
