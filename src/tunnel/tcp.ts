// A TCP connection as transport: the agent's side, the lab, and tests. (The real way in is src/tunnel/portforward.ts.)
import { createConnection, type Socket } from 'node:net'
import { TunnelError } from './errors.ts'
import { type Departure, Gatherer, Inlet, plainFraming, type Sink, type Transport } from './transport.ts'

/** Wraps a connected socket; it belongs to the transport from now on. `inlet` if the socket is read by one. */
export function socketTransport(socket: Socket, inlet?: Inlet, departure?: Departure): Transport {
  const sink: Sink = (message, done) => void socket.write(message, done)
  const gatherer = new Gatherer(sink, plainFraming, departure)
  let closed = false
  let failure: Error | undefined
  socket.setNoDelay(true)
  if (!inlet) socket.pause()
  return {
    start(onData, onClose) {
      socket.on('error', (error) => {
        failure ??= error
      })
      socket.on('end', () => socket.destroy())
      socket.on('close', () => {
        if (closed) return
        closed = true
        gatherer.close()
        onClose(failure)
      })
      if (inlet) {
        inlet.listen(onData)
      } else {
        socket.on('data', onData)
        socket.resume()
      }
    },
    reserve: (length) => gatherer.reserve(length),
    write: (chunk) => gatherer.write(chunk),
    unhurried: (write) => gatherer.unhurried(write),
    get buffered() {
      return gatherer.buffered
    },
    get onDrain() {
      return gatherer.onDrain
    },
    set onDrain(callback) {
      gatherer.onDrain = callback
    },
    end() {
      gatherer.whenEmpty(() => socket.end(() => socket.destroy()))
    },
    destroy(error) {
      failure ??= error
      socket.destroy()
    },
  }
}

/** Dials an SSH server directly. Rejects with TunnelError 'unreachable'. */
export function openTcp(host: string, port: number): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const inlet = new Inlet()
    const socket = createConnection({ host, port, onread: inlet.onread })
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socketTransport(socket, inlet))
    })
    socket.once('error', (error) =>
      reject(
        new TunnelError('unreachable', `${host}:${port}: ${error.message}`, 'see whether something listens there'),
      ),
    )
  })
}
