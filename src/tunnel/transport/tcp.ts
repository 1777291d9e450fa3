// A TCP connection as transport: the agent's side, the lab, and tests. (The real way in is src/tunnel/transport/portforward.ts.)
import { createConnection, type Socket } from 'node:net'
import { unreachableSentence } from '../../base/unreachable.ts'
import { TunnelError } from '../errors.ts'
import { type Path, pathTransport } from './path.ts'
import { Inlet, plainFraming, type Transport } from './transport.ts'

/** A connected socket as a path; it belongs to the path from now on. `inlet` if the socket is read by one. */
export function socketPath(socket: Socket, inlet?: Inlet): Path {
  let closed = false
  let failure: Error | undefined
  socket.setNoDelay(true)
  if (!inlet) socket.pause()
  return {
    framing: plainFraming,
    send: (message, done) => void socket.write(message, done),
    start(onData, onClose) {
      socket.on('error', (error) => {
        failure ??= error
      })
      socket.on('end', () => socket.destroy())
      socket.on('close', () => {
        if (closed) return
        closed = true
        onClose(failure)
      })
      if (inlet) {
        inlet.listen(onData)
      } else {
        socket.on('data', onData)
        socket.resume()
      }
    },
    end: () => void socket.end(() => socket.destroy()),
    destroy(error) {
      failure ??= error
      socket.destroy()
    },
  }
}

/** Dials an SSH server directly. Rejects with TunnelError 'unreachable'. */
export async function openTcp(host: string, port: number): Promise<Transport> {
  return pathTransport(await dialPath(host, port))
}

/** The same, as a path. */
export function dialPath(host: string, port: number): Promise<Path> {
  return new Promise((resolve, reject) => {
    const inlet = new Inlet()
    const socket = createConnection({ host, port, onread: inlet.onread })
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socketPath(socket, inlet))
    })
    socket.once('error', (error) =>
      reject(
        new TunnelError(
          'unreachable',
          unreachableSentence(`${host}:${port}`, error),
          'see whether something listens there',
        ),
      ),
    )
  })
}
