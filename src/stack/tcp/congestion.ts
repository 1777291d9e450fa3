// How much may be in flight: NewReno (RFC 5681, RFC 6582) with bytes counted, and the round trip (RFC 6298). The peer is
// the kernel of this machine, so the window starts large; a loss still halves it.
import type { Tcb } from './tcb.ts'

// RFC 6298 2.4 asks for 1 s since clocks were coarse and receivers delay ACKs; the peer is Linux, whose own minimum
// (TCP_RTO_MIN) is 200 ms and whose delayed ACKs stay below it.
const MIN_RTO = 200
const MAX_RTO = 60_000 // RFC 6298 2.5
/** Nothing more is to be gained above this. */
const MAX_WINDOW = 64 << 20

/** RFC 6298 2.2, 2.3: takes one measurement. */
export function measureRoundTrip(tcb: Tcb, rtt: number): void {
  if (tcb.srtt === 0) {
    tcb.srtt = Math.max(rtt, 0.01)
    tcb.rttvar = rtt / 2
  } else {
    tcb.rttvar = 0.75 * tcb.rttvar + 0.25 * Math.abs(tcb.srtt - rtt)
    tcb.srtt = Math.max(0.875 * tcb.srtt + 0.125 * rtt, 0.01)
  }
  // Whole milliseconds, because a small integer is returned without an allocation. This runs once per ACK.
  tcb.rto = Math.ceil(Math.min(MAX_RTO, Math.max(MIN_RTO, tcb.srtt + Math.max(1, 4 * tcb.rttvar)))) | 0
}

/** The retransmission time-out, with back-off (RFC 6298 5.5). */
export function currentRto(tcb: Tcb): number {
  if (tcb.backoff === 0) return tcb.rto
  return Math.min(MAX_RTO, tcb.rto * 2 ** tcb.backoff) | 0
}

export function flightSize(tcb: Tcb): number {
  return (tcb.sndMax - tcb.sndUna) | 0
}

/**
 * RFC 5681 3.1: by what was acknowledged up to ssthresh, by a segment a window above it. Bytes are counted as in RFC 3465,
 * but without its limit of two segments an ACK: one ACK of the kernel covers a whole super-segment.
 */
export function growWindow(tcb: Tcb, acked: number): void {
  if (!tcb.cwndLimited || tcb.cwnd >= MAX_WINDOW) return
  if (tcb.cwnd < tcb.ssthresh) tcb.cwnd += Math.min(acked, tcb.ssthresh - tcb.cwnd)
  else tcb.cwnd += Math.max(1, Math.floor((tcb.mss * acked) / tcb.cwnd))
  tcb.cwndLimited = false
}

/** RFC 5681 3.1 (4): after a loss. */
export function halve(tcb: Tcb): void {
  tcb.ssthresh = Math.max(flightSize(tcb) >> 1, 2 * tcb.mss)
}
