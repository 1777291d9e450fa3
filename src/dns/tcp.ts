// DNS over TCP (RFC 1035 4.2.2, RFC 7766): each message behind two octets of length. Reading a stream apart into
// messages, framing one, and a client's connection to our server with queries answered in whatever order they are ready.
import type { DnsServer } from './interfaces.ts'

type OnMessage = (buffer: Uint8Array, start: number, end: number) => void

/** Cuts a byte stream into messages. Holds at most one message that is not complete. */
export class TcpFramer {
  #partial: Uint8Array | undefined
  #have = 0
  readonly #length = new Uint8Array(2)
  #lengthBytes = 0

  /** Calls `onMessage` for each message that is complete now; the bytes are valid during the call only. */
  push(buffer: Uint8Array, start: number, end: number, onMessage: OnMessage): void {
    while (start < end) {
      if (this.#lengthBytes < 2) {
        this.#length[this.#lengthBytes++] = buffer[start++]
        // Without this, an empty message would be reported only when the next octet arrives.
        if (this.#lengthBytes === 2 && this.#length[0] === 0 && this.#length[1] === 0) {
          this.#lengthBytes = 0
          onMessage(buffer, start, start)
        }
        continue
      }
      const length = (this.#length[0] << 8) | this.#length[1]
      if (!this.#partial && end - start >= length) {
        this.#lengthBytes = 0
        onMessage(buffer, start, (start += length))
        continue
      }
      this.#partial ??= new Uint8Array(length)
      const take = Math.min(length - this.#have, end - start)
      this.#partial.set(buffer.subarray(start, start + take), this.#have)
      this.#have += take
      start += take
      if (this.#have < length) return
      const message = this.#partial
      this.#partial = undefined
      this.#have = this.#lengthBytes = 0
      onMessage(message, 0, length)
    }
  }
}

/** A copy of the message with its length in front. Throws RangeError above 65,535 octets. */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > 0xffff) throw new RangeError('a DNS message has at most 65,535 octets')
  const framed = new Uint8Array(message.length + 2)
  framed[0] = message.length >>> 8
  framed[1] = message.length
  framed.set(message, 2)
  return framed
}

/** What a session needs of the connection; a TcpFlow of the stack has all of it. */
export interface DnsConnection {
  /** Takes the chunk over. */
  send(chunk: Uint8Array): void
  /** FIN. */
  end(): void
  /** Asks for the bytes that `receive` did not take. */
  resume(): void
}

// RFC 7766 6.2.1.1 wants pipelining; this bounds what one client may have open.
const MOST_PENDING = 128

/** One client's connection: give it what is received, it sends the answers. */
export class DnsTcpSession {
  readonly #server: Pick<DnsServer, 'handle'>
  readonly #connection: DnsConnection
  readonly #framer = new TcpFramer()
  #pending = 0
  #blocked = false
  #ended = false
  #closed = false

  constructor(server: Pick<DnsServer, 'handle'>, connection: DnsConnection) {
    this.#server = server
    this.#connection = connection
  }

  /** As TcpFlowHandler.onData: returns how many bytes were taken, none while too many queries are open. */
  receive(buffer: Uint8Array, start: number, end: number): number {
    if (this.#closed) return end - start
    if (this.#pending >= MOST_PENDING) {
      this.#blocked = true
      return 0
    }
    // Queries are taken in small batches, so that one large chunk cannot exceed the bound by much.
    const taken = Math.min(end - start, 4096)
    this.#framer.push(buffer, start, start + taken, (b, from, to) => {
      this.#pending++
      let answered = false
      this.#server.handle(b, from, to, 'tcp', (answer) => {
        if (answered || this.#closed) return
        answered = true
        this.#connection.send(frame(answer))
        this.#done()
      })
      // What deserves no answer (no header, an answer itself) is dropped by the server: nothing is pending then.
      if (!answered && (to - from < 12 || b[from + 2] & 0x80)) this.#done()
    })
    if (taken < end - start) return taken + this.receive(buffer, start + taken, end)
    return taken
  }

  /** The client's FIN: what is open is still answered, then ours follows. */
  end(): void {
    this.#ended = true
    if (this.#pending === 0 && !this.#closed) this.#connection.end()
  }

  /** The connection is gone. */
  close(): void {
    this.#closed = true
  }

  #done(): void {
    this.#pending--
    if (this.#blocked && this.#pending < MOST_PENDING / 2) {
      this.#blocked = false
      this.#connection.resume()
    }
    if (this.#ended && this.#pending === 0) this.#connection.end()
  }
}
