// Ports of this machine's loopback, claimed as a shadow's would be: for tests of what stands on a tunnel.
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { BoundDatagrams } from '../../src/base/datagram-socket.ts'
import { listening } from '../../src/base/listen.ts'
import { TunnelError } from '../../src/tunnel/errors.ts'
import type {
  DatagramHandler,
  ListenHandler,
  StreamHandler,
  TunnelDatagrams,
  TunnelStream,
} from '../../src/tunnel/tunnel.ts'
import { type Endpoint, formatEndpoint, IpAddress } from '../../src/wire/address.ts'

const HOST = '127.0.0.1'

export interface LoopbackListener {
  readonly port: number
  close(): Promise<void>
  /** The tunnel is gone: flows end, and nothing is taken any more. */
  lose(): void
}

function failed(error: NodeJS.ErrnoException): TunnelError {
  return new TunnelError(error.code === 'EADDRINUSE' ? 'port-in-use' : 'no-port', error.message, 'take another port')
}

/** `take` makes a stream of an accepted socket. Port 0 takes any. */
export function listenTcp(
  port: number,
  handler: ListenHandler,
  take: (socket: Socket, handler: StreamHandler) => TunnelStream,
): Promise<LoopbackListener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
      let answered = false
      const forget = () => {}
      const drop = () => {
        if (!answered) socket.resetAndDestroy()
        answered = true
      }
      socket.on('error', forget)
      handler.onStream({
        port: bound(),
        origin: { address: IpAddress.parse(socket.remoteAddress ?? HOST), port: socket.remotePort ?? 0 },
        accept(owner) {
          if (answered) throw new Error('this connection was answered before')
          answered = true
          socket.off('error', forget)
          return take(socket, owner)
        },
        refuse: drop,
        decline: drop, // there is no original
      })
    })
    const bound = () => (server.address() as AddressInfo | null)?.port ?? port
    listening(server, { port, host: HOST, backlog: 1024 }).then(
      () => {
        const close = () => {
          if (server.listening) server.close()
        }
        resolve({ port: bound(), close: async () => close(), lose: close })
      },
      (error) => reject(failed(error)),
    )
  })
}

export async function listenUdp(port: number, handler: ListenHandler): Promise<LoopbackListener> {
  const flows = new Map<string, LoopbackFlow>()
  let closing = false
  const close = () => {
    // Flows that were taken go on, and they need the socket.
    closing = true
    if (flows.size === 0) socket.close()
  }
  const socket: BoundDatagrams = await BoundDatagrams.bind(HOST, port, (payload, from) => {
    const origin: Endpoint = { address: IpAddress.parse(from.address), port: from.port }
    const key = formatEndpoint(origin)
    const known = flows.get(key)
    if (known) return known.deliver(payload)
    if (closing) return
    const flow = new LoopbackFlow(
      (answer) => socket.send(answer, from.port, from.address),
      () => {
        flows.delete(key)
        if (closing) close()
      },
    )
    flows.set(key, flow)
    flow.deliver(payload)
    handler.onDatagrams({
      port: socket.port,
      origin,
      accept: (owner) => flow.take(owner),
      refuse: () => flow.close(),
    })
  }).catch((error) => {
    throw failed(error)
  })
  const lose = () => {
    for (const flow of flows.values()) flow.lose()
    close()
  }
  return { port: socket.port, close: async () => close(), lose }
}

class LoopbackFlow implements TunnelDatagrams {
  readonly #answer: (payload: Uint8Array) => void
  readonly #gone: () => void
  #owner: DatagramHandler | undefined
  #waiting: Uint8Array[] = []
  #open = true

  constructor(answer: (payload: Uint8Array) => void, gone: () => void) {
    this.#answer = answer
    this.#gone = gone
  }

  deliver(payload: Buffer): void {
    if (this.#owner) this.#owner.onDatagram(payload)
    else if (this.#waiting.length < 16) this.#waiting.push(Uint8Array.from(payload))
  }

  take(owner: DatagramHandler): TunnelDatagrams {
    queueMicrotask(() => {
      this.#owner = owner
      for (const payload of this.#waiting.splice(0)) if (this.#open) owner.onDatagram(payload)
    })
    return this
  }

  send(payload: Uint8Array): void {
    if (this.#open) this.#answer(Uint8Array.from(payload))
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#gone()
  }

  lose(): void {
    if (!this.#open) return
    this.close()
    this.#owner?.onFail('lost')
  }
}
