// Where a program listens to which the cluster's requests go: on this machine's loopback, or in the namespace of a shell. A socket
// belongs to the network that it was made in, so the two differ only in where the sockets come from.
import { Socket } from 'node:net'

export interface ProgramNetwork {
  /** Addresses on which a program may listen, tried in this order. */
  hosts: readonly string[]
  /** Makes a socket that is not connected, and resolves to its descriptor. Undefined: this process makes its own. */
  socket?: (protocol: 'tcp' | 'udp', family: 4 | 6) => Promise<number>
  /** `localhost:8080`: a port there, for people. */
  portName(port: number): string
}

/** This machine's. Most programs listen on one of the two addresses only. */
export const MACHINE: ProgramNetwork = { hosts: ['127.0.0.1', '::1'], portName: (port) => `localhost:${port}` }

export const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4)

/** Nothing listens there, or there is no such address: IPv6 is switched off. */
const NOBODY = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH'])
/**
 * The program has ended between the kernel's handshake and our look at it: the kernel resets what waits in the queue of a
 * listener that is closed. The program has heard nothing.
 */
const ENDED_MEANWHILE = 'ECONNRESET'
// The shadow has turned to the original by then (docs/understand/agent-protocol.md, `patience`).
const CONNECT_TIMEOUT_MS = 3_000

/** Whether `error` of a dial says that no program is there, as while one restarts. */
export function isNobody({ code = '' }: NodeJS.ErrnoException): boolean {
  return NOBODY.has(code) || code === ENDED_MEANWHILE
}

/** One reader of what a socket gets, in memory that is used again: `onread` of Node's sockets. */
type ReadInto = NonNullable<ConstructorParameters<typeof Socket>[0]>['onread']

/** A connection to a port there, paused and half-open, and the host that answered: `first` is tried first. Rejects with the error of that. */
export async function dialProgram(
  network: ProgramNetwork,
  port: number,
  { first = network.hosts[0], onread }: { first?: string; onread?: ReadInto } = {},
): Promise<{ socket: Socket; host: string }> {
  let why: unknown
  for (const host of [first, ...network.hosts.filter((one) => one !== first)]) {
    try {
      return { socket: await dial(network, host, port, onread), host }
    } catch (error) {
      why ??= error
    }
  }
  throw why
}

async function dial(network: ProgramNetwork, host: string, port: number, onread: ReadInto): Promise<Socket> {
  const fd = await network.socket?.('tcp', familyOf(host))
  return await new Promise((resolve, reject) => {
    const options = { allowHalfOpen: true, noDelay: true, ...(onread && { onread }), ...(fd !== undefined && { fd }) }
    const socket = new Socket(options)
    socket.pause()
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })),
      CONNECT_TIMEOUT_MS,
    )
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    socket.connect({ host, port }, () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      socket.on('error', () => {}) // whoever has it sees its close
      resolve(socket)
    })
  })
}
