// A socket of this machine with the face of a stream of the tunnel, for whoever has to take either.

import type { Socket } from 'node:net'
import { resetSocket } from '../base/reset.ts'
import type { StreamHandler, TunnelStream } from '../tunnel/tunnel.ts'

/** Bytes that the owner may owe before the socket is not read any more: as much as a channel's first window. */
const MOST_OWED = 256 << 10

/** The socket is connected, and nobody reads it yet. */
export function socketStream(
  socket: Socket,
  handler: Pick<StreamHandler, 'onData' | 'onEnd' | 'onDrain' | 'onClose'>,
): TunnelStream {
  let owed = 0
  let ended = false
  socket.on('data', (chunk: Buffer) => {
    owed += chunk.length
    if (owed > MOST_OWED) socket.pause()
    handler.onData(chunk)
  })
  socket.on('end', () => {
    ended = true
    handler.onEnd()
  })
  socket.on('drain', () => handler.onDrain())
  socket.on('error', () => {}) // `close` follows
  socket.on('close', (failed) => handler.onClose(!failed && ended && socket.writableFinished ? 'closed' : 'reset'))
  return {
    write: (buffer, start, end) => {
      if (socket.writableNeedDrain) return 0
      // A copy: the caller's memory may be written to again.
      socket.write(Uint8Array.prototype.slice.call(buffer, start, end))
      return end - start
    },
    end: () => void socket.end(),
    reset: () => resetSocket(socket),
    consumed: (bytes) => {
      owed -= bytes
      if (owed <= MOST_OWED) socket.resume()
    },
  }
}
