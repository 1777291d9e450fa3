// SEGMENT ARRIVES (RFC 9293 3.10.7) for a connection that exists, with the checks of RFC 5961. Read it top to bottom: the
// checks come in the order of the RFC.
import { ACK, RST, SYN } from '../../wire/tcp.ts'
import { processAck } from './ack.ts'
import { measureRoundTrip } from './congestion.ts'
import { emitAck, emitReset, offeredMss } from './emit.ts'
import { enterTimeWait, mayReceive, receiveData, tellEnd } from './receive.ts'
import type { Segment } from './segment.ts'
import {
  CLOSED,
  CLOSING,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from './states.ts'
import { abandon, arm, release, type Tcb, wantedScale } from './tcb.ts'

/** RFC 5961 7: challenge ACKs are limited, here by flow, so that nobody learns of another flow by counting them. */
const CHALLENGE_INTERVAL = 500

export function segmentArrives(tcb: Tcb, segment: Segment, now: number): void {
  if (tcb.stateCode === SYN_SENT) {
    arrivesInSynSent(tcb, segment, now)
    return
  }
  const { flags } = segment
  if (tcb.pending) {
    // Nothing has been sent yet, so there is nothing to acknowledge. Only a RST, which gives up, means something.
    if ((flags & RST) !== 0 && segment.seq === tcb.rcvNxt) abandon(tcb, 'reset')
    return
  }
  // RFC 9293 3.5, figure 8: both sides opened, and this SYN-ACK repeats the SYN that is known.
  if (tcb.stateCode === SYN_RECEIVED && (flags & (SYN | ACK)) === (SYN | ACK) && segment.seq === tcb.irs) {
    segment.seq = (segment.seq + 1) | 0
    segment.flags &= ~SYN
    segment.length--
    segment.window >>= tcb.sndScale // RFC 7323 2.2: that of a SYN is not scaled
  }
  // First: sequence number
  const offset = (segment.seq - tcb.rcvNxt) | 0
  if (offset !== 0 && !isInWindow(tcb, segment, offset)) {
    if ((flags & RST) !== 0) return
    if (tcb.stateCode === SYN_RECEIVED && (flags & SYN) !== 0 && segment.seq === tcb.irs) tcb.synOwed = true
    else if (segment.length > 0 && (flags & SYN) === 0) tcb.ackOwed = true
    else challenge(tcb, now)
    if (tcb.stateCode === TIME_WAIT && segment.length > 0) enterTimeWait(tcb, now)
    tcb.host.wake(tcb)
    return
  }
  // Second: RST (RFC 5961 3.2)
  if ((flags & RST) !== 0) {
    // RFC 1337: a RST is ignored in TIME-WAIT.
    if (tcb.stateCode === TIME_WAIT) return
    if (offset !== 0) challenge(tcb, now)
    else if (tcb.stateCode >= CLOSING && tcb.queue.start === tcb.queue.end) {
      // RFC 9293 3.10.7.4: when only our FIN is unacknowledged, a RST is a normal end.
      release(tcb)
      tellEnd(tcb)
    } else abandon(tcb, 'reset')
    return
  }
  // Fourth: SYN (RFC 5961 4.2)
  if ((segment.flags & SYN) !== 0) {
    challenge(tcb, now)
    return
  }
  // Fifth: ACK
  if ((flags & ACK) === 0) return
  tcb.lastHeard = now
  tcb.probes = 0
  if (tcb.stateCode === SYN_RECEIVED && !handshakeEnds(tcb, segment, now)) return
  if (((segment.ack - tcb.sndMax) | 0) > 0 || ((segment.ack - tcb.sndUna + tcb.maxSndWnd) | 0) < 0) {
    challenge(tcb, now) // RFC 5961 5.2
    return
  }
  processAck(tcb, segment, now)
  if (!afterAck(tcb, now)) return
  // Seventh and eighth: data and FIN
  if (segment.length > 0 && mayReceive(tcb)) receiveData(tcb, segment, now)
}

/** RFC 9293 3.10.7.4. A bare ACK at the window's right edge is accepted as well: a sender that has filled the window sends it. */
function isInWindow(tcb: Tcb, segment: Segment, offset: number): boolean {
  if (offset < 0) return ((offset + segment.length) | 0) > 0
  const window = (tcb.rcvEdge - tcb.rcvNxt) | 0
  return offset < window || (segment.length === 0 && offset === window)
}

function challenge(tcb: Tcb, now: number): void {
  if (now - tcb.challengedAt < CHALLENGE_INTERVAL) return
  tcb.challengedAt = now
  emitAck(tcb)
}

/** The ACK that ends SYN-RECEIVED. False if it was not one. */
function handshakeEnds(tcb: Tcb, segment: Segment, now: number): boolean {
  if (tcb.sndMax === tcb.iss || segment.ack !== ((tcb.iss + 1) | 0)) {
    emitReset(tcb.core, tcb, segment.ack, 0, false)
    return false
  }
  established(tcb, segment, now)
  tcb.sndWnd = segment.window << tcb.sndScale
  tcb.maxSndWnd = tcb.sndWnd
  tcb.sndWl1 = segment.seq
  tcb.sndWl2 = segment.ack
  return tcb.stateCode !== CLOSED
}

function established(tcb: Tcb, segment: Segment, now: number): void {
  tcb.stateCode = ESTABLISHED
  tcb.sndUna = segment.ack
  tcb.synOwed = false
  if (tcb.timing) {
    tcb.timing = false
    measureRoundTrip(tcb, now - tcb.timedAt)
  }
  tcb.backoff = 0
  tcb.stalledAt = Number.POSITIVE_INFINITY
  tcb.retransmitAt = Number.POSITIVE_INFINITY
  tcb.nextProbe = now + tcb.core.tuning.keepAliveIdle
  arm(tcb)
  tcb.host.wake(tcb)
  if (tcb.onOpen !== null) {
    const { onOpen } = tcb
    tcb.onOpen = null
    onOpen()
  }
}

/** Handles the ACK of our FIN. Returns false if the rest of the segment must not be read. */
function afterAck(tcb: Tcb, now: number): boolean {
  const state = tcb.stateCode
  if (state === CLOSED) return false
  if (state < FIN_WAIT_1) return true
  const finAcked = tcb.finSent && tcb.sndUna === ((tcb.queue.end + 1) | 0)
  if (finAcked) {
    if (state === FIN_WAIT_1) tcb.stateCode = FIN_WAIT_2
    else if (state === CLOSING) {
      enterTimeWait(tcb, now)
      tellEnd(tcb)
    } else if (state === LAST_ACK) {
      release(tcb)
      tellEnd(tcb)
      return false
    }
  }
  return tcb.stateCode === FIN_WAIT_1 || tcb.stateCode === FIN_WAIT_2
}

/** Takes what the options of a SYN say. */
export function adoptSyn(tcb: Tcb, segment: Segment): void {
  const { options } = segment
  const { core } = tcb
  tcb.irs = segment.seq
  tcb.rcvNxt = (segment.seq + 1) | 0
  tcb.rcvEdge = (tcb.rcvNxt + Math.min(65535, tcb.rcvCapacity)) | 0
  // RFC 9293 3.7.1: without the option the MSS is 536 (IPv4) or 1220 (IPv6). Less than 64 would only burn both CPUs.
  const told = options.mss === 0 ? (tcb.version === 4 ? 536 : 1220) : Math.max(options.mss, 64)
  tcb.mss = Math.min(told, offeredMss(tcb, core.mtu))
  tcb.sackPermitted = options.sackPermitted
  tcb.scaling = options.windowScale >= 0
  tcb.sndScale = tcb.scaling ? options.windowScale : 0
  tcb.rcvScale = tcb.scaling ? wantedScale(core.limits.receiveBytesPerFlow) : 0
  tcb.sndWnd = segment.window
  tcb.maxSndWnd = segment.window
  tcb.sndWl1 = segment.seq
  tcb.sndWl2 = segment.ack
}

/** RFC 9293 3.10.7.3 */
function arrivesInSynSent(tcb: Tcb, segment: Segment, now: number): void {
  const { flags } = segment
  const acceptable = (flags & ACK) !== 0 && tcb.sndMax !== tcb.iss && segment.ack === ((tcb.iss + 1) | 0)
  if ((flags & ACK) !== 0 && !acceptable) {
    if ((flags & RST) === 0) emitReset(tcb.core, tcb, segment.ack, 0, false)
    return
  }
  if ((flags & RST) !== 0) {
    if (acceptable) abandon(tcb, 'reset')
    return
  }
  if ((flags & SYN) === 0) return
  adoptSyn(tcb, segment)
  tcb.lastHeard = now
  if (acceptable) {
    tcb.ackOwed = true
    established(tcb, segment, now)
  } else {
    // RFC 9293 3.5, figure 8: both sides open at once.
    tcb.stateCode = SYN_RECEIVED
    tcb.synOwed = true
    tcb.host.wake(tcb)
  }
}
