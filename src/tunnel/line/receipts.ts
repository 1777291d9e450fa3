// Tells the other end what has come over each path, in GOT. Begins with the first JOIN of a line and goes on until its end, because
// the other end may count on it after this one has lost a path.
import type { Clock } from '../../base/clock.ts'
import { LineFrame, lineFrame, offsetBytes } from './frames.ts'
import type { LinePath } from './line-path.ts'

/** It is told each time so much has come over a path, and what is less after a while. */
const TELL_BYTES = 256 * 1024
const TELL_MS = 10

export class Receipts {
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
    if (path.got - path.told >= TELL_BYTES) this.#tell(path)
    else if (!this.#waiting.has(path))
      this.#waiting.set(
        path,
        this.#clock.after(TELL_MS, () => this.#tell(path)),
      )
  }

  close(): void {
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
  }

  #tell(path: LinePath): void {
    this.#waiting.get(path)?.()
    this.#waiting.delete(path)
    if (path.told === path.got) return
    path.told = path.got
    path.send(lineFrame(LineFrame.got, offsetBytes(this.#received()), offsetBytes(path.got)))
  }
}
