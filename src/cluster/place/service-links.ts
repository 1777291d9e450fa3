// Variables for Services, as the kubelet makes them: `WEB_SERVICE_HOST`, and those of Docker's links. Pure.
import type { V1Service } from '@kubernetes/client-node'

/** In the order of the Services, each with an address of its own. */
export function serviceVariables(services: V1Service[]): Map<string, string> {
  const variables = new Map<string, string>()
  for (const { metadata, spec } of services) {
    const address = spec?.clusterIP
    const ports = spec?.ports ?? []
    if (!address || address === 'None' || ports.length === 0) continue
    const prefix = variableName(metadata!.name!)
    variables.set(`${prefix}_SERVICE_HOST`, address)
    variables.set(`${prefix}_SERVICE_PORT`, String(ports[0].port))
    for (const { name, port } of ports)
      if (name) variables.set(`${prefix}_SERVICE_PORT_${variableName(name)}`, String(port))
    const host = address.includes(':') ? `[${address}]` : address
    for (const [index, { port, protocol = 'TCP' }] of ports.entries()) {
      const scheme = protocol.toLowerCase()
      const url = `${scheme}://${host}:${port}`
      const link = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`
      if (index === 0) variables.set(`${prefix}_PORT`, url)
      variables.set(link, url)
      variables.set(`${link}_PROTO`, scheme)
      variables.set(`${link}_PORT`, String(port))
      variables.set(`${link}_ADDR`, address)
    }
  }
  return variables
}

function variableName(name: string): string {
  return name.replaceAll('-', '_').toUpperCase()
}
