// A UDP port of the agent: each caller's datagrams go to the claimant if it takes them, else to the original through a socket of
// their own, so that answers find the way back.
import type { Clock } from '../base/clock.ts'
import type { BoundDatagrams } from '../base/datagram-socket.ts'
import { encodeAddress, FrameType } from '../tunnel/agent-protocol/frames.ts'
import { type Endpoint, formatEndpoint } from '../wire/address.ts'
import { ANSWER_MS, type Claimant } from './claimant.ts'
import type { Claims } from './claims.ts'
import { type AgentPort, listenUdp, plainEndpoint } from './ports.ts'
import { MAX_UDP_FLOWS, UDP_IDLE_MS, UdpFlows } from './udp.ts'

/** Datagrams kept while the claimant is asked. */
const MAX_WAITING = 16

interface Flow {
  /** For this port only; the original's side is known by it. */
  readonly id: number
  readonly origin: Endpoint
  lastUsed: number
  /** Until the claimant has answered. */
  waiting: Buffer[] | undefined
  stopAsking: () => void
  /** Who has it; undefined: the original. */
  claim: { claimant: Claimant; id: number } | undefined
}

export class UdpPort {
  readonly #port: AgentPort
  readonly #claims: Claims
  readonly #clock: Clock
  /** By origin, the longest unused first. */
  readonly #flows = new Map<string, Flow>()
  readonly #byId = new Map<number, Flow>()
  readonly #onward: UdpFlows
  #socket: BoundDatagrams | undefined
  #nextId = 1

  private constructor(port: AgentPort, claims: Claims, clock: Clock) {
    this.#port = port
    this.#claims = claims
    this.#clock = clock
    this.#onward = new UdpFlows(
      {
        onDatagram: (id, payload) => this.#answer(this.#byId.get(id), payload),
        onGone: (id) => this.#forget(this.#byId.get(id)),
      },
      clock,
    )
  }

  /** Rejects with what the kernel said. */
  static async open(port: AgentPort, claims: Claims, clock: Clock): Promise<UdpPort> {
    const opened = new UdpPort(port, claims, clock)
    opened.#socket = await listenUdp(port.port, (payload, from) =>
      opened.#onDatagram(plainEndpoint(from.address, from.port), payload),
    )
    return opened
  }

  close(): void {
    for (const flow of [...this.#flows.values()]) this.#forget(flow)
    this.#socket?.close()
  }

  /** Ends flows that were idle too long. To be called now and then. */
  sweep(): void {
    const limit = this.#clock.now() - UDP_IDLE_MS
    for (const flow of [...this.#flows.values()]) if (flow.lastUsed < limit) this.#forget(flow)
  }

  #onDatagram(origin: Endpoint, payload: Buffer): void {
    const key = formatEndpoint(origin)
    const flow = this.#flows.get(key)
    if (!flow) {
      this.#begin(key, origin, payload)
      return
    }
    flow.lastUsed = this.#clock.now()
    this.#flows.delete(key)
    this.#flows.set(key, flow)
    if (flow.waiting) {
      if (flow.waiting.length < MAX_WAITING) flow.waiting.push(payload)
    } else if (!flow.claim) this.#onward.send(flow.id, payload)
    else if (flow.claim.claimant.silent) this.#leave(flow, [payload])
    else flow.claim.claimant.sendDatagram(flow.claim.id, payload)
  }

  #begin(key: string, origin: Endpoint, payload: Buffer): void {
    const claimant = this.#claims.holder(this.#port)?.claimant
    if (!claimant && !this.#port.original) return
    if (this.#flows.size >= MAX_UDP_FLOWS) this.#forget(this.#flows.values().next().value)
    const flow: Flow = {
      id: this.#nextId++,
      origin,
      lastUsed: this.#clock.now(),
      waiting: undefined,
      stopAsking: () => {},
      claim: undefined,
    }
    this.#flows.set(key, flow)
    this.#byId.set(flow.id, flow)
    if (claimant) this.#ask(flow, claimant, payload)
    else this.#leave(flow, [payload])
  }

  #ask(flow: Flow, claimant: Claimant, first: Buffer): void {
    flow.waiting = [first]
    const id = claimant.addFlow({
      onTaken: () => {
        flow.stopAsking()
        const [, ...later] = flow.waiting ?? []
        flow.waiting = undefined
        for (const payload of later) claimant.sendDatagram(id, payload)
      },
      onData: (payload) => {
        flow.lastUsed = this.#clock.now()
        this.#answer(flow, payload)
      },
      onClosed: () => {
        flow.claim = undefined
        this.#forget(flow)
      },
    })
    flow.claim = { claimant, id }
    flow.stopAsking = this.#clock.after(ANSWER_MS, () => this.#leave(flow, flow.waiting ?? []))
    const port = Buffer.alloc(2)
    port.writeUInt16BE(this.#port.port)
    const from = Buffer.alloc(2)
    from.writeUInt16BE(flow.origin.port)
    claimant.send(FrameType.udpIncoming, id, port, encodeAddress(flow.origin.address), from, first)
    claimant.poke()
  }

  /** From the claimant, if it had one, to the original. */
  #leave(flow: Flow, payloads: Buffer[]): void {
    const { original } = this.#port
    this.#release(flow)
    const [first, ...later] = payloads
    if (!original || !first) {
      this.#forget(flow)
      return
    }
    this.#onward.open(flow.id, original.address, original.port, first)
    for (const payload of later) this.#onward.send(flow.id, payload)
  }

  #answer(flow: Flow | undefined, payload: Buffer): void {
    // A copy: the view is valid during the call, and the socket sends in a later turn.
    if (flow) this.#socket?.send(Buffer.from(payload), flow.origin.port, this.#sendable(flow.origin))
  }

  /** A socket on `::` sends to IPv4 by mapped addresses. */
  #sendable({ address }: Endpoint): string {
    return address.family === 4 && this.#socket?.family === 6 ? `::ffff:${address}` : address.toString()
  }

  #release(flow: Flow): void {
    flow.stopAsking()
    flow.waiting = undefined
    if (!flow.claim) return
    const { claimant, id } = flow.claim
    flow.claim = undefined
    if (claimant.flows.delete(id)) claimant.send(FrameType.udpClose, id)
  }

  #forget(flow: Flow | undefined): void {
    if (!flow || !this.#byId.delete(flow.id)) return
    this.#flows.delete(formatEndpoint(flow.origin))
    this.#release(flow)
    this.#onward.close(flow.id)
  }
}
