// Segments on the wire: writes one segment of a connection into the arena, with the checksum left to the kernel and, for
// data above the MSS, with the order to cut it. The window offered is computed here, so that every segment carries it.
import { fold } from '../../wire/checksum.ts'
import { PROTOCOL_TCP } from '../../wire/ip.ts'
import {
  ACK,
  MAX_SACK_BLOCKS,
  RST,
  SYN,
  sackOptionLength,
  synOptionsLength,
  TCP_CHECKSUM,
  TCP_HEADER,
  writeSackOption,
  writeSynOptions,
  writeTcp,
} from '../../wire/tcp.ts'
import { VNET_GSO_NONE, VNET_GSO_TCPV4, VNET_GSO_TCPV6 } from '../../wire/vnet.ts'
import type { Core } from '../core.ts'
import { type FlowKey, writeIp } from '../key.ts'
import { SYN_SENT } from './states.ts'
import { type Tcb, wantedScale } from './tcb.ts'

const edges = new Int32Array(2 * MAX_SACK_BLOCKS)

/** The largest payload of one frame. */
export function largestPayload(tcb: Tcb): number {
  if (!tcb.core.gso) return tcb.mss
  const room = 65535 - tcb.ipHeader - TCP_HEADER
  return room - (room % tcb.mss)
}

/** The MSS we offer (RFC 9293 3.7.1). */
export function offeredMss(key: FlowKey, mtu: number): number {
  return mtu - key.ipHeader - TCP_HEADER
}

/** Sends `length` bytes of the queue from `sequence` on. */
export function emitSegment(tcb: Tcb, sequence: number, length: number, flags: number): void {
  const { core } = tcb
  const v4 = tcb.version === 4
  const ipHeader = v4 ? 20 : 40
  const tcpLength = TCP_HEADER + length
  const cut = length > tcb.mss
  const at = core.arena.frame(
    ipHeader + tcpLength,
    ipHeader,
    TCP_CHECKSUM,
    cut ? (v4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6) : VNET_GSO_NONE,
    cut ? tcb.mss : 0,
    cut ? ipHeader + TCP_HEADER : 0,
  )
  const buffer = core.arena.buffer
  writeIp(buffer, at, tcb, PROTOCOL_TCP, tcpLength)
  const window = offerWindow(tcb)
  writeTcp(
    buffer,
    at + ipHeader,
    tcb.ports,
    sequence,
    tcb.rcvNxt,
    TCP_HEADER,
    flags | ACK,
    window,
    fold(tcb.pseudo + PROTOCOL_TCP + tcpLength),
  )
  if (length > 0) tcb.queue.copy(sequence, length, buffer, at + ipHeader + TCP_HEADER)
  tcb.ackOwed = false
}

/** An ACK without data, with SACK blocks where something is missing, the one that holds `latest` first. */
export function emitAck(tcb: Tcb, latest = tcb.rcvNxt): void {
  const { core, receiveQueue } = tcb
  // A byte sent to probe lies outside the window, and an ACK behind it would not be acceptable.
  const sequence = tcb.persisting ? tcb.sndNxt : tcb.sndMax
  const blocks =
    receiveQueue !== null && tcb.sackPermitted ? receiveQueue.sackBlocks(edges, MAX_SACK_BLOCKS, latest) : 0
  if (blocks === 0) {
    emitSegment(tcb, sequence, 0, ACK)
    return
  }
  const header = TCP_HEADER + sackOptionLength(blocks)
  const at = core.arena.frame(tcb.ipHeader + header, tcb.ipHeader, TCP_CHECKSUM, VNET_GSO_NONE, 0, 0)
  const buffer = core.arena.buffer
  writeIp(buffer, at, tcb, PROTOCOL_TCP, header)
  const tcp = at + tcb.ipHeader
  const sum = fold(tcb.pseudo + PROTOCOL_TCP + header)
  writeTcp(buffer, tcp, tcb.ports, sequence, tcb.rcvNxt, header, ACK, offerWindow(tcb), sum)
  writeSackOption(buffer, tcp + TCP_HEADER, edges, blocks)
  tcb.ackOwed = false
}

