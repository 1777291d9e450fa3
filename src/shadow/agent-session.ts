// One client's session at the agent: its channels, and the frame channel's frames. docs/understand/agent-protocol.md, the agent's side.

import { networkInterfaces } from 'node:os'
import { type Clock, every } from '../base/clock.ts'
import type { RandomBytes } from '../base/random.ts'
import { readSmallFile } from '../base/small-file.ts'
import { type AgentHello, readClientHello } from '../tunnel/agent-protocol/bodies.ts'
import { FRAME_CHANNEL_WINDOW, FrameChannel } from '../tunnel/agent-protocol/frame-channel.ts'
import {
  AGENT_ID,
  decodeAddress,
  FRAME_CHANNEL,
  FrameType,
  PROTOCOL_VERSION,
  uint32,
} from '../tunnel/agent-protocol/frames.ts'
import { MOST_PATHS } from '../tunnel/line/agent.ts'
import { TELL_REST_MS } from '../tunnel/ssh/flight.ts'
import { OpenFailure, type OpenRequest } from '../tunnel/ssh/internals.ts'
import type { ChannelMux } from '../tunnel/ssh/mux.ts'
import type { SecureLine } from '../tunnel/ssh/ssh-server.ts'
import type { WindowBudget } from '../tunnel/ssh/window.ts'
import { Claimant } from './claimant.ts'
import type { Claims } from './claims.ts'
import type { EmptyAnswer } from './empty-answer.ts'
import type { Pinger } from './ping.ts'
import type { RelaySet } from './relay.ts'
import { GATHER_MS, UdpFlows } from './udp.ts'

const SWEEP_MS = 30_000

export interface SessionContext {
  version: string
  relays: RelaySet
  claims: Claims
  emptyAnswer: EmptyAnswer
  pinger: Pinger | undefined
  clock: Clock
  random: RandomBytes
  log: (line: string) => void
  resolvConfPath: string
  /** The client has said that it does not need this agent any more. */
  onRelease: (session: AgentSession) => void
}

export class AgentSession {
  readonly #mux: ChannelMux
  readonly #context: SessionContext
  readonly #budget: WindowBudget
  readonly #secure: SecureLine | undefined
  readonly #udp: UdpFlows
  readonly #claimant: Claimant
  readonly #stopSweeping: () => void
  #frames: FrameChannel | undefined
  #leaving = false

