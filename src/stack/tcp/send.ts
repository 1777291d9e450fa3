// The send side: which bytes go out now. New data as far as both windows allow (silly windows avoided, RFC 9293 3.8.6.2.1),
// lost data first during a recovery (RFC 6675), the FIN behind the last byte, and probes of a closed window.
import { ACK, FIN, PSH } from '../../wire/tcp.ts'
import { currentRto, flightSize, halve } from './congestion.ts'
import { emitAck, emitSegment, emitSyn, largestPayload } from './emit.ts'
import {
  CLOSE_WAIT,
  ESTABLISHED,
  FIN_WAIT_1,
  FIN_WAIT_2,
  LAST_ACK,
  SYN_RECEIVED,
  SYN_SENT,
  TIME_WAIT,
} from './states.ts'
import { arm, type Tcb } from './tcb.ts'

const NEVER = Number.POSITIVE_INFINITY

/** In ms. RFC 8985 7.2 waits two round trips, which here is less than one turn of a busy event loop. */
const MIN_TAIL_PROBE = 20

/** Sends the data that windows and timers allow, and a pending ACK if no segment carried it. */
export function transmit(tcb: Tcb, now: number): void {
  const state = tcb.stateCode
  if (state < ESTABLISHED) {
    if ((state === SYN_SENT || state === SYN_RECEIVED) && tcb.synOwed) sendSyn(tcb, now)
    return
  }
  if (state !== TIME_WAIT && state !== FIN_WAIT_2) {
    if (tcb.inRecovery && tcb.sackPermitted) retransmitLost(tcb)
    sendNew(tcb, now)
  }
  if (tcb.ackOwed) emitAck(tcb)
}

function sendSyn(tcb: Tcb, now: number): void {
  tcb.synOwed = false
  emitSyn(tcb)
  if (tcb.sndMax === tcb.iss) {
    tcb.timing = true
    tcb.timedSequence = (tcb.iss + 1) | 0
    tcb.timedAt = now
  } else tcb.timing = false // Karn: RFC 6298 3
  tcb.sndNxt = tcb.sndMax = (tcb.iss + 1) | 0
  tcb.retransmitAt = now + currentRto(tcb)
  arm(tcb)
}

/** Whether anything waits to be sent for the first time, or again after a time-out. */
export function hasUnsent(tcb: Tcb): boolean {
  const available = (tcb.queue.end - tcb.sndNxt) | 0
  return available > 0 || (available === 0 && tcb.finQueued)
}

function sendNew(tcb: Tcb, now: number): void {
  if (!hasUnsent(tcb)) return
  const { queue, mss } = tcb
  const largest = largestPayload(tcb)
  const before = tcb.sndNxt
  let flight = pipe(tcb)
  let cwnd = tcb.cwnd
  // RFC 3042: the first two duplicate ACKs each let a new segment out.
  if (!tcb.sackPermitted && !tcb.inRecovery) cwnd += Math.min(tcb.dupAcks, 2) * mss
  for (;;) {
    const available = (queue.end - tcb.sndNxt) | 0
    if (available < 0 || (available === 0 && !tcb.finQueued)) break
    const window = (tcb.sndUna + tcb.sndWnd - tcb.sndNxt) | 0
    let length = available < largest ? available : largest
    if (length > window) length = window
    if (length > cwnd - flight) {
      tcb.cwndLimited = true
      length = cwnd - flight
      if (length < mss) {
        if (flight > 0) break
        length = Math.min(mss, available, window)
      }
    }
    if (length < available) {
      if (length >= mss) length -= length % mss
      else if (length <= 0 || length < tcb.maxSndWnd >> 1) break
    }
    const fin = tcb.finQueued && length === available && window > length
    if (length === 0 && !fin) break
    sendRange(tcb, tcb.sndNxt, length, fin, now)
    flight += length
    if (length === available && !fin) break
  }
  if (tcb.sndNxt !== before) {
    if (tcb.retransmitAt === NEVER || tcb.persisting) {
      tcb.persisting = false
      startTimer(tcb, now)
    }
  } else if (tcb.sndNxt === tcb.sndUna && tcb.retransmitAt === NEVER) {
    // RFC 9293 3.8.6.1: the window is closed, or too small to be worth it, and no ACK is under way.
    tcb.persisting = true
    tcb.retransmitAt = now + currentRto(tcb)
    arm(tcb)
  }
}

/** Sends `length` bytes from `sequence`, and FIN behind them. Moves `sndNxt` on if this is where it was. */
function sendRange(tcb: Tcb, sequence: number, length: number, fin: boolean, now: number): void {
  const stop = (sequence + length) | 0
  const flags = ACK | (stop === tcb.queue.end ? PSH : 0) | (fin ? FIN : 0)
  if (fin && !tcb.finSent) {
    tcb.finSent = true
    if (tcb.stateCode === ESTABLISHED) tcb.stateCode = FIN_WAIT_1
    else if (tcb.stateCode === CLOSE_WAIT) tcb.stateCode = LAST_ACK
  }
  emitSegment(tcb, sequence, length, flags)
  const next = fin ? (stop + 1) | 0 : stop
  if (sequence === tcb.sndMax) {
    if (!tcb.timing) {
      tcb.timing = true
      tcb.timedSequence = next
      tcb.timedAt = now
    }
  } else {
    tcb.timing = false // Karn: RFC 6298 3
    tcb.core.counters.retransmitted++
  }
  if (sequence === tcb.sndNxt) tcb.sndNxt = next
  if (((next - tcb.sndMax) | 0) > 0) tcb.sndMax = next
}

