// The receive side: hands bytes in order to the owner, holds what it does not take and what came too early, within the
// budgets of the flow and of the stack, and reaches the peer's FIN when all before it is there.
import { FIN } from '../../wire/tcp.ts'
import { emitAck, windowGain } from './emit.ts'
import { ReceiveQueue } from './receive-queue.ts'
import type { Segment } from './segment.ts'
import { CLOSE_WAIT, CLOSED, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT } from './states.ts'
import { arm, conclude, type Tcb } from './tcb.ts'

const NEVER = Number.POSITIVE_INFINITY

/** Whether the peer may still send data (RFC 9293 3.10.7.4, seventh check). */
export function mayReceive(tcb: Tcb): boolean {
  const state = tcb.stateCode
  return state === ESTABLISHED || state === FIN_WAIT_1 || state === FIN_WAIT_2
}

/** Processes payload and FIN of a segment that lies at least partly in the window. */
export function receiveData(tcb: Tcb, segment: Segment, now: number): void {
  let { start, end, seq } = segment
  let fin = (segment.flags & FIN) !== 0
  const old = (tcb.rcvNxt - seq) | 0
  if (old > 0) {
    start += old
    seq = tcb.rcvNxt
    if (start > end) return
  }
  const room = (tcb.rcvEdge - seq) | 0
  if (end - start > room) {
    end = start + (room > 0 ? room : 0)
    fin = false
  }
  tcb.ackOwed = true
  tcb.host.wake(tcb)
  if (fin) {
    tcb.finSeen = true
    tcb.finSequence = (seq + end - start) | 0
  }
  if (seq === tcb.rcvNxt) {
    if (end > start) deliver(tcb, segment.buffer, start, end, false)
    while (tcb.receiveQueue !== null && tcb.receiveQueue.pieceCount > 0) {
      const piece = tcb.receiveQueue.pull(tcb.rcvNxt)
      if (piece === undefined) break
      deliver(tcb, piece, 0, piece.length, true)
    }
    if (tcb.receiveQueue?.isEmpty) tcb.receiveQueue = null
  } else if (end > start) {
    keepForLater(tcb, segment.buffer, seq, start, end)
    // RFC 5681 4.2: duplicate ACKs are sent at once, because the peer counts them.
    emitAck(tcb, seq)
  }
  if (tcb.finSeen && tcb.rcvNxt === tcb.finSequence && mayReceive(tcb)) takeFin(tcb, now)
}

/** Gives `buffer[start .. end)`, which begins at `rcvNxt`, to the owner; keeps the rest if it may, or always with `must`. */
function deliver(tcb: Tcb, buffer: Uint8Array, start: number, end: number, must: boolean): void {
  const { core } = tcb
  const length = end - start
  let taken = 0
  if (tcb.receiveQueue === null || tcb.receiveQueue.readyBytes === 0) {
    tcb.delivering = true
    taken = Math.max(0, Math.min(length, tcb.handler.onData(buffer, start, end)))
    tcb.delivering = false
    if (tcb.stateCode === CLOSED) return
  }
  if (taken === length) {
    tcb.takenInARow += length
    if (tcb.takenInARow > tcb.rcvCapacity) widen(tcb)
  } else {
    tcb.takenInARow = 0
    if (must || core.receiveHeld + length - taken <= core.limits.receiveBytes) {
      tcb.receiveQueue ??= new ReceiveQueue(core)
      tcb.receiveQueue.append(buffer, start + taken, end)
      taken = length
    }
  }
  tcb.rcvNxt = (tcb.rcvNxt + taken) | 0
  tcb.bytesReceived += taken
  if (((tcb.rcvEdge - tcb.rcvNxt) | 0) < 0) tcb.rcvEdge = tcb.rcvNxt
}

/** The owner has taken a whole window at once, so twice as much is offered: more data moves per turn. */
function widen(tcb: Tcb): void {
  tcb.takenInARow = 0
  const { limits, receiveHeld } = tcb.core
  if (receiveHeld < limits.receiveBytes >> 2) {
    tcb.rcvCapacity = Math.min(tcb.rcvCapacity * 2, limits.receiveBytesPerFlow)
  }
}

function keepForLater(tcb: Tcb, buffer: Uint8Array, sequence: number, start: number, end: number): void {
  const { core } = tcb
  if (core.receiveHeld + end - start > core.limits.receiveBytes) {
    core.counters.dropped++
    return
  }
  tcb.receiveQueue ??= new ReceiveQueue(core)
  if (!tcb.receiveQueue.insert(sequence, buffer, start, end)) core.counters.dropped++
}

function takeFin(tcb: Tcb, now: number): void {
  tcb.rcvNxt = (tcb.rcvNxt + 1) | 0
  if (((tcb.rcvEdge - tcb.rcvNxt) | 0) < 0) tcb.rcvEdge = tcb.rcvNxt
  tcb.finTaken = true
  if (tcb.stateCode === ESTABLISHED) tcb.stateCode = CLOSE_WAIT
  else if (tcb.stateCode === FIN_WAIT_1) tcb.stateCode = CLOSING
  else enterTimeWait(tcb, now)
  tellEnd(tcb)
}

export function enterTimeWait(tcb: Tcb, now: number): void {
  tcb.stateCode = TIME_WAIT
  tcb.board = null
  tcb.nextProbe = NEVER
  tcb.persisting = false
  tcb.retransmitAt = now + tcb.core.tuning.timeWait
  arm(tcb)
}

/** Tells the owner of the FIN once it has taken all before it, and that the flow is over if nothing else is open. */
export function tellEnd(tcb: Tcb): void {
  if (!tcb.finTaken || (tcb.receiveQueue !== null && tcb.receiveQueue.readyBytes > 0)) return
  if (!tcb.endTold) {
    tcb.endTold = true
    tcb.handler.onEnd()
  }
  if (tcb.stateCode === TIME_WAIT || tcb.stateCode === CLOSED) conclude(tcb, 'closed')
}

/** The owner wants more: offers it the queued bytes, and opens the window again if that is worth a segment. */
export function resumeDelivery(tcb: Tcb): void {
  if (tcb.delivering || tcb.over) return
  const { receiveQueue } = tcb
  if (receiveQueue !== null && receiveQueue.readyBytes > 0) {
    tcb.delivering = true
    receiveQueue.drain((buffer, start, end) => tcb.handler.onData(buffer, start, end))
    tcb.delivering = false
    if (tcb.over) return
    if (receiveQueue.isEmpty) tcb.receiveQueue = null
    tellEnd(tcb)
    if (tcb.over) return
  }
  if (!mayReceive(tcb)) return
  const gain = windowGain(tcb)
  const closed = ((tcb.rcvEdge - tcb.rcvNxt) | 0) < tcb.mss
  if (gain >= tcb.rcvCapacity >> 2 || (closed && gain >= Math.min(2 * tcb.mss, tcb.rcvCapacity >> 1))) {
    tcb.ackOwed = true
    tcb.host.wake(tcb)
  }
}
