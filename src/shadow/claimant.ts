// A session that may claim ports, as those who bring it connections see it: asked by opening a channel, and judged by whether it says
// anything at all. A laptop that sleeps or is cut off is passed over until it speaks again, so that not every caller waits a second.
import { delay } from '../base/clock.ts'
import { AGENT_ID, FrameType } from '../tunnel/agent-protocol/frames.ts'
import type { Channel, ChannelHandler } from '../tunnel/ssh/channel.ts'
import { OpenFailure } from '../tunnel/ssh/internals.ts'
import type { ChannelMux } from '../tunnel/ssh/mux.ts'
import type { Endpoint } from '../wire/address.ts'

/** docs/understand/agent-protocol.md: no answer within this, and the original serves. */
export const ANSWER_MS = 1000

/** Who waits so long with patience wants a sign; one that was asked for this much earlier may have come before the question. */
const NUDGE_AFTER_MS = 300
const NUDGE_EVERY_MS = 200

/** What became of a question. One of these is called, once. */
export interface Answers {
  /** The claimant has taken the connection; returns who owns the channel from now on. */
  taken(channel: Channel): ChannelHandler
  /** Nobody serves it there: `ERRNO: words`. */
  refused(words: string): void
  /** The claimant is silent, gone, or has given up the port: the original serves. */
  absent(): void
}

/** A flow of datagrams at the agent's end. */
export interface ClaimedFlow {
  onTaken(): void
  onData(payload: Buffer): void
  onClosed(): void
}

export type SendFrame = (type: number, id: number, ...parts: Uint8Array[]) => void

export class Claimant {
  readonly flows = new Map<number, ClaimedFlow>()
  readonly #mux: ChannelMux
  readonly #send: SendFrame
  readonly #sendNow: SendFrame
  #silentSince = -1
  #poking = false
  #nudged = false
  #nextFlow = AGENT_ID
  #nextProbe = AGENT_ID

  /** `sendNow` drops what finds no room. */
  constructor(mux: ChannelMux, send: SendFrame, sendNow: SendFrame) {
    this.#mux = mux
    this.#send = send
    this.#sendNow = sendNow
  }

  /** Nothing has come from it since it left a question unanswered. */
  get silent(): boolean {
    return this.#silentSince === this.#mux.heard
  }

  send(type: number, id: number, ...parts: Uint8Array[]): void {
    this.#send(type, id, ...parts)
  }

  /**
   * Brings it a connection to `port` from `origin`, and waits `patience` ms for its answer; no longer than ANSWER_MS while nothing at
   * all comes from it.
   */
  ask(port: Endpoint, origin: Endpoint, patience: number, answers: Answers): void {
    const { heard, clock } = this.#mux
    const settled = () => {
      cancelWait()
      cancelNudge?.()
    }
    const over = (tell: () => void) => {
      settled()
      channel.handler = ignore
      tell()
    }
    const channel = this.#mux.openChannel(
      'forwarded-tcpip',
      {
        ...ignore,
        onOpen: () => {
          settled()
          channel.handler = answers.taken(channel)
        },
        onRefused: (reason, words) =>
          over(() => (reason === OpenFailure.connectFailed ? answers.refused(words) : answers.absent())),
        onClose: () => over(() => answers.absent()),
      },
      {
        destIP: port.address.toString(),
        destPort: port.port,
        srcIP: origin.address.toString(),
        srcPort: origin.port,
      },
    )
    const giveUp = () => {
      channel.reset()
      answers.absent()
    }
    let cancelWait = clock.after(ANSWER_MS, () => {
      this.#unanswered(heard)
      if (this.silent || patience <= ANSWER_MS) giveUp()
      else cancelWait = clock.after(patience - ANSWER_MS, giveUp)
    })
    // A client that waits for its program has nothing else to say, so it is asked.
    const cancelNudge = patience > ANSWER_MS ? clock.after(NUDGE_AFTER_MS, () => this.#nudge()) : undefined
  }

  /** Asks whether anybody is there. Resolves within a second. */
  async probe(): Promise<boolean> {
    const heard = this.#mux.heard
    this.#sendProbe()
    await delay(ANSWER_MS, undefined, this.#mux.clock)
    this.#unanswered(heard)
    return !this.silent
  }

  /** To be called when something was sent that needs no answer: notices silence all the same. */
  poke(): void {
    if (this.#poking) return
    this.#poking = true
    void this.probe().then(() => {
      this.#poking = false
    })
  }

  /** Asks for a sign, for all who wait; whoever waits for one began to before this one was asked for. */
  #nudge(): void {
    if (this.#nudged) return
    this.#nudged = true
    this.#mux.clock.after(NUDGE_EVERY_MS, () => {
      this.#nudged = false
    })
    this.#sendProbe()
  }

  #sendProbe(): void {
    this.#send(FrameType.probe, this.#nextProbe)
    this.#nextProbe = next(this.#nextProbe)
  }

  /** Returns the flow's id. */
  addFlow(flow: ClaimedFlow): number {
    while (this.flows.has(this.#nextFlow)) this.#nextFlow = next(this.#nextFlow)
    const id = this.#nextFlow
    this.#nextFlow = next(id)
    this.flows.set(id, flow)
    return id
  }

  sendDatagram(id: number, payload: Uint8Array): void {
    this.#sendNow(FrameType.udpData, id, payload)
    this.poke()
  }

  /** A frame about one of its flows. */
  onFlowFrame(type: number, id: number, body: Buffer): void {
    const flow = this.flows.get(id)
    if (type === FrameType.udpTaken) flow?.onTaken()
    else if (type === FrameType.udpData) flow?.onData(body)
    else if (type === FrameType.udpClose) {
      this.flows.delete(id)
      flow?.onClosed()
    }
  }

  /** The session is gone. */
  lose(): void {
    const flows = [...this.flows.values()]
    this.flows.clear()
    for (const flow of flows) flow.onClosed()
  }

  #unanswered(heardThen: number): void {
    if (this.#mux.heard === heardThen) this.#silentSince = heardThen
  }
}

const ignore: ChannelHandler = {
  onOpen() {},
  onRefused() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

function next(id: number): number {
  return id === 0xffffffff ? AGENT_ID : id + 1
}
