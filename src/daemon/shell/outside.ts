// Connections and datagrams from this machine's own network, in the form of a tunnel, so that the relays of a shell need
// not know where a flow goes. A socket's error keeps its kind.
import { connect, type Socket } from 'node:net'
import { ConnectedDatagrams } from '../../base/datagram-socket.ts'
import { resetSocket } from '../../base/reset.ts'
import type { Pinger } from '../../shadow/ping.ts'
import { failureOfErrno } from '../../tunnel/agent-protocol/failure.ts'
import type { DatagramHandler, StreamHandler, TunnelDatagrams, TunnelStream } from '../../tunnel/tunnel.ts'
import { type Endpoint, formatEndpoint, type IpAddress } from '../../wire/address.ts'
import type { RelayTunnel } from '../relay.ts'

/** Bytes of one connection that wait for its socket, and bytes read that its program has not acknowledged yet. */
const MOST_QUEUED = 1 << 20
const MOST_OWED = 1 << 20
/** Each is a descriptor of this process. */
const MOST_SOCKETS = 16_384

/** All sockets are read into this one buffer: what was read is copied before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 << 10)

/** What was read lies in pieces of this size until its program has acknowledged it; some that are free are kept. */
const PIECE_BYTES = 64 << 10
const MOST_SPARE = 64
const spare: Buffer[] = []

export interface OutsideOptions {
  /** Addresses to dial for the one that the program dialled, tried in order while they refuse. Default: that one. */
  targets?: (address: IpAddress) => string[]
  /** Undefined where this machine has no ping sockets. Asked at the first ping. */
  pinger(): Promise<Pinger | undefined>
}

export class Outside implements RelayTunnel {
  readonly info = { capabilities: { udp: true, ping: true, reset: true } }
  readonly #options: OutsideOptions
  readonly #open = new Set<{ drop(): void }>()
  #pinger: Promise<Pinger | undefined> | undefined

  constructor(options: OutsideOptions) {
    this.#options = options
  }

