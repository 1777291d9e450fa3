// A stream as a socket is, whose other end the test plays.
import { Duplex } from 'node:stream'

export class StreamPair {
  readonly near: Duplex
  #heard = ''

  constructor() {
    this.near = new Duplex({
      allowHalfOpen: false,
      read() {},
      write: (chunk: Buffer, _, done) => {
        this.#heard += chunk.toString()
        done()
      },
    })
  }

  say(text: string): void {
    this.near.push(text)
  }

  end(): void {
    this.near.push(null)
  }

  /** All that was written to us. */
  heard(): string {
    return this.#heard
  }

  /** What was said is heard by then. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  }
}
