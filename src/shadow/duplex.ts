// A channel as a Node stream, for the router of HTTP requests: half-closed when the other side is, with back pressure both ways,
// and `destroy` is a reset unless both directions have ended.
import { Duplex } from 'node:stream'
import type { Channel, ChannelHandler } from '../tunnel/ssh/channel.ts'
import type { Endpoint } from '../wire/address.ts'
import type { Claim } from './claims.ts'

class DialError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * Brings a claimant a connection to `port` from `origin`. Rejects with an Error whose `code` is the errno of the refusal
 * (ECONNREFUSED), or ENOTCONN when the claimant is not there or does not answer.
 */
export function dialClaimant(
  { claimant, patience }: Pick<Claim, 'claimant' | 'patience'>,
  port: Endpoint,
  origin: Endpoint,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    claimant.ask(port, origin, patience, {
      taken(channel) {
        const duplex = new ChannelDuplex(channel)
        resolve(duplex)
        return duplex.handler
      },
      refused(words) {
        const [, code = 'ECONNREFUSED', message = words] = /^([A-Z][A-Z0-9]+): (.*)$/s.exec(words) ?? []
        reject(new DialError(code, message))
      },
      absent: () => reject(new DialError('ENOTCONN', 'the client does not answer')),
    })
  })
}

class ChannelDuplex extends Duplex {
  readonly handler: ChannelHandler
  readonly #channel: Channel
  /** Given to the reader's queue and not yet acknowledged. */
  #owed = 0
  #writing: { chunk: Uint8Array; done: () => void } | undefined

  constructor(channel: Channel) {
    super({ allowHalfOpen: true })
    this.#channel = channel
    // The client may reset at any time, also before somebody listens and after everybody has stopped to.
    this.on('error', () => {})
    this.handler = {
      onOpen() {},
      onRefused() {},
      onData: (chunk) => {
        this.#owed += chunk.length
        // What the queue has no room for is acknowledged when the reader wants more.
        if (this.push(chunk)) this.#acknowledge()
      },
      onEnd: () => this.push(null),
      onDrain: () => this.#send(),
      onClose: (how) => {
        if (how !== 'clean') this.destroy(new DialError('ECONNRESET', how === 'lost' ? 'the client is gone' : 'reset'))
      },
    }
  }

  override _read(): void {
    this.#acknowledge()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.#writing = { chunk, done }
    this.#send()
  }

  override _final(done: () => void): void {
    this.#channel.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Does nothing to a channel that has closed.
    this.#channel.reset()
    done(error)
  }

  #acknowledge(): void {
    const bytes = this.#owed
    this.#owed = 0
    if (bytes > 0) this.#channel.consumed(bytes)
  }

  #send(): void {
    const writing = this.#writing
    if (!writing) return
    const taken = this.#channel.write(writing.chunk, 0, writing.chunk.length)
    if (taken < writing.chunk.length) {
      writing.chunk = writing.chunk.subarray(taken)
      return
    }
    this.#writing = undefined
    writing.done()
  }
}
