// The one user of node:dgram. A UDP socket of Node's reports its failures in four ways: to the callback of `connect`, to the
// callback of `send`, as an event, and as an exception when it is used too early or too late. One that nobody expects ends the
// process. Here they all reach one handler, which fails one flow.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'

export interface DatagramHandler {
  /** `payload` is the receiver's to keep. */
  onMessage(payload: Buffer, from: RemoteInfo): void
  /**
   * The socket cannot be used, and is closed: it could not be connected, or the other end refuses. At most once, never before
   * the call that made the socket has returned, and never after `close`.
   */
  onError(error: NodeJS.ErrnoException): void
}

/** Datagrams that may wait for connect(2), which Node does in a later turn. */
const MAX_WAITING = 16
/** That datagram is lost, the flow is not: it is too large for the path, or a buffer is full. */
const ONE_LOST = new Set(['EMSGSIZE', 'EAGAIN', 'ENOBUFS', 'ENOMEM'])

const familyOf = (address: string) => (address.includes(':') ? 'udp6' : 'udp4')

/** A socket with one other end. The kernel drops what others send, and reports ICMP errors. */
export class ConnectedDatagrams {
  readonly #handler: DatagramHandler
  #socket: Socket | undefined
  #open = true
  /** Until connected. */
  #waiting: Uint8Array[] | undefined = []
  readonly #sent = (error: Error | null) => {
    if (error) this.#fail(error)
  }

  /** `address` is an address, not a name; one of IPv6 may have a zone. */
  constructor(address: string, port: number, handler: DatagramHandler) {
    this.#handler = handler
    try {
      const socket = createSocket(familyOf(address))
      this.#socket = socket
      socket.on('error', (error) => this.#fail(error))
      socket.on('message', (payload, from) => {
        if (this.#open) handler.onMessage(payload, from)
      })
      socket.connect(port, address, ((error?: Error) => (error ? this.#fail(error) : this.#connected())) as () => void)
    } catch (error) {
      queueMicrotask(() => this.#fail(error as Error))
    }
  }

  /**
   * `payload` must not change afterwards. With `unheard` nobody hears whether this one could be sent, which saves a turn of
   * Node's; the next one that is heard fails as well.
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

/** A socket with a port of its own, for many other ends. What cannot be sent to one of them is lost, and nothing else. */
export class BoundDatagrams {
  readonly port: number
  readonly family: 4 | 6
  #socket: Socket | undefined

  private constructor(socket: Socket, onMessage: DatagramHandler['onMessage']) {
    const { port, family } = socket.address()
    this.port = port
    this.family = family === 'IPv6' ? 6 : 4
    this.#socket = socket
    socket.on('error', () => {}) // one other end's, and its datagram is lost
    socket.on('message', (payload, from) => {
      if (this.#socket) onMessage(payload, from)
    })
  }

  /** Port 0 is any. Rejects with what the kernel said. A udp6 socket on `::` takes both families. */
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
      // As any other datagram that could not be sent.
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
