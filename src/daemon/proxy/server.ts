// The proxy's port: one on loopback for SOCKS and HTTP alike, told apart by the first byte. It says who may come, how many,
// and how long they may take to say what they want.

import type { Socket } from 'node:net'
import { resetSocket } from '../../base/reset.ts'
import { isSocks } from '../../proxy/socks.ts'
import type { DoorContext, ProxyServerOptions } from './door.ts'
import { HttpDoor } from './http-door.ts'
import { serveSocks } from './socks-door.ts'
import { UdpAssociations } from './udp-associations.ts'

const MOST_CONNECTIONS = 8_192
// Of what a client wants; what it then does is not limited.
const HANDSHAKE_MS = 20_000

export class ProxyServer {
  readonly #options: ProxyServerOptions
  readonly #sockets = new Map<Socket, () => void>()
  readonly #http: HttpDoor
  readonly #context: DoorContext

  constructor(options: ProxyServerOptions) {
    this.#options = options
    const { reach, clock, counters } = options
    this.#context = {
      ...options,
      associations: new UdpAssociations({ reach, clock, counters }),
      settled: (socket) => this.#sockets.get(socket)?.(),
    }
    this.#http = new HttpDoor(this.#context)
  }

  /** One client: a paused socket that may be half-open. */
  serve(socket: Socket): void {
    const { clock, counters, isAllowed } = this.#options
    socket.on('error', () => {}) // `close` follows
    if (this.#sockets.size >= MOST_CONNECTIONS) {
      resetSocket(socket)
      return
    }
    counters.total++
    counters.open++
    const settled = clock.after(HANDSHAKE_MS, () => socket.destroy())
    this.#sockets.set(socket, settled)
    socket.once('close', () => {
      settled()
      this.#sockets.delete(socket)
      counters.open--
    })
    isAllowed(socket).then(
      (allowed) => {
        if (socket.destroyed) return
        if (allowed) this.#greet(socket)
        else resetSocket(socket)
      },
      () => resetSocket(socket),
    )
  }

  close(): void {
    this.#http.close()
    this.#context.associations.close()
    for (const socket of this.#sockets.keys()) resetSocket(socket)
  }

  #greet(socket: Socket): void {
    socket.once('data', (chunk: Buffer) => {
      socket.off('end', ended)
      socket.pause()
      if (isSocks(chunk[0])) serveSocks(socket, chunk, this.#context)
      else this.#http.serve(socket, chunk)
    })
    const ended = () => socket.destroy()
    socket.once('end', ended)
    socket.resume()
  }
}
