// One flow of datagrams to a program here, which listens on one of a few addresses: what the first refuses goes to the next.
import { ConnectedDatagrams } from '../../base/datagram-socket.ts'
import { familyOf, type ProgramNetwork } from './program-network.ts'

/** A refusal comes with the next turn of the event loop, so what is older was not refused. */
const RECENT_MS = 100
const MOST_RECENT = 64

export interface LocalDatagramsHandler {
  onMessage(payload: Buffer): void
  /** Nobody is at the one before; this address is tried now. */
  onHost(host: string): void
  /** Nobody is at any of them; the flow is over. */
  onRefused(error: NodeJS.ErrnoException): void
}

export class LocalDatagrams {
  readonly #network: ProgramNetwork
  readonly #port: number
  readonly #handler: LocalDatagramsHandler
  readonly #now: () => number
  /** To be tried, the one that is tried now before the others. */
  #hosts: string[]
  #socket: ConnectedDatagrams
  /** What was sent just now, and may be refused yet. */
  #recent: { payload: Uint8Array; at: number }[] = []

  /** `first` of the network's hosts is tried first. */
  constructor(network: ProgramNetwork, first: string, port: number, handler: LocalDatagramsHandler, now: () => number) {
    this.#network = network
    this.#hosts = [first, ...network.hosts.filter((host) => host !== first)]
    this.#port = port
    this.#handler = handler
    this.#now = now
    this.#socket = this.#open()
  }

  /** `payload` must not change afterwards. */
  send(payload: Uint8Array): void {
    if (this.#recent.length >= MOST_RECENT) this.#recent.shift()
    this.#recent.push({ payload, at: this.#now() })
    this.#socket.send(payload)
  }

  close(): void {
    this.#recent = []
    this.#socket.close()
  }

  #open(): ConnectedDatagrams {
    const { onMessage, onHost, onRefused } = this.#handler
    const [host] = this.#hosts
    const events = {
      onMessage: (payload: Buffer) => {
        this.#recent = []
        onMessage(payload)
      },
      onError: (error: NodeJS.ErrnoException) => {
        this.#hosts.shift()
        if (this.#hosts.length === 0) return onRefused(error)
        onHost(this.#hosts[0])
        this.#socket = this.#open()
        const since = this.#now() - RECENT_MS
        for (const { payload, at } of this.#recent) if (at >= since) this.#socket.send(payload)
      },
    }
    return new ConnectedDatagrams(host, this.#port, events, this.#network.socket?.('udp', familyOf(host)))
  }
}
