// What port-forwards of both kinds share: a socket, one reason why it ended, and the Path made of them. The kinds differ in
// their framing only.
import type { Socket } from 'node:net'
import { brokenSentence } from '../../base/unreachable.ts'
import { TunnelError } from '../errors.ts'
import type { Path, Way } from './path.ts'
import type { Framing, Inlet } from './transport.ts'

export class ForwardPath {
  readonly #socket: Socket
  #failure: Error | undefined
  #ending = false
  #onData: (chunk: Buffer) => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Bytes of the port, for the path's owner. */
  deliver(piece: Buffer): void {
    this.#onData(piece)
  }

  /** Why it will end, unless we end it ourselves; the first reason counts. */
  lost(message: string, hint = '`kubectl get pods` shows whether the shadow runs; `kt logs` has more'): void {
    if (!this.#ending) this.#failure ??= new TunnelError('lost', message, hint)
  }

  /** Ends it now. */
  fail(message: string): void {
    this.lost(message)
    this.#socket.destroy()
  }

  /** The cluster's own words about the port, which end it. */
  failed(text: string): void {
    if (/connection refused/.test(text))
      this.#failure ??= new TunnelError(
        'unreachable',
        'port-forward: nothing listens on that port of the pod',
        'it may still be starting: try again',
      )
    this.fail(`port-forward: ${text.trim()}`)
  }

  /** `decode` takes what the socket brings (its errors end the path); `farewell` is sent before an orderly end. */
  over(way: Way, framing: Framing, inlet: Inlet, decode: (chunk: Buffer) => void, farewell: () => void): Path {
    const socket = this.#socket
    let closed = false
    let onClose: ((error: Error | undefined) => void) | undefined
    // From now on: it may fail before anybody starts it.
    socket.on('error', (error) =>
      this.lost(
        `port-forward: ${brokenSentence('the API server', error)}`,
        'see whether the API server can be reached: kubectl version',
      ),
    )
    socket.on('end', () => {
      this.lost('port-forward: closed by the cluster')
      socket.destroy()
    })
    socket.on('close', () => {
      if (closed) return
      closed = true
      onClose?.(this.#failure)
    })
    return {
      way,
      framing,
      send: (message, done) => void socket.write(message, done),
      start: (data, over) => {
        this.#onData = data
        onClose = over
        if (closed) setImmediate(() => over(this.#failure))
        inlet.listen((chunk) => {
          try {
            decode(chunk)
          } catch (error) {
            this.fail((error as Error).message)
          }
        })
      },
      end: () => {
        this.#ending = true
        farewell()
        socket.end(() => socket.destroy())
      },
      destroy: (error) => {
        this.#failure ??= error
        socket.destroy()
      },
    }
  }
}