/** Bytes thought to be on their way. RFC 6675 4, SetPipe, during a recovery. */
function pipe(tcb: Tcb): number {
  const { board, sndUna } = tcb
  const all = (tcb.sndNxt - sndUna) | 0
  if (board === null) return all
  if (!tcb.inRecovery) return Math.max(0, all - board.bytes)
  const lost = lostEdge(tcb)
  const again = ((tcb.highRxt - lost) | 0) < 0 ? tcb.highRxt : lost
  const resent = ((again - sndUna) | 0) > 0 ? ((again - sndUna) | 0) - board.covered(sndUna, again) : 0
  const above = (tcb.sndNxt - lost) | 0
  return resent + (above > 0 ? above - board.covered(lost, tcb.sndNxt) : 0)
}

/** Everything below it that is not known to have arrived counts as lost. So does the segment at which a partial ACK stops (RFC 6582 3.2). */
function lostEdge(tcb: Tcb): number {
  const { sndUna, mss } = tcb
  const told = tcb.board === null ? sndUna : tcb.board.lostBelow(sndUna, mss)
  const left = flightSize(tcb)
  const first = (sndUna + (left < mss ? left : mss)) | 0
  return ((told - first) | 0) > 0 ? told : first
}

function retransmitLost(tcb: Tcb): void {
  const { board, mss } = tcb
  if (board === null) return
  const lost = lostEdge(tcb)
  const largest = largestPayload(tcb)
  let flight = pipe(tcb)
  for (;;) {
    const from = ((tcb.highRxt - tcb.sndUna) | 0) > 0 ? tcb.highRxt : tcb.sndUna
    const hole = board.holeAt(from, lost)
    let length = Math.min(board.holeLength, largest)
    if (length === 0) return
    const room = tcb.cwnd - flight
    if (room < Math.min(length, mss)) return
    if (length > room) length = room - (room % mss)
    resend(tcb, hole, length)
    tcb.highRxt = (hole + length) | 0
    flight += length
  }
}

/** Sends a part of the sequence space again; the FIN if it reaches behind the data. */
function resend(tcb: Tcb, sequence: number, length: number): void {
  const data = (tcb.queue.end - sequence) | 0
  const fin = tcb.finSent && length >= data
  sendRange(tcb, sequence, Math.min(length, data), fin, tcb.core.now)
}

/** Sends the first segment that is not acknowledged again. */
export function resendFirst(tcb: Tcb): number {
  let length = Math.min(tcb.mss, flightSize(tcb))
  if (tcb.board !== null) {
    tcb.board.holeAt(tcb.sndUna, (tcb.sndUna + length) | 0)
    length = tcb.board.holeLength
  }
  if (length > 0) resend(tcb, tcb.sndUna, length)
  return length
}

/** RFC 8985 7.3: sends the last segment again, so that the peer's SACK tells what is missing before it. */
export function probeTail(tcb: Tcb): void {
  const length = Math.min(tcb.mss, flightSize(tcb))
  resend(tcb, (tcb.sndMax - length) | 0, length)
}

/**
 * Starts the retransmission timer for what is in flight; a probe of the tail comes first where it may help (RFC 8985 7.2:
 * not for a single segment, whose ACK may be delayed).
 */
export function startTimer(tcb: Tcb, now: number): void {
  const rto = currentRto(tcb)
  const wanted =
    tcb.sackPermitted && !tcb.inRecovery && !tcb.tailProbed && tcb.backoff === 0 && flightSize(tcb) > tcb.mss
  // This runs once per ACK, so it stays with small integers: Math.max would allocate.
  const trips = Math.ceil(2 * tcb.srtt) | 0
  const probe = trips > MIN_TAIL_PROBE ? trips : MIN_TAIL_PROBE
  tcb.probingTail = wanted && trips > 0 && probe < rto
  tcb.retransmitAt = now + (tcb.probingTail ? probe : rto)
  arm(tcb)
}

/** RFC 5681 3.2, RFC 6675 5: three segments above a gap have arrived. */
export function enterRecovery(tcb: Tcb, now: number): void {
  halve(tcb)
  tcb.recover = tcb.sndMax
  tcb.inRecovery = true
  tcb.cwnd = tcb.sackPermitted ? tcb.ssthresh : tcb.ssthresh + 3 * tcb.mss
  tcb.highRxt = (tcb.sndUna + resendFirst(tcb)) | 0
  tcb.resentMark = tcb.sndMax
  startTimer(tcb, now)
  tcb.host.wake(tcb)
}

/** RFC 9293 3.8.6.1: offers what fits, at least one byte, to a window that is closed. `sndNxt` stays where it is. */
export function probeWindow(tcb: Tcb, now: number): void {
  const { sndUna } = tcb
  const available = (tcb.queue.end - sndUna) | 0
  const length = Math.min(available, Math.max(1, Math.min(tcb.sndWnd, tcb.mss)))
  const fin = tcb.finQueued && length === available
  const next = tcb.sndNxt
  sendRange(tcb, sndUna, length, fin, now)
  tcb.timing = false
  tcb.sndNxt = next
}
