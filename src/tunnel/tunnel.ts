// What a tunnel into the cluster is to the rest of kt: byte streams and datagrams to addresses as the shadow pod sees
// them. Two implementations over SSH (our agent, any sshd) and one over this machine's own sockets for tests; one suite
// of tests holds for all of them.
import type { Endpoint, IpAddress } from '../wire/address.ts'

/** Why a dial failed, as the far side's kernel said. */
export type DialFailure = 'refused' | 'host-unreachable' | 'net-unreachable' | 'timeout' | 'prohibited' | 'lost'

/** A stream's owner. All calls are synchronous; none comes after `onClose`, and none before `openStream` has returned. */
export interface StreamHandler {
  /**
   * True promises that a chunk is not looked at any more once `consumed` was called for its bytes: then its memory is used
   * again, which at full speed saves a quarter of this process's work. Read when the stream is opened.
   */
  readonly returnsChunks?: boolean
  /** The far side has accepted. */
  onOpen(): void
  /** The dial failed; the stream is gone. */
  onFail(reason: DialFailure, message: string): void
  /** Bytes from the far side. The chunk is the receiver's to keep, unchanged (it may be a view of a larger buffer). */
  onData(chunk: Uint8Array): void
  /** The far side's FIN. Sending may go on. */
  onEnd(): void
  /** `write` will take bytes again. */
  onDrain(): void
  /** Over, once: both directions ended, the far side's RST, or the tunnel was lost. */
  onClose(reason: 'closed' | 'reset' | 'lost'): void
}

/** One TCP connection made by the shadow. */
export interface TunnelStream {
  /**
   * Sends `buffer[start .. end)`; consumed before the call returns. Returns how many bytes were taken: fewer than
   * offered when the window or the transport is full; then `onDrain` will come.
   */
  write(buffer: Uint8Array, start: number, end: number): number
  /** FIN after what was written. */
  end(): void
  /** RST at the far side where the shadow can (the agent), else a close. */
  reset(): void
  /** The owner is done with this many bytes it got by `onData`: the far side may send as many more. */
  consumed(bytes: number): void
}

export interface DatagramHandler {
  /** A datagram from the target; the view is valid during the call only. */
  onDatagram(payload: Uint8Array): void
  /** The far side's kernel reported an ICMP error, or the tunnel went; the flow is gone. */
  onFail(reason: DialFailure): void
}

/** A UDP socket of the shadow, connected to one target. No handshake: the first datagram opens it. */
export interface TunnelDatagrams {
  /** Sends a datagram; copied. Dropped silently when the transport is full, as UDP is. */
  send(payload: Uint8Array): void
  close(): void
}

/** Which requests of a port with HTTP routing are meant. */
export interface ListenMatch {
  /** Any case. */
  header: string
  value: string
  /** True: a value that begins with `value` is enough. */
  prefix: boolean
}

export interface ListenOptions {
  match?: ListenMatch
  /** How long a connection may wait for an answer of this side, in ms, 1000 if undefined. */
  patienceMs?: number
}

/** A connection that somebody in the cluster has made. It waits for an answer (`patienceMs`), then it goes to the original. */
export interface IncomingStream {
  /** The shadow's port that was connected to. */
  readonly port: number
  /** Who connected, as the shadow saw it. */
  readonly origin: Endpoint
  /** Takes it: the stream is open when this returns, so `onOpen` is not called; no other call comes before it has returned. */
  accept(handler: StreamHandler): TunnelStream
  /** Resets it: nobody answers here. */
  refuse(reason: DialFailure, message: string): void
  /** Leaves it to the original, where there is one. */
  decline(message: string): void
}

/** A flow of datagrams that somebody in the cluster has begun; its first ones wait for the answer, as streams do. */
export interface IncomingDatagrams {
  readonly port: number
  readonly origin: Endpoint
  /** Accepts it. Datagrams that arrived before are given to `handler` after this has returned. */
  accept(handler: DatagramHandler): TunnelDatagrams
  /** Drops it, without a word to the caller. */
  refuse(): void
}

/** Exactly one answer is to be given to each; later ones do nothing. */
export interface ListenHandler {
  onStream(incoming: IncomingStream): void
  onDatagrams(incoming: IncomingDatagrams): void
  /** The port is somebody else's now, who claimed it while this tunnel did not answer. Not called when the tunnel is lost. */
  onLost?(message: string): void
}

export interface TunnelListener {
  readonly port: number
  /** What comes from now on goes to the original. What was accepted goes on. Never rejects. */
  close(): Promise<void>
}

