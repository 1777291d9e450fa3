// What an ACK does (RFC 9293 3.10.7.4, fifth check): frees what has arrived, moves the windows, notices losses, and tells
// the owner. The common case, an ACK in sequence, allocates nothing.

import { flightSize, growWindow, measureRoundTrip } from './congestion.ts'
import { Scoreboard } from './scoreboard.ts'
import type { Segment } from './segment.ts'
import { enterRecovery, hasUnsent, resendFirst, startTimer } from './send.ts'
import { arm, type Tcb } from './tcb.ts'

const NEVER = Number.POSITIVE_INFINITY

/** Processes the ACK of a segment whose ACK number has been found acceptable. */
export function processAck(tcb: Tcb, segment: Segment, now: number): void {
  const acked = (segment.ack - tcb.sndUna) | 0
  const window = segment.window << tcb.sndScale
  let bytes = 0
  let news = false
  if (segment.options.sackCount > 0 && tcb.sackPermitted) news = noteSack(tcb, segment)
  if (acked > 0) bytes = advance(tcb, segment.ack, acked, now)
  else if (acked === 0 && flightSize(tcb) > 0) {
    // RFC 5681 2, and with SACK RFC 6675 2: only one that brings news.
    const duplicate = tcb.sackPermitted ? news : segment.length === 0 && window === tcb.sndWnd && !tcb.persisting
    if (duplicate) duplicateAck(tcb, now)
  }
  const newer = (segment.seq - tcb.sndWl1) | 0
  if (acked >= 0 && (newer > 0 || (newer === 0 && ((segment.ack - tcb.sndWl2) | 0) >= 0))) {
    if (window > tcb.sndWnd) {
      if (tcb.persisting) {
        tcb.persisting = false
        tcb.backoff = 0
        tcb.retransmitAt = NEVER
        arm(tcb)
      }
      if (window > tcb.maxSndWnd) tcb.maxSndWnd = window
    }
    tcb.sndWnd = window
    tcb.sndWl1 = segment.seq
    tcb.sndWl2 = segment.ack
  }
  if (hasUnsent(tcb) || tcb.inRecovery) tcb.host.wake(tcb)
  if (bytes > 0) tcb.handler.onAcked(bytes)
}

/** Returns how many bytes of the owner's this ACK covers for the first time. */
function advance(tcb: Tcb, ack: number, acked: number, now: number): number {
  const { board } = tcb
  const kept = (tcb.queue.end - tcb.queue.start) | 0
  const bytes = acked > kept ? kept : acked
  if (bytes > 0) tcb.queue.release(bytes)
  tcb.sndUna = ack
  if (((tcb.sndNxt - ack) | 0) < 0) tcb.sndNxt = ack
  if (board !== null) board.advance(ack)
  if (tcb.timing && ((ack - tcb.timedSequence) | 0) >= 0) {
    tcb.timing = false
    measureRoundTrip(tcb, now - tcb.timedAt)
  }
  tcb.stalledAt = NEVER
  tcb.backoff = 0
  if (tcb.inRecovery) {
    if (((ack - tcb.recover) | 0) >= 0) {
      tcb.inRecovery = false
      tcb.dupAcks = 0
      tcb.cwnd = tcb.ssthresh
    } else if (tcb.sackPermitted) {
      tcb.resentMark = tcb.sndMax
    } else {
      // RFC 6582 3.2, step 3: a partial ACK.
      tcb.cwnd = Math.max(tcb.mss, tcb.cwnd - acked + tcb.mss)
      resendFirst(tcb)
    }
  } else {
    tcb.dupAcks = 0
    growWindow(tcb, acked)
  }
  tcb.persisting = false
  tcb.tailProbed = false
  if (ack !== tcb.sndMax) startTimer(tcb, now)
  else {
    tcb.probingTail = false
    tcb.retransmitAt = NEVER
    arm(tcb)
  }
  return bytes
}

/** True if the peer told of bytes it had not told of before. */
function noteSack(tcb: Tcb, segment: Segment): boolean {
  const { sack, sackCount } = segment.options
  let news = false
  for (let i = 0; i < sackCount; i++) {
    const left = sack[2 * i]
    const right = sack[2 * i + 1]
    // RFC 2018 5: only what was sent and is not acknowledged; a D-SACK (RFC 2883) lies below.
    if (((left - tcb.sndUna) | 0) <= 0 || ((left - segment.ack) | 0) <= 0) continue
    if (((right - left) | 0) <= 0 || ((tcb.sndMax - right) | 0) < 0) continue
    tcb.board ??= new Scoreboard()
    if (tcb.board.add(left, right)) news = true
  }
  return news
}

function duplicateAck(tcb: Tcb, now: number): void {
  tcb.dupAcks++
  if (tcb.inRecovery) {
    if (!tcb.sackPermitted) tcb.cwnd += tcb.mss
    else if (tcb.board !== null && tcb.board.covered(tcb.resentMark, tcb.sndMax) > 2 * tcb.mss) {
      // In the spirit of RFC 8985 6.2: what was sent later has arrived, so the segment sent again was lost again.
      resendFirst(tcb)
      tcb.resentMark = tcb.sndMax
    }
    return
  }
  // RFC 6582 3.2, step 2: not again for what was in flight when the last recovery began. With SACK the news are about
  // what was sent since, so there is no such doubt, and waiting would mean one more time-out (RFC 8985 6.2 does not either).
  if (!tcb.sackPermitted && ((tcb.sndUna - tcb.recover) | 0) <= 0) return
  const { board, sndUna } = tcb
  const told = board !== null && board.lostBelow(sndUna, tcb.mss) !== sndUna
  if (told || tcb.dupAcks >= 3) enterRecovery(tcb, now)
  else tcb.host.wake(tcb) // limited transmit
}