  constructor(mux: ChannelMux, budget: WindowBudget, context: SessionContext, secure?: SecureLine) {
    this.#secure = secure
    this.#context = context
    this.#budget = budget
    this.#mux = mux
    mux.onIncoming = (request) => this.#onOpen(request)
    this.#claimant = new Claimant(
      mux,
      (type, id, ...parts) => this.#frames?.send(type, id, ...parts),
      (type, id, ...parts) => this.#frames?.sendNow(type, id, ...parts),
    )
    this.#udp = new UdpFlows(
      {
        onDatagram: (id, payload, mayWait) => {
          if (mayWait) this.#frames?.sendWithin(GATHER_MS, FrameType.udpData, id, payload)
          else this.#frames?.sendNow(FrameType.udpData, id, payload)
        },
        onGone: (id, errno) => {
          if (errno) this.#frames?.send(FrameType.udpError, id, Buffer.from(errno))
          else this.#frames?.send(FrameType.udpClose, id)
        },
      },
      context.clock,
    )
    this.#stopSweeping = every(SWEEP_MS, context.clock, () => this.#udp.sweep(), 'alone')
  }

  /** Tells the client that the agent was told to end. */
  leave(): void {
    this.#leaving = true
    this.#frames?.send(FrameType.leaving, 0)
  }

  /** The connection is gone, and with it the channels. */
  lost(): void {
    this.#stopSweeping()
    this.#frames = undefined
    this.#context.relays.lose(this.#mux)
    this.#context.claims.lose(this.#claimant)
    this.#udp.closeAll()
  }

  #onOpen(request: OpenRequest): boolean {
    if (request.type === 'direct-tcpip') {
      this.#context.relays.open(this.#mux, request)
      return true
    }
    if (request.type !== FRAME_CHANNEL) return false
    if (this.#frames) {
      this.#mux.refuse(request, OpenFailure.shortage, 'there is one already')
      return true
    }
    const frames = new FrameChannel(this.#mux, {
      onFrame: (type, id, body) => this.#onFrame(type, id, body),
      onGone: (why) => {
        if (this.#frames === frames) this.#context.log(`frame channel: ${why}`)
        this.#frames = undefined
        this.#context.claims.lose(this.#claimant)
        this.#udp.closeAll()
      },
    })
    this.#frames = frames
    frames.attach(this.#mux.accept(request, frames, FRAME_CHANNEL_WINDOW))
    return true
  }

  #onFrame(type: number, id: number, body: Buffer): void {
    if (id >= AGENT_ID) {
      this.#claimant.onFlowFrame(type, id, body)
      return
    }
    switch (type) {
      case FrameType.arrived:
        if (body.length >= 4) this.#mux.arrived(body.readUInt32BE(0))
        break
      case FrameType.udpData:
        this.#udp.send(id, body, this.#mux.heard)
        break
      case FrameType.udpOpen: {
        const target = decodeAddress(body, 0)
        const port = target && target.end + 2 <= body.length ? body.readUInt16BE(target.end) : 0
        if (target && port > 0) this.#udp.open(id, target.address, port, body.subarray(target.end + 2), this.#mux.heard)
        else this.#frames?.send(FrameType.udpError, id, Buffer.from('EINVAL'))
        break
      }
      case FrameType.udpClose:
        this.#udp.close(id)
        break
      case FrameType.probe: {
        const microseconds = body.length >= 4 ? body.readUInt32BE(0) : 0
        this.#mux.flight.quiet() // it measures the line, not what stands in it
        if (microseconds > 0) this.#budget.roundTripMs = microseconds / 1000
        this.#frames?.send(FrameType.probed, id)
        break
      }
      case FrameType.ping: {
        const target = body.length > 6 ? decodeAddress(body, 6) : undefined
        const answer = (answered: boolean) => this.#frames?.send(FrameType.pinged, id, Uint8Array.of(answered ? 1 : 0))
        if (target && this.#context.pinger)
          this.#context.pinger.ping(target.address, body.readUInt16BE(4), body.readUInt32BE(0), answer)
        else answer(false)
        break
      }
      case FrameType.listen:
        this.#context.claims.claim(this.#claimant, id, body).catch((error: Error) => {
          this.#context.log(`internal error in a claim: ${error.stack}`)
          this.#frames?.send(FrameType.listenFailed, id, Buffer.from('EIO: the agent could not deal with this'))
        })
        break
      case FrameType.unlisten:
        this.#context.claims.release(this.#claimant, id)
        break
      case FrameType.release:
        this.#context.onRelease(this)
        break
      case FrameType.answerEmpty:
        this.#context.emptyAnswer.set(body)
        break
      case FrameType.hello:
        this.#greet(body)
        break
    }
  }

  #greet(body: Buffer): void {
    const read = readClientHello(body)
    if ('wrong' in read) {
      this.#context.log(`a client whose HELLO is refused: ${read.wrong}`)
      const refusal = { protocol: PROTOCOL_VERSION, agent: this.#context.version, error: `EINVAL: ${read.wrong}` }
      this.#frames?.send(FrameType.hello, 0, Buffer.from(JSON.stringify(refusal)))
      this.#frames?.end()
      return
    }
    const { protocol, client, arrivals, line } = read.body
    if (arrivals !== undefined) {
      this.#mux.flight.peerTellsAfter = arrivals
      this.#mux.arrivals.tell = (total) => this.#frames?.send(FrameType.arrived, 0, uint32(total))
    }
    // The lower of the two is spoken; so far there is one.
    this.#context.log(
      `client is ${JSON.stringify(client.slice(0, 64))}, protocol ${Math.min(protocol, PROTOCOL_VERSION)}`,
    )
    const hello: AgentHello = {
      protocol: PROTOCOL_VERSION,
      agent: this.#context.version,
      session: this.#context.random(16).toString('hex'),
      addresses: ownAddresses(),
      resolvConf: readText(this.#context.resolvConfPath),
      arrivals: TELL_REST_MS,
      line: line !== undefined && this.#secure?.(Buffer.from(line, 'base64')) === true,
      paths: MOST_PATHS,
      capabilities: { udp: true, ping: this.#context.pinger !== undefined, reset: true, answersEmpty: true },
    }
    this.#frames?.send(FrameType.hello, 0, Buffer.from(JSON.stringify(hello)))
    if (this.#leaving) this.leave()
  }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80'))
    .map(({ address }) => address)
}

/** undefined when it cannot be read; at most 32 KiB, so that it fits a frame. */
function readText(path: string): string | undefined {
  try {
    return readSmallFile(path, 32_768)?.toString()
  } catch {
    return undefined
  }
}
