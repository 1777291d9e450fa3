// How a client finds out whether a Service's own address leads to the shadow already: it connects there and ends the connection
// without a word, which harms no server. For the next seconds the agent answers such connections with bytes that the client has
// chosen; nobody else does.

import type { Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'

const VALID_MS = 15_000
const MAX_BYTES = 64
/** A caller that says nothing so long may wait for the server to speak first. */
const SILENT_MS = 50

export class EmptyAnswer {
  readonly #clock: Clock
  #bytes: Buffer = Buffer.alloc(0)
  #until = -1

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Several clients may ask at once: the bytes of the last one come first, and each looks for its own. */
  set(bytes: Buffer): void {
    const now = this.#clock.now()
    const before = now < this.#until ? this.#bytes : Buffer.alloc(0)
    this.#bytes = Buffer.concat([bytes.subarray(0, MAX_BYTES), before]).subarray(0, 4 * MAX_BYTES)
    this.#until = now + VALID_MS
  }

  /** Answers `socket`, which is paused, if it ends before it says anything; calls `onward` if it does not. False: nothing is to be answered now. */
  take(socket: Socket, onward: () => void): boolean {
    if (this.#clock.now() >= this.#until) return false
    const bytes = this.#bytes
    const over = () => {
      cancel()
      socket.off('readable', look).off('end', answer)
    }
    const go = () => {
      over()
      socket.off('error', ignore)
      onward()
    }
    const look = () => {
      const chunk = socket.read() as Buffer | null
      if (!chunk) return // its end, which is told by itself
      over()
      socket.unshift(chunk)
      go()
    }
    const answer = () => {
      over()
      socket.end(bytes)
    }
    const cancel = this.#clock.after(SILENT_MS, go)
    socket.on('error', ignore).on('close', over).on('readable', look).on('end', answer)
    return true
  }
}

// The close that follows says enough.
function ignore(): void {}
