// Accepted sockets read into one buffer.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'

/**
 * Makes an accepted socket read into our buffer. Node offers this only for sockets that it dials; otherwise each read takes fresh
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
