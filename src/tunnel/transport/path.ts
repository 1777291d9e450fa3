// One connection below a transport: a TCP socket, or a port-forward. Whole messages go out, bytes come in; it ends once.
// A plain transport has one path for all its life; a line (src/tunnel/line) goes over one path after another.
import { type Departure, Gatherer } from './gatherer.ts'
import type { Framing, Transport } from './transport.ts'

export interface Path {
  /** How a message is wrapped; `send` takes what it has sealed. */
  readonly framing: Framing
  /** Sends a sealed message. `done` comes when the kernel has taken it, or when the path has failed. */
  send(message: Buffer, done: () => void): void
  /** Starts reading. `onData` gets chunks that are valid during the call; `onClose` comes once, with an error if it did not end well. */
  start(onData: (chunk: Buffer) => void, onClose: (error: Error | undefined) => void): void
  /** Closes when what was sent has left. */
  end(): void
  /** Closes at once; `onClose` comes with `error`. */
  destroy(error?: Error): void
  /** What carries it through the API server; undefined for plain TCP. */
  readonly way?: Way
  /** When it will be ended, as far as that is known: all in ms from now. A line moves to another path at `moveInMs`. */
  fate?(): Fate | undefined
}

/** Which protocol a port-forward speaks with the API server. */
export type Way = 'spdy' | 'websocket'

export interface Fate {
  moveInMs: number
  endInMs: number
  /** If it is still open then, nothing ends it at `endInMs`. */
  disprovedInMs: number
}

/** A transport that lives as long as its only path. */
export function pathTransport(path: Path, departure?: Departure): Transport {
  const gatherer = new Gatherer(
    (message, done) => {
      path.send(message, done)
      return false
    },
    { framing: path.framing, departure },
  )
  return {
    start: (onData, onClose) =>
      path.start(onData, (error) => {
        gatherer.close()
        onClose(error)
      }),
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
    end: () => gatherer.whenEmpty(() => path.end()),
    destroy: (error) => path.destroy(error),
  }
}
