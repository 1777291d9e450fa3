// Joins a client's socket with what it asked for: with a stream of the tunnel, or with a socket of this machine. Bytes, FIN
// and RST each way as they came.

import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { resetSocket } from '../../base/reset.ts'
import { connectDirect } from '../../reach/direct.ts'
import type { Attempts } from '../../reach/reach.ts'
import type { DialFailure, Tunnel } from '../../tunnel/tunnel.ts'
import { type Endpoint, IpAddress } from '../../wire/address.ts'
import { Splice, type SpliceCounters } from '../inbound/splice.ts'

// A client that never closes would hold its place.
const FAREWELL_MS = 2_000
const LOOPBACK = IpAddress.parse('127.0.0.1')

export interface CarryOptions {
  where: string
  clock: Clock
  counters: SpliceCounters
  /** Called when the other side has accepted, before any byte of it arrives: the client can be told. */
  onOpen(): void
}

/** The socket is paused, and has nobody who listens for its data. */
export function carry(socket: Socket, { where, clock, counters, onOpen }: CarryOptions): Attempts {
  return {
    isOver: () => socket.destroyed,
    cluster: (tunnel, target) => through(socket, tunnel, target, counters, onOpen),
    direct: async (addresses, port) => {
      let under: Socket | undefined
      const gone = () => under?.destroy()
      socket.once('close', gone)
      const other = await connectDirect(addresses, port, { where, clock, socket: (one) => (under = one) })
      socket.off('close', gone)
      if (socket.destroyed) return resetSocket(other)
      onOpen()
      join(socket, other, (bytes) => (counters.bytesOut += bytes))
      join(other, socket, (bytes) => (counters.bytesIn += bytes))
    },
  }
}

function through(
  socket: Socket,
  tunnel: Tunnel,
  target: Endpoint,
  counters: SpliceCounters,
  onOpen: () => void,
): Promise<DialFailure | undefined> {
  return new Promise((resolve) => {
    const splice = new Splice(socket, counters, {
      onOpen: () => {
        onOpen()
        resolve(undefined)
      },
      onFail: (reason) => {
        splice.detach()
        resolve(reason)
      },
      onClose: () => resolve(undefined),
    })
    const origin = { address: LOOPBACK, port: socket.remotePort ?? 0 }
    splice.attach(tunnel.openStream(target, origin, splice), false)
  })
}

/** The last that a client hears. What it still sends is read, or the kernel would answer that with a reset, which overtakes. */
export function farewell(socket: Socket, last: string | Uint8Array, clock: Clock): void {
  const cancel = clock.after(FAREWELL_MS, () => socket.destroy())
  socket.once('close', cancel)
  socket.on('data', () => {})
  socket.on('end', () => socket.destroySoon())
  socket.end(last)
  socket.resume()
}

/** One direction between two sockets of this machine. A side that ends without a FIN resets the other. */
function join(from: Socket, to: Socket, count: (bytes: number) => void): void {
  let ended = false
  from.on('data', (chunk: Buffer) => {
    count(chunk.length)
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('end', () => {
    ended = true
    to.end()
  })
  from.on('error', () => {})
  from.on('close', (failed) => {
    if ((failed || !ended) && !to.destroyed) resetSocket(to)
  })
  from.resume()
}
