// The transmission control block (RFC 9293 3.3.1): all that is known of one connection, as plain fields. The rules are in
// the functions beside it (send, receive, input, timeouts); Connection is what the owner of a flow holds.
// Sequence numbers are signed 32-bit integers, compared by the sign of their difference.
import type { TcpFlowHandler } from '../api.ts'
import type { Core } from '../core.ts'
import { FlowKey } from '../key.ts'
import { SendQueue } from './queue.ts'
import type { ReceiveQueue } from './receive-queue.ts'
import type { Scoreboard } from './scoreboard.ts'
import { CLOSED } from './states.ts'

const NEVER = Number.POSITIVE_INFINITY

// RFC 6928 starts with ten segments because a network path is shared and long. Here the path is a queue in this machine's kernel.
const INITIAL_WINDOW = 512 * 1024
/** RFC 6298 2.1 */
const INITIAL_RTO = 1000
/** Window offered at first; it grows while the owner takes all that comes. */
const INITIAL_RECEIVE_WINDOW = 256 * 1024

/** What a connection needs of the layer that holds it. */
export interface TcpHost {
  readonly core: Core
  /** Asks `flush` to look at this connection. */
  wake(tcb: Tcb): void
  /** Removes it from the table. Segments that still come for it are answered with RST. */
  forget(tcb: Tcb): void
  /** The owner has been told that it is over. */
  ended(tcb: Tcb): void
}

type CloseReason = Parameters<TcpFlowHandler['onClose']>[0]

export const NO_HANDLER: TcpFlowHandler = {
  onData: (_buffer, start, end) => end - start,
  onEnd() {},
  onAcked() {},
  onClose() {},
}

export abstract class Tcb extends FlowKey {
  readonly host: TcpHost
  readonly core: Core
  readonly id: number
  /** On the stack's clock. */
  readonly began: number
  bytesReceived = 0
  bytesSent = 0
  handler: TcpFlowHandler = NO_HANDLER
  onOpen: (() => void) | null = null
  stateCode = CLOSED
  /** In SYN-RECEIVED, and the owner has not decided yet. */
  pending = false
  /** `onClose` has been called. */
  over = false

  // Send sequence variables
  iss = 0
  sndUna = 0
  /** The next sequence number to send. It goes back to `sndUna` when the retransmission timer has fired. */
  sndNxt = 0
  /** The highest that was ever sent. */
  sndMax = 0
  sndWnd = 0
  sndWl1 = 0
  sndWl2 = 0
  /** The largest window the peer has offered. */
  maxSndWnd = 0
  /** Both sides have offered window scaling. */
  scaling = false
  sndScale = 0
  mss = 536
  readonly queue = new SendQueue()
  /** The owner wants FIN after the queue. */
  finQueued = false
  finSent = false

  // Congestion control
  cwnd = INITIAL_WINDOW
  ssthresh = 0x3fffffff
  /** Data had to wait for `cwnd`. `cwnd` grows only after that (RFC 7661 4.3). */
  cwndLimited = false
  dupAcks = 0
  inRecovery = false
  /** RFC 6582 3.2: what was sent when the last recovery began. */
  recover = 0
  /** RFC 6675 2: HighRxt. */
  highRxt = 0
  /**
   * The end of what was sent when the first missing segment was retransmitted. If later data arrives first, the retransmission
   * was lost, too.
   */
  resentMark = 0
  board: Scoreboard | null = null

  // Round trip (RFC 6298); srtt 0 means that nothing has been measured.
  srtt = 0
  rttvar = 0
  rto = INITIAL_RTO
  backoff = 0
  timing = false
  timedSequence = 0
  timedAt = 0

  // Timers: `deadline` is the earliest of them.
  deadline = NEVER
  timerTime = NEVER
  timerIndex = -1
  /** Retransmission, probe of a closed window, end of TIME-WAIT. */
  retransmitAt = NEVER
  persisting = false
  /** `retransmitAt` is that of a tail loss probe; one was sent since the last ACK that moved on. */
  probingTail = false
  tailProbed = false
  /** When the oldest data that is still unacknowledged was first retransmitted; NEVER if none was. */
  stalledAt = NEVER
  lastHeard = 0
  probes = 0
  nextProbe = NEVER
  challengedAt = Number.NEGATIVE_INFINITY

  // Receive sequence variables
  irs = 0
  rcvNxt = 0
  /** Right edge of the window offered; never goes back (RFC 9293 3.8.6). */
  rcvEdge = 0
  rcvScale = 0
  rcvCapacity: number
  /** Bytes taken by the owner since it last left some, or since the capacity grew. */
  takenInARow = 0
  sackPermitted = false
  receiveQueue: ReceiveQueue | null = null
  finSeen = false
  finSequence = 0
  /** The peer's FIN has been reached. */
  finTaken = false
  /** `onEnd` has been called. */
  endTold = false
  delivering = false

  // What `flush` has to do
  awake = false
  ackOwed = false
  synOwed = false

  /** Part of the TCP checksum that never changes. */
  pseudo = 0

  constructor(host: TcpHost) {
    super()
    this.host = host
    this.core = host.core
    this.id = host.core.nextFlowId()
    this.began = host.core.now
    this.rcvCapacity = Math.min(INITIAL_RECEIVE_WINDOW, host.core.limits.receiveBytesPerFlow)
  }

  abstract onDeadline(now: number): void
}

/** Sets the initial send sequence number, and what follows from it. */
export function startSequence(tcb: Tcb, iss: number): void {
  tcb.iss = tcb.sndUna = tcb.sndNxt = tcb.sndMax = tcb.recover = iss | 0
  tcb.queue.restart((iss + 1) | 0)
}

/** Shift count with which the largest window fits into 16 bits (RFC 7323 2.2). */
export function wantedScale(largest: number): number {
  let shift = 0
  while (shift < 14 && 65535 << shift < largest) shift++
  return shift
}

/** Brings `deadline` up to date after one of the timers moved. */
export function arm(tcb: Tcb): void {
  tcb.deadline = tcb.retransmitAt < tcb.nextProbe ? tcb.retransmitAt : tcb.nextProbe
  tcb.core.timers.schedule(tcb)
}

/** Frees all that the connection holds and takes it out of the table. */
export function release(tcb: Tcb): void {
  tcb.stateCode = CLOSED
  tcb.pending = false
  tcb.retransmitAt = tcb.nextProbe = tcb.deadline = NEVER
  tcb.core.timers.remove(tcb)
  tcb.host.forget(tcb)
  tcb.queue.restart(tcb.queue.start)
  tcb.board = null
}

function dropReceiveQueue(tcb: Tcb): void {
  if (tcb.receiveQueue === null) return
  tcb.receiveQueue.clear()
  tcb.receiveQueue = null
}

/** Tells the owner, once, that the flow is over. */
export function conclude(tcb: Tcb, reason: CloseReason): void {
  if (tcb.over) return
  tcb.over = true
  dropReceiveQueue(tcb)
  tcb.host.ended(tcb)
  tcb.handler.onClose(reason)
}

/** The connection is over at once: nothing of it remains. */
export function abandon(tcb: Tcb, reason: CloseReason): void {
  release(tcb)
  conclude(tcb, reason)
}
