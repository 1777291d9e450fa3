// The UDP flows of one session: connected sockets, so that the kernel reports ICMP errors and drops what strangers send.
import type { Clock } from '../base/clock.ts'
import { ConnectedDatagrams } from '../base/datagram-socket.ts'
import type { IpAddress } from '../wire/address.ts'

/** docs/understand/agent-protocol.md */
export const MAX_UDP_FLOWS = 1024
export const UDP_IDLE_MS = 180_000
/** A client that sends this many datagrams in one message batches them, so the answers to it are batched too. */
const MANY = 8
/** The longest that an answer waits to be batched with others. */
export const GATHER_MS = 8

export interface UdpEvents {
  /** `mayWait`: more answers of this flow are expected, so this one should be batched with them. */
  onDatagram(id: number, payload: Buffer, mayWait: boolean): void
  /** `errno` is undefined when the flow was idle or made room for a newer one. */
  onGone(id: number, errno: string | undefined): void
}

interface Flow {
  readonly socket: ConnectedDatagrams
  lastUsed: number
  /** How many datagrams the client's last message had, and which message that was. */
  together: number
  message: number
  /** Answers that wait to leave, and since when. */
  answers: number
  since: number
}

export class UdpFlows {
  readonly #flows = new Map<number, Flow>()
  readonly #events: UdpEvents
  readonly #clock: Clock

  constructor(events: UdpEvents, clock: Clock) {
    this.#events = events
    this.#clock = clock
  }

  get size(): number {
    return this.#flows.size
  }

  /** `message` tells which datagrams came together. */
  open(id: number, address: IpAddress, port: number, first: Buffer, message = 0): void {
    if (this.#flows.has(id) || port === 0) return
    if (this.#flows.size >= MAX_UDP_FLOWS) this.#evictOldest()
    const flow: Flow = {
      socket: new ConnectedDatagrams(address.toString(), port, {
        onMessage: (payload) => this.#received(id, flow, payload),
        onError: (error) => {
          if (this.#flows.get(id) === flow) this.#gone(id, error.code ?? 'EIO')
        },
      }),
      lastUsed: this.#clock.now(),
      together: 1,
      message,
      answers: 0,
      since: 0,
    }
    this.#flows.set(id, flow)
    flow.socket.send(Buffer.from(first))
  }

  /** As `open`, to a flow that is open. */
  send(id: number, payload: Buffer, message?: number): void {
    const flow = this.#flows.get(id)
    if (!flow) return
    flow.lastUsed = this.#clock.now()
    if (message !== undefined) {
      flow.together = message === flow.message ? flow.together + 1 : 1
      flow.message = message
    }
    // A copy: the view is valid during the call, and the socket sends in a later turn. Of datagrams that came together the first
    // one tells whether the way is there.
    flow.socket.send(Buffer.from(payload), flow.together > 1)
  }

  close(id: number): void {
    const flow = this.#flows.get(id)
    if (!flow) return
    this.#flows.delete(id)
    flow.socket.close()
  }

  closeAll(): void {
    for (const id of [...this.#flows.keys()]) this.close(id)
  }

  /** Ends flows that were idle too long. To be called now and then. */
  sweep(): void {
    const limit = this.#clock.now() - UDP_IDLE_MS
    for (const [id, flow] of this.#flows) if (flow.lastUsed < limit) this.#gone(id, undefined)
  }

  #received(id: number, flow: Flow, payload: Buffer): void {
    const now = this.#clock.now()
    flow.lastUsed = now
    // As many at a time as came at a time: who sends singly waits for nobody.
    if (flow.answers === 0 || now - flow.since > GATHER_MS) {
      flow.answers = 0
      flow.since = now
    }
    const mayWait = flow.together >= MANY && ++flow.answers < flow.together
    if (!mayWait) flow.answers = 0
    this.#events.onDatagram(id, payload, mayWait)
  }

  #evictOldest(): void {
    let oldest: number | undefined
    let time = Number.POSITIVE_INFINITY
    for (const [id, flow] of this.#flows) {
      if (flow.lastUsed < time) {
        time = flow.lastUsed
        oldest = id
      }
    }
    if (oldest !== undefined) this.#gone(oldest, undefined)
  }

  #gone(id: number, errno: string | undefined): void {
    this.close(id)
    this.#events.onGone(id, errno)
  }
}
