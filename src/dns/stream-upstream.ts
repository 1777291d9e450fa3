// The cluster's resolver over TCP streams through the tunnel: all there is with an sshd shadow. A pool of connections,
// since CoreDNS answers the queries of one connection one after the other (measured), each used for many queries.
import type { Clock } from '../base/clock.ts'
import type { DnsUpstream } from './interfaces.ts'
import { u16 } from './message.ts'
import { frame, TcpFramer } from './tcp.ts'
import { type Outstanding, OutstandingQueries, type Settle, UpstreamError, withId } from './upstream.ts'

/** A stream to the resolver; TunnelStream of src/tunnel is one. */
export interface DnsStream {
  write(buffer: Uint8Array, start: number, end: number): number
  reset(): void
  consumed(bytes: number): void
}

/** Its owner, as StreamHandler of src/tunnel: nothing is called before `open` has returned, or after `onClose`. */
export interface DnsStreamHandler {
  onOpen(): void
  onFail(reason: string, message: string): void
  onData(chunk: Uint8Array): void
  onEnd(): void
  onDrain(): void
  onClose(reason: string): void
}

export interface StreamUpstreamOptions {
  name: string
  /** Opens one connection: `(handler) => tunnel.openStream(target, origin, handler)`. */
  open: (handler: DnsStreamHandler) => DnsStream
  /** Connections at most. */
  pool?: number
  clock: Clock
  random: () => number
}

const POOL = 8
// As long as the datagram upstream tries.
const TIMEOUT_MS = 3000

export function streamUpstream({ name, open, pool = POOL, clock, random }: StreamUpstreamOptions): DnsUpstream {
  const connections = new Set<Connection>()
  let closed = false

  const pick = (): Connection => {
    let best: Connection | undefined
    for (const connection of connections)
      if (!best || connection.outstanding.size < best.outstanding.size) best = connection
    if (best && (best.outstanding.size === 0 || connections.size >= pool)) return best
    const fresh: Connection = new Connection(open, random, () => connections.delete(fresh))
    connections.add(fresh)
    return fresh
  }

  const attempt = (query: Uint8Array) =>
    new Promise<Uint8Array>((resolve, reject) => {
      const connection = pick()
      const sent: Outstanding = connection.send(query, (answer, error) => {
        cancel()
        if (answer) resolve(answer)
        else reject(error)
      })
      // A connection without an answer for this long may be dead. It is closed, and its other queries are sent again.
      const cancel = clock.after(TIMEOUT_MS, () => {
        sent.reject(new UpstreamError('timeout', `${name} did not answer over TCP`))
        connection.abandon(`${name} did not answer over TCP`)
      })
    })

  return {
    name,
    async query(message) {
      for (let again = false; ; again = true) {
        if (closed) throw new UpstreamError('lost', `${name}: the tunnel is gone`)
        try {
          return withId(await attempt(message), u16(message, 0))
        } catch (error) {
          // RFC 7766 6.2.4: a server may close a connection at any time, and the client asks again on another.
          if (again || !(error instanceof UpstreamError) || error.code !== 'lost') throw error
        }
      }
    },
    close() {
      closed = true
      for (const connection of [...connections]) connection.abandon(`${name}: the tunnel is gone`)
    },
  }
}

class Connection {
  readonly outstanding: OutstandingQueries
  readonly #gone: () => void
  readonly #framer = new TcpFramer()
  readonly #queue: Uint8Array[] = []
  #written = 0
  #stream: DnsStream | undefined
  #isOpen = false

  constructor(open: StreamUpstreamOptions['open'], random: () => number, gone: () => void) {
    this.outstanding = new OutstandingQueries(random)
    this.#gone = gone
    this.#stream = open({
      onOpen: () => {
        this.#isOpen = true
        this.#flush()
      },
      onFail: (_reason, message) => this.#over(message),
      onData: (chunk) => {
        this.#stream?.consumed(chunk.length)
        this.#framer.push(chunk, 0, chunk.length, (buffer, start, end) => {
          const answer = buffer.slice(start, end)
          this.outstanding.match(answer)?.resolve(answer)
        })
      },
      onEnd: () => this.abandon('the resolver closed the connection'),
      onDrain: () => this.#flush(),
      onClose: () => this.#over('the connection to the resolver was lost'),
    })
  }

  send(query: Uint8Array, settle: Settle): Outstanding {
    const sent = this.outstanding.add(new Uint8Array(query), settle)
    this.#queue.push(frame(sent.message))
    if (this.#isOpen) this.#flush()
    return sent
  }

  abandon(why: string): void {
    const stream = this.#stream
    this.#over(why)
    stream?.reset()
  }

  #flush(): void {
    for (let chunk = this.#queue[0]; chunk && this.#stream; chunk = this.#queue[0]) {
      this.#written += this.#stream.write(chunk, this.#written, chunk.length)
      if (this.#written < chunk.length) return
      this.#queue.shift()
      this.#written = 0
    }
  }

  #over(why: string): void {
    this.#stream = undefined
    this.#gone()
    this.outstanding.rejectAll(new UpstreamError('lost', why))
  }
}
