// A tunnel that ends in this machine's own sockets: for tests of what stands on a tunnel, and for the lab. Same rules as
// the real ones, no cluster.

import { connect, type Socket } from 'node:net'
import { ConnectedDatagrams } from '../../src/base/datagram-socket.ts'
import { resetSocket } from '../../src/base/reset.ts'
import { failureOfErrno } from '../../src/tunnel/agent-protocol/failure.ts'
import type {
  DatagramHandler,
  ListenHandler,
  ShadowInfo,
  StreamHandler,
  Tunnel,
  TunnelClosed,
  TunnelDatagrams,
  TunnelListener,
  TunnelStats,
  TunnelStream,
} from '../../src/tunnel/tunnel.ts'
import { type Endpoint, formatEndpoint, type IpAddress } from '../../src/wire/address.ts'
import { type LoopbackListener, listenTcp, listenUdp } from './loopback-listen.ts'

export interface LoopbackOptions {
  /** Which addresses answer pings. Default: none. */
  answersPing?: (address: IpAddress) => boolean
  resolvConf?: string
}

/** Bytes a socket may hold before `write` takes no more, and bytes a reader may owe before the socket is paused. */
const LIMIT = 256 * 1024

export function createLoopbackTunnel(options: LoopbackOptions = {}): Tunnel & { lose(message: string): void } {
  return new LoopbackTunnel(options)
}

class LoopbackTunnel implements Tunnel {
  readonly info: ShadowInfo
  readonly closed: Promise<TunnelClosed>
  /** Never: a machine has no evictions. */
  readonly leaving = new Promise<void>(() => {})
  readonly streams = new Set<LoopbackStream>()
  readonly datagrams = new Set<LoopbackDatagrams>()
  readonly #listeners = new Set<LoopbackListener>()
  bytesIn = 0
  bytesOut = 0
  /** Why the tunnel has ended, once it has. */
  over: string | undefined
  #opened = 0
  #answersPing: (address: IpAddress) => boolean
  #finish: (closed: TunnelClosed) => void = () => {}

