// What the TCP/IP stack offers: flows of the machine's programs, ended here. Pure and deterministic: time comes in as
// `now` (milliseconds, any origin, never going back), randomness as a function, and the stack does nothing between
// calls; `nextDeadline` says when it wants `tick`.
import type { Endpoint, IpAddress } from '../wire/address.ts'

/** Why a connection attempt cannot be served; each has its own answer on the wire. */
export type Rejection =
  | 'refused' // RST, RFC 9293 3.10.7.1
  | 'host-unreachable' // ICMP type 3 code 1, ICMPv6 type 1 code 3
  | 'net-unreachable' // ICMP type 3 code 0, ICMPv6 type 1 code 0
  | 'prohibited' // ICMP type 3 code 13, ICMPv6 type 1 code 1
  | 'silence' // nothing: the program's own time-out decides, as inside the cluster

/** What is told of every flow, for people who look; plain fields, kept up to date on the way of a packet. */
export interface FlowFacts {
  /** Of this flow alone in the life of its stack. */
  readonly id: number
  /** When it began and when something last came from the program, on the clock of `now`, whole milliseconds. */
  readonly openedAt: number
  readonly usedAt: number
  /** Payload from the program, and for it. */
  readonly bytesReceived: number
  readonly bytesSent: number
}

/**
 * One TCP connection of a program on this machine. `local` is the address the program dialled (ours to answer for),
 * `remote` the program's own. A flow starts in SYN-RECEIVED with no SYN-ACK sent: `accept` or `reject` decides.
 */
export interface TcpFlow extends FlowFacts {
  readonly protocol: 'tcp'
  readonly local: Endpoint
  readonly remote: Endpoint
  /** Name of the RFC 9293 state, for status and tests. */
  readonly state: string
  /** Bytes given to `send` that the peer has not acknowledged. */
  readonly unacknowledged: number
  /** Answers the SYN with SYN-ACK. A flow that is gone meanwhile (RST from the program) ignores it. */
  accept(): void
  /** Answers the SYN as `reason` says, and forgets the flow. */
  reject(reason: Rejection): void
  /** Queues bytes. Takes the chunk over without a copy: the caller must not change it until it is acknowledged. */
  send(chunk: Uint8Array): void
  /** Sends FIN after all that was queued. Receiving goes on. */
  end(): void
  /** Sends RST and forgets the flow. */
  reset(): void
  /** Offers again what `onData` did not take. */
  resume(): void
}

/** What a flow tells its owner. Called synchronously from `input` or `tick`; may call back into the flow. */
export interface TcpFlowHandler {
  /**
   * In-order bytes `buffer[start .. end)`, valid during the call only. Returns how many were taken; the rest stays in
   * the receive buffer (bounded; the window closes) until `resume`.
   */
  onData(buffer: Uint8Array, start: number, end: number): number
  /** The peer sent FIN and all bytes before it were taken. Sending may go on. */
  onEnd(): void
  /** The peer acknowledged this many more bytes of what was sent. */
  onAcked(bytes: number): void
  /** The flow is over, once: by both FINs ('closed'), by a RST of the peer, by giving up on it, or by our own `reset`. */
  onClose(reason: 'closed' | 'reset' | 'timeout' | 'local-reset'): void
}

/** Datagrams of one 5-tuple, kept until idle (RFC 4787 5: not before 2 minutes; 30 s for port 53) or closed. */
export interface UdpFlow extends FlowFacts {
  readonly protocol: 'udp'
  readonly local: Endpoint
  readonly remote: Endpoint
  /** Sends a datagram from `local` to `remote`. The bytes are copied. */
  send(payload: Uint8Array): void
  /** Answers the newest datagram with an ICMP error (port unreachable for 'refused') and closes. */
  reject(reason: Rejection): void
  close(): void
}

export interface UdpFlowHandler {
  /** A datagram's payload, `buffer[start .. end)`, valid during the call only. */
  onDatagram(buffer: Uint8Array, start: number, end: number): void
  /** Idle too long, pushed out by newer flows, or closed. Once. */
  onClose(): void
}

/** An ICMP or ICMPv6 echo request to an address in the TUN. */
export interface EchoRequest {
  readonly local: IpAddress
  readonly remote: IpAddress
  readonly id: number
  readonly sequence: number
  /** A copy of the payload. */
  readonly payload: Uint8Array
  /** Sends the echo reply. May be called any time later, or never. */
  reply(): void
  /** Sends destination unreachable. */
  reject(reason: Rejection): void
}