  openStream(target: Endpoint, _origin: Endpoint, handler: StreamHandler): TunnelStream {
    const stream = new OutsideStream(this.#targets(target.address), target, handler, () => this.#open.delete(stream))
    if (this.#open.size >= MOST_SOCKETS) queueMicrotask(() => stream.fail('timeout', 'too many connections'))
    else stream.dial()
    this.#open.add(stream)
    return stream
  }

  openDatagrams(target: Endpoint, handler: DatagramHandler): TunnelDatagrams {
    const flow = new OutsideDatagrams(this.#targets(target.address)[0], target.port, handler, () =>
      this.#open.delete(flow),
    )
    this.#open.add(flow)
    return flow
  }

  async ping(target: IpAddress, payload: Uint8Array, timeoutMs: number): Promise<boolean> {
    this.#pinger ??= this.#options.pinger().catch(() => undefined)
    const pinger = await this.#pinger
    if (!pinger) return false
    return await new Promise((resolve) => pinger.ping(target, payload.length, timeoutMs, resolve))
  }

  /** Resets what is open. */
  close(): void {
    for (const one of [...this.#open]) one.drop()
    void this.#pinger?.then((pinger) => pinger?.close())
  }

  #targets(address: IpAddress): string[] {
    return this.#options.targets?.(address) ?? [address.toString()]
  }
}

class OutsideStream implements TunnelStream {
  readonly #targets: string[]
  readonly #target: Endpoint
  readonly #handler: StreamHandler
  readonly #forget: () => void
  #socket: Socket | undefined
  #open = false
  /** A write was cut short, so `onDrain` is owed. */
  #short = false
  #owed = 0
  /** Pieces that hold what is owed, in order, with how much of each. Only memory that is used again is fast. */
  readonly #pieces: { memory: Buffer; left: number }[] = []
  #paused = false
  #ended = false
  #gotEnd = false
  #over = false

  constructor(targets: string[], target: Endpoint, handler: StreamHandler, forget: () => void) {
    this.#targets = targets
    this.#target = target
    this.#handler = handler
    this.#forget = forget
  }

  dial(which = 0): void {
    const socket = connect({
      host: this.#targets[which],
      port: this.#target.port,
      allowHalfOpen: true,
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (bytes) => this.#read(bytes) },
    })
    this.#socket = socket
    socket.on('connect', () => {
      if (this.#over) return
      this.#open = true
      this.#handler.onOpen()
    })
    socket.on('end', () => {
      if (this.#over) return
      this.#gotEnd = true
      this.#handler.onEnd()
    })
    socket.on('drain', () => this.#drained())
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#over) return
      if (this.#open) this.#finish('reset')
      else if (error.code === 'ECONNREFUSED' && which + 1 < this.#targets.length) this.dial(which + 1)
      else this.fail(failureOfErrno(error.code), `${formatEndpoint(this.#target)}: ${error.message}`)
    })
    socket.on('close', () => {
      if (this.#socket === socket && this.#open) this.#finish(this.#ended && this.#gotEnd ? 'closed' : 'reset')
    })
  }

  fail(reason: Parameters<StreamHandler['onFail']>[0], message: string): void {
    if (this.#over) return
    this.#leave()
    this.#handler.onFail(reason, message)
  }

  write(buffer: Uint8Array, start: number, end: number): number {
    const socket = this.#socket
    if (!socket || !this.#open || this.#ended || this.#over) return 0
    const size = Math.min(end - start, Math.max(0, MOST_QUEUED - socket.writableLength))
    // A copy, since the socket may keep it and the caller reads into the same memory again.
    if (size > 0) socket.write(Buffer.from(buffer.subarray(start, start + size)))
    if (size < end - start) this.#short = true
    return size
  }

  end(): void {
    if (this.#ended || this.#over) return
    this.#ended = true
    this.#socket?.end()
  }

  reset(): void {
    if (this.#over) return
    this.#leave()
    if (this.#socket) resetSocket(this.#socket)
  }

  consumed(bytes: number): void {
    this.#owed -= bytes
    this.#giveBack(bytes)
    if (!this.#paused || this.#owed > MOST_OWED / 2) return
    this.#paused = false
    this.#socket?.resume()
  }

  drop(): void {
    const open = this.#open
    if (this.#over) return
    this.reset()
    if (open) this.#handler.onClose('lost')
  }

  #read(bytes: number): boolean {
    if (this.#over) return true
    this.#owed += bytes
    for (let at = 0; at < bytes && !this.#over; at += PIECE_BYTES) {
      const memory = spare.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES)
      const left = READ_BUFFER.copy(memory, 0, at, Math.min(bytes, at + PIECE_BYTES))
      // Without the promise somebody may look at it for longer.
      if (this.#handler.returnsChunks) this.#pieces.push({ memory, left })
      this.#handler.onData(memory.subarray(0, left))
    }
    this.#paused = this.#owed > MOST_OWED
    return !this.#paused
  }

  #giveBack(bytes: number): void {
    let rest = bytes
    while (rest > 0 && this.#pieces.length > 0) {
      const [piece] = this.#pieces
      const taken = Math.min(rest, piece.left)
      piece.left -= taken
      rest -= taken
      if (piece.left > 0) return
      this.#pieces.shift()
      if (spare.length < MOST_SPARE) spare.push(piece.memory)
    }
  }

  #drained(): void {
    if (!this.#short || this.#over) return
    this.#short = false
    this.#handler.onDrain()
  }

  #finish(how: 'closed' | 'reset'): void {
    if (this.#over) return
    this.#leave()
    this.#handler.onClose(how)
  }

  #leave(): void {
    this.#over = true
    this.#forget()
  }
}

class OutsideDatagrams implements TunnelDatagrams {
  readonly #socket: ConnectedDatagrams
  readonly #forget: () => void

  constructor(address: string, port: number, handler: DatagramHandler, forget: () => void) {
    this.#forget = forget
    this.#socket = new ConnectedDatagrams(address, port, {
      onMessage: (payload) => handler.onDatagram(payload),
      onError: (error) => {
        forget()
        handler.onFail(failureOfErrno(error.code))
      },
    })
  }

  send(payload: Uint8Array): void {
    this.#socket.send(Uint8Array.from(payload))
  }

  close(): void {
    this.#forget()
    this.#socket.close()
  }

  drop(): void {
    this.close()
  }
}
