// `--expose` of exchange, mesh and run: which ports of this machine answer which ports of the Service.
import { InvalidArgumentError } from 'commander'
import type { ExposedPort } from '../../control/holder.ts'

// A name as Kubernetes lets a Service's ports have: RFC 1123 label, and not a number alone.
const REMOTE_NAME = /^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/i

/** `LOCAL[:REMOTE][/udp]`, commas between, repeatable. */
export function exposedPorts(value: string, before: ExposedPort[] = []): ExposedPort[] {
  const ports = [...before]
  for (const text of value.split(',')) {
    const port = exposedPort(text.trim())
    const { local, remote, name, protocol } = port
    // Without a protocol it is TCP wherever the Service has that port for TCP.
    const same = (one: ExposedPort) => (name === undefined ? !one.name && one.remote === remote : one.name === name)
    const twice = ports.find((one) => same(one) && (one.protocol ?? 'TCP') === (protocol ?? 'TCP'))
    if (twice)
      throw new InvalidArgumentError(
        `port ${name ?? remote} is exposed twice, as localhost:${twice.local} and :${local}.`,
      )
    ports.push(port)
  }
  return ports
}

function exposedPort(text: string): ExposedPort {
  const match = /^([^:/]*)(?::([^:/]*))?(?:\/(tcp|udp))?$/i.exec(text)
  if (!match) throw new InvalidArgumentError(`expected LOCAL[:REMOTE], like 8080:80, not ${JSON.stringify(text)}.`)
  const [, here, there] = match
  const local = portOf(here, text)
  const protocol = match[3]?.toUpperCase() as ExposedPort['protocol']
  const more = protocol && { protocol }
  if (there === undefined) return { local, remote: local, implied: true, ...more }
  if (REMOTE_NAME.test(there)) return { local, remote: local, name: there.toLowerCase(), ...more }
  return { local, remote: portOf(there, text), ...more }
}

function portOf(text: string, whole: string): number {
  if (!/^\d+$/.test(text))
    throw new InvalidArgumentError(`expected LOCAL[:REMOTE], like 8080:80, not ${JSON.stringify(whole)}.`)
  return portNumber(text, whole)
}

/** Throws InvalidArgumentError for what is not 1 to 65535. `whole`: what it is a part of. */
export function portNumber(text: string, whole = text): number {
  const port = /^\d+$/.test(text) ? Number(text) : 0
  if (port > 0 && port < 65_536) return port
  const where = whole === text ? '' : ` in ${JSON.stringify(whole)}`
  throw new InvalidArgumentError(`${text}${where} is no port: ports are 1 to 65535.`)
}
