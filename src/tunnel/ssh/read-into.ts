// Accepted sockets read into one buffer.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'

/**
 * An accepted socket as one that is read into our buffer, which Node offers for those it dials only: else each read takes a fresh
 * 64 KiB. The handle is passed on as Node's own server does it. Undefined where this Node has other insides.
 */
export function readInto(accepted: Socket, onread: OnReadOpts): Socket | undefined {
  const insides = accepted as unknown as { _handle?: { useUserBuffer?: unknown } | null }
  const handle = insides._handle
  if (typeof handle?.useUserBuffer !== 'function') return undefined
  insides._handle = null
  accepted.destroy()
  return new Socket({ handle, onread, allowHalfOpen: true } as SocketConstructorOpts)
}
