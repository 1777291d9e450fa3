// Tells the other end what has come over each path, in PATH_ACK. This begins with the first JOIN of a line and goes on until
// the line ends, because the other end may count on it after this one has lost a path.
import type { Clock } from '../../base/clock.ts'
import { LineFrame, lineFrame, offsetBytes } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** A PATH_ACK is sent each time so much has come over a path, and for what is less after a while. */
const ACK_BYTES = 256 * 1024
const ACK_MS = 10

export class PathAcks {
  readonly #clock: Clock
  readonly #received: () => number
  readonly #waiting = new Map<LinePath, () => void>()

  /** `received`: what has come in order, over all paths. */
  constructor(clock: Clock, received: () => number) {
    this.#clock = clock
    this.#received = received
  }

  /** `path` has brought payload. */
  arrived(path: LinePath): void {
    if (path.received - path.ackSent >= ACK_BYTES) this.#sendAck(path)
    else if (!this.#waiting.has(path))
      this.#waiting.set(
        path,
        this.#clock.after(ACK_MS, () => this.#sendAck(path)),
      )
  }

  close(): void {
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
  }

  #sendAck(path: LinePath): void {
    this.#waiting.get(path)?.()
    this.#waiting.delete(path)
    if (path.ackSent === path.received) return
    path.ackSent = path.received
    path.send(lineFrame(LineFrame.pathAck, offsetBytes(this.#received()), offsetBytes(path.received)))
  }
}