/** SYN in SYN-SENT, SYN-ACK in SYN-RECEIVED. The window of a SYN is never scaled (RFC 7323 2.2). */
export function emitSyn(tcb: Tcb): void {
  const { core } = tcb
  const first = tcb.stateCode === SYN_SENT
  const scale = first ? wantedScale(core.limits.receiveBytesPerFlow) : tcb.scaling ? tcb.rcvScale : -1
  const sack = first || tcb.sackPermitted
  const header = TCP_HEADER + synOptionsLength(scale, sack)
  const at = core.arena.frame(tcb.ipHeader + header, tcb.ipHeader, TCP_CHECKSUM, VNET_GSO_NONE, 0, 0)
  const buffer = core.arena.buffer
  writeIp(buffer, at, tcb, PROTOCOL_TCP, header)
  const tcp = at + tcb.ipHeader
  const window = Math.min(65535, tcb.rcvCapacity)
  if (!first) tcb.rcvEdge = (tcb.rcvNxt + window) | 0
  const flags = first ? SYN : SYN | ACK
  const sum = fold(tcb.pseudo + PROTOCOL_TCP + header)
  writeTcp(buffer, tcp, tcb.ports, tcb.iss, first ? 0 : tcb.rcvNxt, header, flags, window, sum)
  writeSynOptions(buffer, tcp + TCP_HEADER, offeredMss(tcb, core.mtu), scale, sack)
}

/** A RST that belongs to no connection, or ends one (RFC 9293 3.10.7.1). */
export function emitReset(core: Core, key: FlowKey, sequence: number, acknowledgment: number, withAck: boolean): void {
  const at = core.arena.frame(key.ipHeader + TCP_HEADER, key.ipHeader, TCP_CHECKSUM, VNET_GSO_NONE, 0, 0)
  const buffer = core.arena.buffer
  writeIp(buffer, at, key, PROTOCOL_TCP, TCP_HEADER)
  const sum = fold(key.addressSum() + PROTOCOL_TCP + TCP_HEADER)
  const flags = withAck ? RST | ACK : RST
  writeTcp(buffer, at + key.ipHeader, key.ports, sequence, withAck ? acknowledgment : 0, TCP_HEADER, flags, 0, sum)
}

/** How much the window could be opened, beyond the edge already offered. */
export function windowGain(tcb: Tcb): number {
  const { core } = tcb
  let room = tcb.rcvCapacity - (tcb.receiveQueue === null ? 0 : tcb.receiveQueue.readyBytes)
  const left = core.limits.receiveBytes - core.receiveHeld
  if (room > left) room = left
  const largest = 65535 << tcb.rcvScale
  if (room > largest) room = largest
  return (tcb.rcvNxt + room - tcb.rcvEdge) | 0
}

/**
 * The window field of the next segment. RFC 9293 3.8.6.2.2: the right edge moves on in steps worth a segment. Rounded up
 * to the unit of the scale, since rounding down would take back what was offered.
 */
function offerWindow(tcb: Tcb): number {
  const gain = windowGain(tcb)
  if (gain >= tcb.rcvCapacity >> 1 || gain >= tcb.mss) tcb.rcvEdge = (tcb.rcvEdge + gain) | 0
  const unit = 1 << tcb.rcvScale
  const window = (tcb.rcvEdge - tcb.rcvNxt) | 0
  if (window <= 0) return 0
  let field = (window + unit - 1) >> tcb.rcvScale
  if (field > 65535) field = 65535
  const edge = (tcb.rcvNxt + (field << tcb.rcvScale)) | 0
  if (((edge - tcb.rcvEdge) | 0) > 0) tcb.rcvEdge = edge
  return field
}
