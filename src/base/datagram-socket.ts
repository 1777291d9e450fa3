// The only module that uses node:dgram. A UDP socket of Node reports a failure in one of four ways: to the callback of
// `connect`, to the callback of `send`, as an event, or as an exception when it is used too early or too late. A failure that
// nobody expects ends the process. Here all of them reach one handler, which fails one flow.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { closeSync } from 'node:fs'

export interface DatagramHandler {
  /** The receiver may keep `payload`. */
  onMessage(payload: Buffer, from: RemoteInfo): void
  /**
   * The socket could not be connected, or the other end refuses; it is closed then. This is called at most once, never
   * before the constructor has returned, and never after `close`.
   */
  onError(error: NodeJS.ErrnoException): void
}

/** How many datagrams may wait for connect(2), which Node calls in a later turn of the event loop. */
const MAX_WAITING = 16
/** With these errors one datagram is lost and the flow goes on: it was too large for the path, or a buffer was full. */
const ONE_LOST = new Set(['EMSGSIZE', 'EAGAIN', 'ENOBUFS', 'ENOMEM'])

const familyOf = (address: string) => (address.includes(':') ? 'udp6' : 'udp4')

/** A socket that is connected to one address. The kernel drops what other addresses send, and reports ICMP errors. */
export class ConnectedDatagrams {
  readonly #handler: DatagramHandler
  #socket: Socket | undefined
  #open = true
  /** Datagrams that wait until the socket is connected; undefined from then on. */
  #waiting: Uint8Array[] | undefined = []
  readonly #sent = (error: Error | null) => {
    if (error) this.#fail(error)
  }

  /**
   * `address` is an address, not a name. An IPv6 address may have a zone. `made`: the descriptor of a socket that is not
   * connected, in place of one of this process's own.
   */
  constructor(address: string, port: number, handler: DatagramHandler, made?: Promise<number>) {
    this.#handler = handler
    if (!made) this.#connect(address, port)
    else
      made.then(
        (fd) => {
          if (this.#open) this.#connect(address, port, fd)
          else closeSync(fd)
        },
        (error: Error) => this.#fail(error),
      )
  }

  /**
   * `payload` must not change afterwards. With `unheard` a failure to send this datagram is not reported, which saves Node a
   * turn of the event loop. If the failure lasts, the next datagram without `unheard` reports it.
   */
  send(payload: Uint8Array, unheard = false): void {
    if (!this.#open) return
    if (this.#waiting) {
      if (this.#waiting.length < MAX_WAITING) this.#waiting.push(payload)
      return
    }
    try {
      this.#socket?.send(payload, unheard ? undefined : this.#sent)
    } catch (error) {
      queueMicrotask(() => this.#fail(error as Error))
    }
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#waiting = undefined
    closeQuietly(this.#socket)
  }

  #connect(address: string, port: number, fd?: number): void {
    try {
      const socket = createSocket(familyOf(address))
      this.#socket = socket
      socket.on('error', (error) => this.#fail(error))
      socket.on('message', (payload, from) => {
        if (this.#open) this.#handler.onMessage(payload, from)
      })
      const done = ((error?: Error) => (error ? this.#fail(error) : this.#connected())) as () => void
      if (fd === undefined) socket.connect(port, address, done)
      else
        socket.bind({ fd }, () => {
          if (this.#open) socket.connect(port, address, done)
        })
    } catch (error) {
      queueMicrotask(() => this.#fail(error as Error))
    }
  }

  #connected(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const payload of waiting) this.send(payload)
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (!this.#open || (!this.#waiting && ONE_LOST.has(error.code ?? ''))) return
    this.close()
    this.#handler.onError(error)
  }
}

/** A socket with a port of its own, for many addresses. A datagram that cannot be sent is lost, and nothing else happens. */
export class BoundDatagrams {
  readonly port: number
  readonly family: 4 | 6
  #socket: Socket | undefined

  private constructor(socket: Socket, onMessage: DatagramHandler['onMessage']) {
    const { port, family } = socket.address()
    this.port = port
    this.family = family === 'IPv6' ? 6 : 4
    this.#socket = socket
    socket.on('error', () => {}) // it concerns one address, whose datagram is lost
    socket.on('message', (payload, from) => {
      if (this.#socket) onMessage(payload, from)
    })
  }

  /** Port 0 is any free port. Rejects with the kernel's error. A udp6 socket on `::` takes both families. */
  static bind(address: string, port: number, onMessage: DatagramHandler['onMessage']): Promise<BoundDatagrams> {
    return new Promise((resolve, reject) => {
      const socket = createSocket(familyOf(address))
      const fail = (error: Error) => {
        closeQuietly(socket)
        reject(error)
      }
      socket.once('error', fail)
      socket.bind(port, address, () => {
        try {
          const bound = new BoundDatagrams(socket, onMessage)
          socket.off('error', fail)
          resolve(bound)
        } catch (error) {
          fail(error as Error)
        }
      })
    })
  }

  /** `payload` must not change afterwards. */
  send(payload: Uint8Array, port: number, address: string): void {
    try {
      this.#socket?.send(payload, port, address, () => {})
    } catch {
      // The datagram is lost, as any other that could not be sent.
    }
  }

  close(): void {
    const socket = this.#socket
    this.#socket = undefined
    closeQuietly(socket)
  }
}

function closeQuietly(socket: Socket | undefined): void {
  try {
    socket?.close()
  } catch {
    // It was not open.
  }
}
