// `--expose` of exchange, mesh and run: which ports of this machine answer which ports of the Service.
import { InvalidArgumentError } from 'commander'
import type { ExposedPort } from '../../control/holder.ts'

/** `LOCAL[:REMOTE][/udp]`, commas between, repeatable. */
export function exposedPorts(value: string, before: ExposedPort[] = []): ExposedPort[] {
  const ports = [...before]
  for (const text of value.split(',')) {
    const match = /^(\d{1,5})(?::(\d{1,5}))?(?:\/(tcp|udp))?$/i.exec(text)
    const local = portNumber(match?.[1])
    const remote = match?.[2] === undefined ? local : portNumber(match[2])
    if (!match || !local || !remote)
      throw new InvalidArgumentError(`expected LOCAL[:REMOTE], like 8080:80, not ${JSON.stringify(text)}.`)
    const protocol = match[3]?.toUpperCase() as ExposedPort['protocol']
    // Without a protocol it is TCP wherever the Service has that port for TCP.
    const twice = ports.find((one) => one.remote === remote && (one.protocol ?? 'TCP') === (protocol ?? 'TCP'))
    if (twice)
      throw new InvalidArgumentError(`port ${remote} is exposed twice, as localhost:${twice.local} and :${local}.`)
    ports.push({ local, remote, ...(protocol && { protocol }) })
  }
  return ports
}

/** 1 to 65535, else undefined. */
export function portNumber(text: string | undefined): number | undefined {
  const port = Number(text)
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined
}
