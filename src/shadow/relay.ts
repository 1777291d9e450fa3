// One TCP connection of the agent: it copies bytes between a socket and a channel, both ways and with back pressure. The
// end or reset of either side is passed on to the other.

import { connect, isIP, type OnReadOpts, type Socket } from 'node:net'
import { resetSocket } from '../base/reset.ts'
import type { Channel, ChannelHandler } from '../tunnel/ssh/channel.ts'
import { OpenFailure, type OpenRequest } from '../tunnel/ssh/internals.ts'
import type { ChannelMux } from '../tunnel/ssh/mux.ts'
import { MAX_OWN_DATA } from '../tunnel/ssh/packet-shape.ts'
import { readInto } from '../tunnel/ssh/read-into.ts'

/** All sockets are read into this one buffer, because what was read is sent before the next read. It holds two channel messages. */
const READ_BUFFER = Buffer.allocUnsafeSlow(2 * MAX_OWN_DATA)
/** Reused buffers for the part of a read that a channel did not take; 2 MiB of them are kept. */
const MAX_SPARE = 16
const spare: Buffer[] = []
/** Pieces of at least this size are batched with others of the same turn; smaller ones are written at once. */
const SMALL_BYTES = 4096
/** The limit for all sessions together. More connections are refused with the reason "resource shortage". */
const MAX_RELAYS = 20_000

/** The connections of one agent, of all its sessions. */
export class RelaySet {
  readonly #relays = new Set<Relay>()
  readonly #dialling = new Map<Relay, ChannelMux>()

  get size(): number {
    return this.#relays.size
  }

  /** Serves a direct-tcpip request: dialled first, confirmed when connected. */
  open(mux: ChannelMux, request: OpenRequest): void {
    const { destIP: host = '', destPort: port = 0 } = request.data
    if (isIP(host) === 0 || port < 1 || port > 65_535) {
      mux.refuse(request, OpenFailure.prohibited, 'only addresses can be dialled')
      return
    }
    if (this.#relays.size >= MAX_RELAYS) {
      mux.refuse(request, OpenFailure.shortage, 'too many connections')
      return
    }
    const relay = new Relay((error) => {
      this.#relays.delete(relay)
      if (this.#dialling.delete(relay) && error)
        mux.refuse(request, OpenFailure.connectFailed, `${error.code ?? 'EIO'}: ${error.message}`)
    })
    this.#relays.add(relay)
    this.#dialling.set(relay, mux)
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, onread: relay.onread })
    relay.useSocket(socket)
    socket.on('connect', () => {
      this.#dialling.delete(relay)
      relay.useChannel(mux.accept(request, relay))
    })
  }

  /**
   * Joins an accepted socket, paused, to a channel that is open; `over` when the socket is closed. `peeked`: something may have been
   * read of it, which lies in it. Returns the channel's owner.
   */
  join(accepted: Socket, channel: Channel, over: () => void, peeked = false): ChannelHandler {
    const relay = new Relay(() => this.#relays.delete(relay))
    this.#relays.add(relay)
    const socket = peeked ? undefined : readInto(accepted, relay.onread)
    relay.useSocket(socket ?? accepted)
    relay.useChannel(channel)
    if (socket) socket.once('close', over)
    else {
      accepted.once('close', over)
      accepted.on('data', (chunk: Buffer) => {
        if (!relay.fromSocket(chunk, chunk.length)) accepted.pause()
      })
      accepted.resume()
      // While its claimant was asked it was being read, so its end or reset may have come, and is not told again.
      if (accepted.closed) over()
      if (accepted.closed || accepted.readableEnded) queueMicrotask(() => relay.missed(accepted.closed))
    }
    return relay
  }

  /** The session of `mux` is lost: connections that are being dialled have no channel yet to tell them. */
  lose(mux: ChannelMux): void {
    for (const [relay, of] of [...this.#dialling]) if (of === mux) relay.onClose('lost')
  }
}

class Relay implements ChannelHandler {
  readonly onread: OnReadOpts = {
    buffer: READ_BUFFER,
    callback: (bytes) => this.fromSocket(READ_BUFFER, bytes),
  }
  readonly #over: (error?: NodeJS.ErrnoException) => void
  #socket!: Socket
  #channel: Channel | undefined
  /** Read from the socket and not taken by the channel. */
  #rest: Buffer | undefined
  /** Where `#rest` lies. */
  #memory: Buffer | undefined
  #socketEnded = false
  #done = false
  #corked = false
  /** Bytes from the channel that the socket has not passed to the kernel. */
  #unwritten = 0

  /** `over` is called once, with the socket's error if it had one. */
  constructor(over: (error?: NodeJS.ErrnoException) => void) {
    this.#over = over
  }

  useSocket(socket: Socket): void {
    this.#socket = socket
    socket.on('end', this.#ended)
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#done) return
      this.#finish(error)
      this.#channel?.reset()
    })
    socket.on('close', () => this.#finish())
  }

  readonly #ended = (): void => {
    this.#socketEnded = true
    if (!this.#rest) this.#channel?.end()
  }

  /** What the socket told before it was used: it has closed, or its far side has ended its direction. */
  missed(closed: boolean): void {
    if (!closed) {
      this.#ended()
      return
    }
    this.#finish()
    this.#channel!.reset()
  }

  useChannel(channel: Channel): void {
    this.#channel = channel
    channel.use = 'returned'
  }

  /** Returns false when the socket must be read no further; it is resumed when the channel takes more. */
  fromSocket(buffer: Buffer, bytes: number): boolean {
    const channel = this.#channel
    if (!channel) return true
    const taken = channel.write(buffer, 0, bytes)
    if (taken === bytes) return true
    this.#memory = spare.pop() ?? Buffer.allocUnsafeSlow(READ_BUFFER.length)
    this.#memory.set(buffer.subarray(taken, bytes))
    this.#rest = this.#memory.subarray(0, bytes - taken)
    return false
  }

  onData(chunk: Buffer): void {
    this.#unwritten += chunk.length
    if (!this.#corked && chunk.length >= SMALL_BYTES) {
      // Messages come in the pieces they were read in: those of one turn leave in one system call.
      this.#corked = true
      this.#socket.cork()
      process.nextTick(this.#uncork)
    }
    this.#socket.write(chunk, this.#written)
  }

  onEnd(): void {
    this.#socket.end()
  }

  onDrain(): void {
    const rest = this.#rest
    if (!rest) return
    const taken = this.#channel!.write(rest, 0, rest.length)
    if (taken < rest.length) {
      this.#rest = rest.subarray(taken)
      return
    }
    this.#forget()
    if (this.#socketEnded) this.#channel!.end()
    else this.#socket.resume()
  }

  onClose(how: 'clean' | 'reset' | 'lost'): void {
    this.#finish()
    if (how !== 'clean') resetSocket(this.#socket)
  }

  onOpen(): void {}
  onRefused(): void {}

  readonly #written = (): void => {
    const left = this.#socket.writableLength
    const written = this.#unwritten - left
    this.#unwritten = left
    if (written > 0 && !this.#done) this.#channel?.consumed(written)
  }

  #finish(error?: NodeJS.ErrnoException): void {
    if (this.#done) return
    this.#done = true
    this.#forget()
    this.#over(error)
  }

  #forget(): void {
    this.#rest = undefined
    if (this.#memory && spare.length < MAX_SPARE) spare.push(this.#memory)
    this.#memory = undefined
  }

  readonly #uncork = (): void => {
    this.#corked = false
    this.#socket.uncork()
  }
}
