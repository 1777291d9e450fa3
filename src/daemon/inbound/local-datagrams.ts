// One flow of datagrams to a program of this machine, which listens on one of the loopback's two addresses: what the first
// refuses goes to the other.
import { ConnectedDatagrams } from '../../base/datagram-socket.ts'

/** A refusal comes with the next turn of the event loop, so what is older was not refused. */
const RECENT_MS = 100
const MOST_RECENT = 64

export interface LocalDatagramsHandler {
  onMessage(payload: Buffer): void
  /** Nobody is at `host`; the other address is tried, if it was not. */
  onNobody(host: string): void
  /** Nobody is there; the flow is over. */
  onRefused(error: NodeJS.ErrnoException): void
}

export class LocalDatagrams {
  readonly #port: number
  readonly #handler: LocalDatagramsHandler
  readonly #now: () => number
  #host: string
  /** To be tried, until somebody answers. */
  #other: string | undefined
  #socket: ConnectedDatagrams
  /** What was sent just now, and may be refused yet. */
  #recent: { payload: Uint8Array; at: number }[] = []

  constructor([host, other]: [string, string], port: number, handler: LocalDatagramsHandler, now: () => number) {
    this.#host = host
    this.#other = other
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
    const { onMessage, onNobody, onRefused } = this.#handler
    return new ConnectedDatagrams(this.#host, this.#port, {
      onMessage: (payload) => {
        this.#recent = []
        onMessage(payload)
      },
      onError: (error) => {
        onNobody(this.#host)
        if (!this.#other) return onRefused(error)
        this.#host = this.#other
        this.#other = undefined
        this.#socket = this.#open()
        const since = this.#now() - RECENT_MS
        for (const { payload, at } of this.#recent) if (at >= since) this.#socket.send(payload)
      },
    })
  }
}
