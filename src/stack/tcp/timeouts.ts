// The timers of a connection: retransmission with back-off (RFC 6298 5), probes of a closed window, keep-alive (RFC 9293
// 3.8.4), the end of TIME-WAIT, the end of a SYN that the peer no longer repeats, and giving up.
import { currentRto, halve } from './congestion.ts'
import { emitReset, emitSegment } from './emit.ts'
import { probeTail, probeWindow } from './send.ts'
import { ESTABLISHED, SYN_SENT, TIME_WAIT } from './states.ts'
import { abandon, arm, release, type Tcb } from './tcb.ts'

const NEVER = Number.POSITIVE_INFINITY

/** RFC 9293 3.8.3: R2, at least 100 s for data and 3 minutes for a SYN; here for both. */
const GIVE_UP = 180_000

export function onDeadline(tcb: Tcb, now: number): void {
  if (tcb.retransmitAt <= now) {
    if (tcb.stateCode === TIME_WAIT) {
      release(tcb)
      return
    }
    if (tcb.pending) {
      abandon(tcb, 'timeout')
      return
    }
    if (!retransmit(tcb, now)) return
  }
  if (tcb.nextProbe <= now && !keepAlive(tcb, now)) return
  arm(tcb)
}

/** False if the connection is gone. */
function retransmit(tcb: Tcb, now: number): boolean {
  if (tcb.probingTail) {
    tcb.probingTail = false
    tcb.tailProbed = true
    probeTail(tcb)
    tcb.retransmitAt = now + currentRto(tcb)
    return true
  }
  if (tcb.stalledAt === NEVER) tcb.stalledAt = now
  const since = tcb.persisting ? Math.max(tcb.lastHeard, tcb.stalledAt) : tcb.stalledAt
  if (now - since >= GIVE_UP) {
    giveUp(tcb)
    return false
  }
  if (tcb.persisting) {
    probeWindow(tcb, now)
    tcb.backoff++
    tcb.retransmitAt = now + currentRto(tcb)
    return true
  }
  tcb.backoff++
  tcb.timing = false
  tcb.retransmitAt = NEVER // set again by what is sent
  if (tcb.stateCode < ESTABLISHED) {
    tcb.synOwed = true
  } else {
    // RFC 5681 3.1 (4): ssthresh is set once for the same data; the window is set to one segment each time.
    if (tcb.backoff === 1) halve(tcb)
    tcb.cwnd = tcb.mss
    tcb.inRecovery = false
    tcb.dupAcks = 0
    tcb.recover = tcb.sndMax
    tcb.board?.clear() // RFC 2018 8: the peer may have dropped what it told of
    tcb.sndNxt = tcb.sndUna
  }
  tcb.host.wake(tcb)
  return true
}

/** False if the connection is gone. */
function keepAlive(tcb: Tcb, now: number): boolean {
  const { keepAliveIdle, keepAliveInterval, keepAliveProbes } = tcb.core.tuning
  if (tcb.probes === 0 && now - tcb.lastHeard < keepAliveIdle) {
    tcb.nextProbe = tcb.lastHeard + keepAliveIdle
    return true
  }
  if (tcb.probes >= keepAliveProbes) {
    giveUp(tcb)
    return false
  }
  tcb.probes++
  tcb.nextProbe = now + keepAliveInterval
  // This sequence number is no longer acceptable, so the peer has to answer with an ACK.
  emitSegment(tcb, (tcb.sndMax - 1) | 0, 0, 0)
  return true
}

function giveUp(tcb: Tcb): void {
  if (tcb.stateCode !== SYN_SENT) emitReset(tcb.core, tcb, tcb.sndNxt, tcb.rcvNxt, true)
  abandon(tcb, 'timeout')
}
