// What the parts of one stack share: the arena, the timers, limits, counters, randomness and the time of the last call.

import type { IpAddress } from '../wire/address.ts'
import { get32 } from '../wire/bytes.ts'
import type { IpView } from '../wire/ip.ts'
import type { StackCounters, StackLimits, StackOptions, TcpTuning } from './api.ts'
import { Arena } from './arena.ts'
import type { FlowKey } from './key.ts'
import { Timers } from './timers.ts'

const DEFAULT_LIMITS: StackLimits = {
  tcpFlows: 20_000,
  udpFlows: 4_096,
  receiveBytesPerFlow: 1 << 20,
  receiveBytes: 64 << 20,
  reassemblyBytes: 1 << 20,
}

const DEFAULT_TUNING: TcpTuning = {
  keepAliveIdle: 7_200_000, // RFC 9293 3.8.4: not less than two hours
  keepAliveInterval: 75_000,
  keepAliveProbes: 9,
  timeWait: 1_000,
  pendingTimeout: 130_000, // Linux sends a SYN again for 127 s
}

// RFC 1812 4.3.2.8 and RFC 4443 2.4 (f): errors are limited in rate. As many as a program that scans may want to see.
const ERRORS_PER_SECOND = 1000

export class Core {
  readonly mtu: number
  readonly gso: boolean
  readonly random: () => number
  readonly arena: Arena
  readonly timers = new Timers()
  readonly limits: StackLimits
  readonly tuning: TcpTuning
  readonly own: readonly IpAddress[]
  private readonly sources: readonly IpAddress[] | undefined
  readonly counters: StackCounters = {
    packetsIn: 0,
    packetsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    dropped: 0,
    foreign: 0,
    retransmitted: 0,
    tcpFlows: 0,
    udpFlows: 0,
  }
  /** Of the last `input`, `flush` or `tick`: whole milliseconds since the first of them, on the stack's own clock. */
  now = 0
  private origin = Number.NaN
  private flowsMade = 0
  /** Bytes that TCP flows hold because nobody took them, or because something before them is missing. */
  receiveHeld = 0
  private errorTokens = ERRORS_PER_SECOND
  private errorsAt = Number.NEGATIVE_INFINITY

  constructor(options: StackOptions) {
    if (options.mtu < 576 || options.mtu > 65535)
      throw new RangeError(`an MTU is 576 to 65535 bytes, not ${options.mtu}`)
    this.mtu = options.mtu
    this.gso = options.gso
    this.random = options.random
    this.arena = new Arena(options.output)
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.tuning = { ...DEFAULT_TUNING, ...options.tuning }
    this.own = options.ownAddresses ?? []
    this.sources = options.sources
  }

  /**
   * Sets the clock. Whole milliseconds from a near origin stay small integers for 24 days (and right ever after), where a
   * fraction would be a new object each time it is passed on, once a packet.
   */
  setTime(now: number): void {
    const whole = Math.floor(now)
    if (Number.isNaN(this.origin)) this.origin = whole
    this.now = whole - this.origin
  }

  /** When the next timer is due, on the caller's clock. */
  nextDeadline(): number {
    const next = this.timers.next()
    return Number.isNaN(this.origin) ? (next === Number.POSITIVE_INFINITY ? next : 0) : next + this.origin
  }

  /** A time of this stack's clock on the caller's. */
  callersTime(time: number): number {
    return time + this.origin
  }

  nextFlowId(): number {
    return ++this.flowsMade
  }

  /** Whether the key's local address is one of the stack's own. */
  isOwn(key: FlowKey): boolean {
    for (const { family, bytes } of this.own) {
      if (family !== key.version || get32(bytes, 0) !== key.local0) continue
      if (family === 4) return true
      if (get32(bytes, 4) === key.local1 && get32(bytes, 8) === key.local2 && get32(bytes, 12) === key.local3)
        return true
    }
    return false
  }

  /** Whether a packet comes from one whose packets are taken. */
  isExpected({ version, buffer, source }: IpView): boolean {
    if (this.sources === undefined) return true
    for (const { family, bytes } of this.sources) {
      if (family !== version) continue
      let i = 0
      while (i < bytes.length && bytes[i] === buffer[source + i]) i++
      if (i === bytes.length) return true
    }
    return false
  }

  /** Takes a token for an ICMP error; false if too many were sent. */
  mayError(): boolean {
    const earned = ((this.now - this.errorsAt) * ERRORS_PER_SECOND) / 1000
    if (earned >= 1) {
      this.errorTokens = Math.min(ERRORS_PER_SECOND, this.errorTokens + earned)
      this.errorsAt = this.now
    }
    if (this.errorTokens < 1) return false
    this.errorTokens--
    return true
  }
}

/** Noise of the link that is nobody's flow: multicast, broadcast, link-local and unspecified addresses. */
export function isNoise(view: IpView): boolean {
  const { buffer, source, destination } = view
  if (view.version === 4) {
    // RFC 1112 4, RFC 919 7, RFC 1122 3.2.1.3
    return buffer[destination] >= 224 || buffer[source] >= 224 || buffer[source] === 0 || buffer[source] === 127
  }
  // RFC 4291 2.5.2, 2.5.6, 2.7
  if (buffer[destination] === 0xff || buffer[source] === 0xff) return true
  if (isLinkLocal(buffer, source) || isLinkLocal(buffer, destination)) return true
  for (let i = 0; i < 15; i++) if (buffer[source + i] !== 0) return false
  return buffer[source + 15] <= 1
}

function isLinkLocal(buffer: Uint8Array, at: number): boolean {
  return buffer[at] === 0xfe && (buffer[at + 1] & 0xc0) === 0x80
}