  constructor(options: LoopbackOptions) {
    this.#answersPing = options.answersPing ?? (() => false)
    this.info = {
      kind: 'agent',
      version: 'loopback',
      capabilities: { udp: true, ping: options.answersPing !== undefined, reset: true },
      addresses: ['127.0.0.1', '::1'],
      resolvConf: options.resolvConf,
    }
    this.closed = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  get stats(): TunnelStats {
    let queued = 0
    for (const stream of this.streams) queued += stream.queued
    return {
      streams: this.streams.size,
      streamsOpened: this.#opened,
      datagramFlows: this.datagrams.size,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      queued,
      roundTripMs: 0,
    }
  }

  openStream(target: Endpoint, _origin: Endpoint, handler: StreamHandler): TunnelStream {
    this.#opened++
    const socket = connect({ host: target.address.toString(), port: target.port, allowHalfOpen: true, noDelay: true })
    return new LoopbackStream(this, socket, handler, target)
  }

  /** Listens on 127.0.0.1 of this machine; port 0 takes any. There is no HTTP routing here. */
  async listen(port: number, protocol: 'TCP' | 'UDP', handler: ListenHandler): Promise<TunnelListener> {
    const listener =
      protocol === 'UDP'
        ? await listenUdp(port, handler)
        : await listenTcp(port, handler, (socket, owner) => {
            this.#opened++
            return new LoopbackStream(this, socket, owner)
          })
    if (this.over) listener.lose()
    else this.#listeners.add(listener)
    return listener
  }

  openDatagrams(target: Endpoint, handler: DatagramHandler): TunnelDatagrams {
    return new LoopbackDatagrams(this, target, handler)
  }

  ping(target: IpAddress): Promise<boolean> {
    return Promise.resolve(this.#answersPing(target))
  }

  release(): void {}

  answerEmpty(): boolean {
    return false
  }

  probe(): Promise<number> {
    return this.over ? Promise.reject(new Error(this.over)) : Promise.resolve(0)
  }

  /** As if the connection to the cluster broke. */
  lose(message: string): void {
    this.#end({ expected: false, message })
  }

  async close(): Promise<void> {
    this.#end({ expected: true, message: 'closed' })
  }

  #end(closed: TunnelClosed): void {
    if (this.over) return
    this.over = closed.message
    for (const stream of [...this.streams]) stream.lose()
    for (const flow of [...this.datagrams]) flow.fail('lost')
    for (const listener of this.#listeners) listener.lose()
    this.#finish(closed)
  }
}

class LoopbackStream implements TunnelStream {
  readonly #tunnel: LoopbackTunnel
  readonly #socket: Socket
  #handler: StreamHandler
  #open: boolean
  #short = false
  #owed = 0
  #ended = false
  #gotEnd = false
  #over = false

  /** `target` for a socket that is being dialled; else it is open. */
  constructor(tunnel: LoopbackTunnel, socket: Socket, handler: StreamHandler, target?: Endpoint) {
    this.#tunnel = tunnel
    this.#handler = handler
    tunnel.streams.add(this)
    if (tunnel.over) queueMicrotask(() => this.lose())
    this.#socket = socket
    this.#open = target === undefined
    this.#socket.on('connect', () => {
      this.#open = true
      this.#handler.onOpen()
    })
    this.#socket.on('data', (chunk: Buffer) => {
      tunnel.bytesIn += chunk.length
      this.#owed += chunk.length
      if (this.#owed > LIMIT) this.#socket.pause()
      this.#handler.onData(chunk)
    })
    this.#socket.on('end', () => {
      this.#gotEnd = true
      this.#handler.onEnd()
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#over) return
      if (this.#open) return this.#finish('reset')
      this.#forget()
      this.#handler.onFail(failureOfErrno(error.code), `${formatEndpoint(target!)}: ${error.message}`)
    })
    this.#socket.on('close', () => this.#finish(this.#ended && this.#gotEnd ? 'closed' : 'reset'))
    // Accepted sockets are paused, so that nothing comes before its owner is there.
    if (this.#open) queueMicrotask(() => this.#socket.resume())
  }

  get queued(): number {
    return this.#socket.writableLength
  }

  write(buffer: Uint8Array, start: number, end: number): number {
    if (!this.#open || this.#ended || this.#over) return 0
    const size = Math.min(end - start, Math.max(0, LIMIT - this.#socket.writableLength))
    if (size > 0) {
      // A copy, since the socket may keep it and the caller may change it.
      this.#socket.write(Buffer.from(buffer.subarray(start, start + size)), () => this.#written())
      this.#tunnel.bytesOut += size
    }
    if (size < end - start) this.#short = true
    return size
  }

  end(): void {
    if (this.#ended || this.#over) return
    this.#ended = true
    this.#socket.end()
  }

  reset(): void {
    if (this.#over) return
    this.#forget()
    resetSocket(this.#socket)
  }

  consumed(bytes: number): void {
    this.#owed -= bytes
    if (this.#owed <= LIMIT / 2 && this.#socket.isPaused()) this.#socket.resume()
  }

  lose(): void {
    if (this.#over) return
    const open = this.#open
    const handler = this.#handler
    this.reset()
    if (open) handler.onClose('lost')
    else handler.onFail('lost', 'the tunnel was lost')
  }

  #written(): void {
    if (!this.#short || this.#over || this.#socket.writableLength > LIMIT / 2) return
    this.#short = false
    this.#handler.onDrain()
  }

  #finish(how: 'closed' | 'reset'): void {
    if (this.#over) return
    this.#forget()
    this.#handler.onClose(how)
  }

  #forget(): void {
    this.#over = true
    this.#tunnel.streams.delete(this)
  }
}

class LoopbackDatagrams implements TunnelDatagrams {
  readonly #tunnel: LoopbackTunnel
  readonly #socket: ConnectedDatagrams
  readonly #handler: DatagramHandler

  constructor(tunnel: LoopbackTunnel, target: Endpoint, handler: DatagramHandler) {
    this.#tunnel = tunnel
    this.#handler = handler
    tunnel.datagrams.add(this)
    this.#socket = new ConnectedDatagrams(target.address.toString(), target.port, {
      onMessage: (payload) => {
        tunnel.bytesIn += payload.length
        handler.onDatagram(payload)
      },
      onError: (error) => this.fail(failureOfErrno(error.code)),
    })
  }

  send(payload: Uint8Array): void {
    if (!this.#tunnel.datagrams.has(this)) return
    this.#tunnel.bytesOut += payload.length
    this.#socket.send(Uint8Array.from(payload))
  }

  close(): void {
    if (!this.#tunnel.datagrams.delete(this)) return
    this.#socket.close()
  }

  fail(reason: ReturnType<typeof failureOfErrno>): void {
    if (!this.#tunnel.datagrams.has(this)) return
    this.close()
    this.#handler.onFail(reason)
  }
}