/** Whom the stack asks; set once. Returning undefined means: nobody is here ('silence'). */
export interface StackHandlers {
  /** A SYN for an address and port nobody here listens on. Keep the flow, dial, then `accept` or `reject` it. */
  onTcp(flow: TcpFlow): TcpFlowHandler | undefined
  /** The first datagram of a flow; it is then given to the handler. */
  onUdp(flow: UdpFlow): UdpFlowHandler | undefined
  onEcho(request: EchoRequest): void
}

/** Answers datagrams on an address of our own without a flow (DNS): the hot path, so no objects. */
export type DatagramResponder = (
  buffer: Uint8Array,
  start: number,
  end: number,
  /** Answers this datagram, now or later. The bytes are copied. Do not keep it longer than a few seconds. */
  reply: (payload: Uint8Array) => void,
) => void

export interface StackOptions {
  /** Of the TUN. Decides the MSS offered and where datagrams are fragmented. */
  mtu: number
  /** Whether segments larger than the MSS may be sent, with a virtio header that says how to cut them. */
  gso: boolean
  /** Uniform in 0 .. 2^32 - 1. Initial sequence numbers, IP identification, fragment ids. */
  random: () => number
  /** Where finished frames go: a batch a call. */
  output: (buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number) => void
  /** Addresses of our own (the DNS server's): other ports there are refused, pings answered at once. */
  ownAddresses?: IpAddress[]
  /** Whose packets are taken: the TUN's own addresses. All others are counted and dropped. Undefined: everybody's. */
  sources?: IpAddress[]
  limits?: Partial<StackLimits>
  tuning?: Partial<TcpTuning>
}

/** Times in milliseconds. */
export interface TcpTuning {
  keepAliveIdle: number // default 7,200,000 (RFC 9293 3.8.4); Infinity: never probe
  keepAliveInterval: number // default 75,000
  keepAliveProbes: number // default 9 unanswered, then 'timeout'
  timeWait: number // 2 MSL, default 1,000: no segment lives for minutes between here and this machine's kernel
  pendingTimeout: number // default 130,000: a SYN not sent again for so long has been given up by its program
}

export interface StackLimits {
  tcpFlows: number // default 20,000; a SYN above it is not answered
  udpFlows: number // default 4,096; the longest idle makes room
  receiveBytesPerFlow: number // default 1 MiB: largest window we offer
  receiveBytes: number // default 64 MiB over all flows
  reassemblyBytes: number // default 1 MiB of IP fragments, 30 s (RFC 791 3.2, RFC 8200 4.5)
}

/** Counters since the start; plain numbers. */
export interface StackCounters {
  packetsIn: number
  packetsOut: number
  bytesIn: number
  bytesOut: number
  dropped: number
  /** From other addresses than `sources`. */
  foreign: number
  retransmitted: number
  tcpFlows: number
  udpFlows: number
}

export interface Stack {
  readonly counters: Readonly<StackCounters>
  setHandlers(handlers: StackHandlers): void
  /** Takes one batch of frames. Call `flush` afterwards. */
  input(buffer: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, count: number, now: number): void
  /**
   * Hands what is to be sent to `output`: data, and ACKs that were owed. To be called once after a round of work
   * (a batch of input, a read of the tunnel), so that ACKs and segments coalesce.
   */
  flush(now: number): void
  /** When `tick` is due, in the unit of `now`; Infinity if never. */
  nextDeadline(): number
  tick(now: number): void
  /** Datagrams to this address and port go to `responder`. */
  listenUdp(local: Endpoint, responder: DatagramResponder): void
  /** Connections to this address and port go to `accept` instead of `onTcp`; same rules as `onTcp`. */
  listenTcp(local: Endpoint, accept: (flow: TcpFlow) => TcpFlowHandler | undefined): void
  /** Opens a connection (SYN-SENT): tests and benchmarks drive two stacks back to back. `onOpen` when established. */
  connect(local: Endpoint, remote: Endpoint, handler: TcpFlowHandler & { onOpen(): void }): TcpFlow
  /** All live TCP and UDP flows. */
  flows(): Iterable<TcpFlow | UdpFlow>
  /** RST to every TCP flow, everything freed. */
  close(): void
}
