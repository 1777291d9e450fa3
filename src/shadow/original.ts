// The way to the pods that a Service had before: what no client takes goes on there, byte by byte, with its ends and resets.
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import type { Endpoint } from '../wire/address.ts'

/** Joins an accepted socket to a new connection to `original`; without one, or when it cannot be reached, it is reset. */
export function passToOriginal(socket: Socket, original: Endpoint | undefined): void {
  if (!original) {
    socket.resetAndDestroy()
    return
  }
  const onward = connect(options(original))
  follow(socket, onward)
  follow(onward, socket)
  onward.on('connect', () => {
    socket.pipe(onward)
    onward.pipe(socket)
  })
}

/** A connection of its own to `original`. Rejects with what the kernel said, or when there is none. */
export function dialOriginal(original: Endpoint | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (!original) {
      reject(new Error('there is no original'))
      return
    }
    const socket = connect(options(original))
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function options({ address, port }: Endpoint): TcpNetConnectOpts {
  return { host: address.toString(), port, allowHalfOpen: true, noDelay: true }
}

/** Resets `other` when `socket` ends otherwise than by FIN in both directions. */
function follow(socket: Socket, other: Socket): void {
  socket.on('error', () => other.resetAndDestroy())
  socket.on('close', () => {
    if (!(socket.readableEnded && socket.writableFinished)) other.resetAndDestroy()
  })
}
