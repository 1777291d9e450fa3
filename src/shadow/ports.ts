// Which ports the agent serves for the cluster: said in KT_AGENT_PORTS when it starts, since they are served while no client is there.
import { createServer, type Server, type Socket } from 'node:net'
import { BoundDatagrams, type DatagramHandler } from '../base/datagram-socket.ts'
import { listening } from '../base/listen.ts'
import { type Endpoint, IpAddress } from '../wire/address.ts'

export interface AgentPort {
  port: number
  protocol: 'TCP' | 'UDP'
  /** Requests are looked at one by one, and claimed by a header. */
  http: boolean
  /** Where what nobody takes goes. Undefined: nowhere, it is reset. */
  original: Endpoint | undefined
}

/** Reads KT_AGENT_PORTS; undefined is an agent without ports. Throws Error that says what is wrong with it. */
export function parsePorts(text: string | undefined): AgentPort[] {
  if (!text) return []
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch (error) {
    throw new Error(`KT_AGENT_PORTS is not JSON: ${(error as Error).message}`)
  }
  if (!Array.isArray(list)) throw new Error('KT_AGENT_PORTS must be a list')
  const ports = list.map((entry, index) => {
    const fail = (what: string): never => {
      throw new Error(`KT_AGENT_PORTS[${index}]: ${what}, not ${JSON.stringify(entry)}`)
    }
    if (typeof entry !== 'object' || entry === null) return fail('an object is needed')
    const { port, protocol = 'TCP', http = false, original } = entry as Record<string, unknown>
    if (!isPort(port)) return fail('port must be a number from 1 to 65535')
    if (protocol !== 'TCP' && protocol !== 'UDP') return fail('protocol must be TCP or UDP')
    if (typeof http !== 'boolean' || (http && protocol === 'UDP'))
      return fail('http must be true or false, false for UDP')
    return {
      port,
      protocol,
      http,
      original:
        original === undefined ? undefined : (endpoint(original) ?? fail('original needs host, an address, and port')),
    } as AgentPort
  })
  for (const [index, { port, protocol }] of ports.entries())
    if (ports.findIndex((other) => other.port === port && other.protocol === protocol) < index)
      throw new Error(`KT_AGENT_PORTS names ${protocol} ${port} twice`)
  return ports
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535
}

function endpoint(value: unknown): Endpoint | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { host, port } = value as Record<string, unknown>
  const address = typeof host === 'string' ? IpAddress.tryParse(host) : undefined
  return address && isPort(port) ? { address, port } : undefined
}

/** Of a socket on `::`, which shows IPv4 as `::ffff:10.0.0.1`. */
export function plainEndpoint(address = '::', port = 0): Endpoint {
  return { address: IpAddress.parse(address.replace(/^::ffff:(?=\d+\.)/i, '')), port }
}

/** No IPv6 on this node. */
const NO_V6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'])
/** Connections that may wait to be accepted; Node's own 511 is less than a burst of a busy service. */
const BACKLOG = 4096

/** Rejects with what the kernel said. Sockets come paused; port 0 is any. */
export async function listenTcp(port: number, onSocket: (socket: Socket) => void): Promise<Server> {
  return dual(async (host) => {
    const server = createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, onSocket)
    await listening(server, { port, host, backlog: BACKLOG })
    return server
  })
}

/** Rejects with what the kernel said. Port 0 is any. */
export function listenUdp(port: number, onMessage: DatagramHandler['onMessage']): Promise<BoundDatagrams> {
  return dual((host) => BoundDatagrams.bind(host, port, onMessage))
}

/** Both families by one socket where there is IPv6. */
async function dual<T>(listen: (host: string) => Promise<T>): Promise<T> {
  try {
    return await listen('::')
  } catch (error) {
    if (!NO_V6.has((error as NodeJS.ErrnoException).code ?? '')) throw error
    return listen('0.0.0.0')
  }
}
