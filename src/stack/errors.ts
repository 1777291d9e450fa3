// ICMP errors to the programs of this machine: which type and code says what, and the packet they quote, by which the
// kernel finds the socket. All are limited in rate.
import { put16, put32 } from '../wire/bytes.ts'
import {
  ICMP_UNREACHABLE,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_UNREACHABLE,
  UNREACHABLE_HOST,
  UNREACHABLE_NET,
  UNREACHABLE_PORT,
  UNREACHABLE_PROHIBITED,
  UNREACHABLE_PROTOCOL,
  UNREACHABLE6_ADDRESS,
  UNREACHABLE6_NO_ROUTE,
  UNREACHABLE6_PORT,
  UNREACHABLE6_PROHIBITED,
} from '../wire/icmp.ts'
import { type IpView, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ip.ts'
import { IPV4_DONT_FRAGMENT, IPV4_HEADER, writeIpv4 } from '../wire/ipv4.ts'
import { IPV6_HEADER, writeIpv6 } from '../wire/ipv6.ts'
import { SYN, TCP_HEADER, writeTcp } from '../wire/tcp.ts'
import { UDP_HEADER, writeUdp } from '../wire/udp.ts'
import type { Rejection } from './api.ts'
import type { Core } from './core.ts'
import { emitIcmp } from './datagram.ts'
import type { FlowKey } from './key.ts'

/** RFC 1812 4.3.2.3 and RFC 4443 2.4 (c): as much of the packet as fits into this. */
const LARGEST_ERROR = { 4: 576, 6: 1280 }

function unreachableCode(version: number, reason: Exclude<Rejection, 'silence'>): number {
  const v4 = version === 4
  switch (reason) {
    case 'refused':
      return v4 ? UNREACHABLE_PORT : UNREACHABLE6_PORT
    case 'host-unreachable':
      return v4 ? UNREACHABLE_HOST : UNREACHABLE6_ADDRESS
    case 'net-unreachable':
      return v4 ? UNREACHABLE_NET : UNREACHABLE6_NO_ROUTE
    case 'prohibited':
      return v4 ? UNREACHABLE_PROHIBITED : UNREACHABLE6_PROHIBITED
  }
}

function emitUnreachable(core: Core, key: FlowKey, reason: Rejection, quote: Uint8Array): void {
  if (reason === 'silence' || !core.mayError()) return
  const type = key.version === 4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE
  emitIcmp(core, key, type, unreachableCode(key.version, reason), 0, quote)
}

/** Answers the SYN of a flow whose sequence number was `sequence`. */
export function sendRejection(core: Core, key: FlowKey, reason: Rejection, sequence: number): void {
  const { bytes, at } = quotedHeader(key, PROTOCOL_TCP, TCP_HEADER)
  writeTcp(bytes, at, swapped(key.ports), sequence, 0, TCP_HEADER, SYN, 0, 0)
  emitUnreachable(core, key, reason, bytes)
}

/** Answers a datagram of a flow that carried `size` bytes. */
export function sendUdpRejection(core: Core, key: FlowKey, reason: Rejection, size: number): void {
  const { bytes, at } = quotedHeader(key, PROTOCOL_UDP, UDP_HEADER)
  writeUdp(bytes, at, swapped(key.ports), UDP_HEADER + size, 0)
  emitUnreachable(core, key, reason, bytes)
}

/** Answers an echo request, of which `echo` are the first eight bytes. */
export function sendEchoRejection(core: Core, key: FlowKey, reason: Rejection, echo: Uint8Array): void {
  const { bytes, at } = quotedHeader(key, key.version === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6, echo.length)
  bytes.set(echo, at)
  emitUnreachable(core, key, reason, bytes)
}

/** RFC 1122 3.2.2.1 and RFC 8200 4: nobody here speaks that protocol. `key` names the packet's addresses. */
export function sendUnknownProtocol(core: Core, key: FlowKey, view: IpView): void {
  if (!core.mayError()) return
  const v4 = view.version === 4
  const most = v4 ? LARGEST_ERROR[4] - IPV4_HEADER - 8 : LARGEST_ERROR[6] - IPV6_HEADER - 8
  const quote = view.buffer.slice(view.start, Math.min(view.end, view.start + most))
  if (v4) emitIcmp(core, key, ICMP_UNREACHABLE, UNREACHABLE_PROTOCOL, 0, quote)
  else emitIcmp(core, key, ICMPV6_PARAMETER_PROBLEM, 1, view.protocolField - view.start, quote)
}

/** A packet as the program sent it: its IP header, and room for the `size` bytes behind. */
function quotedHeader(key: FlowKey, protocol: number, size: number): { bytes: Uint8Array; at: number } {
  const at = key.ipHeader
  const bytes = new Uint8Array(at + size)
  if (key.version === 4) {
    writeIpv4(bytes, 0, at + size, protocol, key.remote0, key.local0, 0, IPV4_DONT_FRAGMENT)
  } else {
    const { remote0, remote1, remote2, remote3, local0, local1, local2, local3 } = key
    writeIpv6(bytes, 0, size, protocol, remote0, remote1, remote2, remote3, local0, local1, local2, local3)
  }
  return { bytes, at }
}

function swapped(ports: number): number {
  return (ports << 16) | (ports >>> 16)
}

/** The first eight bytes of an echo request. */
export function echoHeader(type: number, id: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array(8)
  put32(bytes, 0, type << 24)
  put16(bytes, 4, id)
  put16(bytes, 6, sequence)
  return bytes
}