/** What the shadow told about itself when the tunnel opened. */
export interface ShadowInfo {
  /** `agent`, or `sshd` with the server's own identification. */
  kind: 'agent' | 'sshd'
  version: string
  capabilities: { udp: boolean; ping: boolean; reset: boolean }
  /** The pod's addresses. Empty with sshd. */
  addresses: string[]
  /** /etc/resolv.conf of the pod, unparsed; undefined when it could not be read. */
  resolvConf: string | undefined
}

/** A live tunnel. Opened by `connectTunnel`, whose promise settles when the SSH session is ready and `info` is known. */
export interface Tunnel {
  readonly info: ShadowInfo
  openStream(target: Endpoint, origin: Endpoint, handler: StreamHandler): TunnelStream
  /** Throws UnsupportedError where `info.capabilities.udp` is false. */
  openDatagrams(target: Endpoint, handler: DatagramHandler): TunnelDatagrams
  /**
   * Claims a port of the shadow, of those it was started with, until `close` or the tunnel's end. `options.match` is for ports with HTTP
   * routing, and needed there. Rejects with TunnelError 'port-in-use' (claimed, by another tunnel that is alive, or this one),
   * 'no-port' (not one of the shadow's, or `match` does not fit it), 'timeout', 'lost'; with UnsupportedError for sshd.
   */
  listen(
    port: number,
    protocol: 'TCP' | 'UDP',
    handler: ListenHandler,
    options?: ListenOptions,
  ): Promise<TunnelListener>
  /** True when the address answered an echo request of `payload.length` bytes within `timeoutMs`. */
  ping(target: IpAddress, payload: Uint8Array, timeoutMs: number): Promise<boolean>
  /** Heartbeat through the data path: the round trip in ms. Rejects when the tunnel is lost. */
  probe(timeoutMs: number): Promise<number>
  readonly stats: Readonly<TunnelStats>
  /** Settles when the shadow was told to end. It serves on until `release`, or for 20 s. */
  readonly leaving: Promise<void>
  /** Nothing needs this shadow any more: what leads to it has moved, or will within moments. */
  release(): void
  /**
   * For 15 s, connections to the shadow's ports that end before they say anything are answered with `bytes`, 64 at most. False
   * where the shadow cannot do that.
   */
  answerEmpty(bytes: Uint8Array): boolean
  /** What lies below, if it outlives its connections; what it says of itself may change at any time. */
  readonly line?: TunnelLine
  /** Settles once, when the tunnel is over, with why. All streams have got `onClose('lost')` by then. */
  readonly closed: Promise<TunnelClosed>
  close(): Promise<void>
}

/** The line below a tunnel: docs/understand/line.md. */
export interface TunnelLine {
  readonly report: LineReport
  /** Called when the report has changed. */
  onChange: (report: LineReport) => void
  /** Asked while there is no connection: is there still an agent to reach? False ends the tunnel. Rejects when nobody knows. */
  isAlive: () => Promise<boolean>
  /** Something has happened that may have broken the connection: another route, another address. */
  suspect(cause: string): void
}

/** What a line says of itself. */
export interface LineReport {
  /** `suspected`: another connection is looked for beside the one there is. `interrupted`: there is none that brings anything. */
  state: 'open' | 'suspected' | 'interrupted'
  /** Why, and since when (milliseconds of its clock), unless it is open. */
  cause: string | undefined
  since: number
  /** How often it went on over a new connection after it had lost or suspected one. */
  resumptions: number
  /** How often it left a connection in time that was about to be ended. */
  moves: number
  /** How long nothing got through the last time, from when something began to wait. */
  lastGap: { ms: number; cause: string } | undefined
  /** Round trip of a probe, the least of the last few. */
  roundTripMs: number | undefined
  /** What carries it now: none while it is interrupted. */
  paths: LinePathReport[]
  /** How many there are to be at a time. */
  wantedPaths: number
  /** Why there are fewer than wanted, if that is known. */
  missingPath: string | undefined
}

export interface LinePathReport {
  /** Undefined for plain TCP. */
  way: 'spdy' | 'websocket' | undefined
  ageMs: number
  /** When something on the way will end it, as it has ended others; undefined if nothing is known. */
  endsInMs: number | undefined
}

export interface TunnelClosed {
  /** True when `close` was called here. */
  expected: boolean
  message: string
}

export interface TunnelStats {
  streams: number
  streamsOpened: number
  datagramFlows: number
  bytesIn: number
  bytesOut: number
  /** Bytes waiting for the transport. */
  queued: number
  roundTripMs: number | undefined
}
