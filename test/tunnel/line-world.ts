// A line in virtual time: both ends, and a network between them that delays, stalls in either direction, and cuts at any
// byte. Nothing waits: time goes on when everything that is due has happened.
import { GREETING } from '../../src/tunnel/line/frames.ts'
import type { Path } from '../../src/tunnel/transport/path.ts'
import { plainFraming } from '../../src/tunnel/transport/transport.ts'
import type { VirtualTime } from '../support/virtual-time.ts'

/** What a connection brings within so many ms comes at once. */
const PIECE_MS = 20

interface Message {
  /** Undefined: the sender has closed, and nothing comes behind this. */
  bytes: Buffer | undefined
  /** When it arrives, and when the sender's kernel has taken it. */
  readonly at: number
  readonly takenAt: number
}

/** One direction of a connection. */
class Pipe {
  stalled = false
  /** The sender has used memory for others before the kernel had taken what was in it. */
  spoilt = false
  /** Bytes per ms, and what the sender's kernel takes before they have left. */
  rate = Number.POSITIVE_INFINITY
  buffer = 0
  /** Everything that was sent, as an eavesdropper sees it. */
  readonly seen: Buffer[] = []
  readonly #time: VirtualTime
  readonly #delay: () => number
  readonly #deliver: (bytes: Buffer) => void
  #queue: Message[] = []
  #last = 0
  #busyUntil = 0
  /** Bytes that may still pass before the connection is cut. */
  left = Number.POSITIVE_INFINITY
  readonly #cut: () => void
  readonly #finished: () => void
  readonly #isOpen: () => boolean

  /** `finished`: everything has arrived that the sender's kernel had taken when the sender closed. */
  constructor(
    time: VirtualTime,
    delay: () => number,
    deliver: (bytes: Buffer) => void,
    { cut, finished, isOpen }: { cut: () => void; finished: () => void; isOpen: () => boolean },
  ) {
    this.#isOpen = isOpen
    this.#time = time
    this.#delay = delay
    this.#deliver = deliver
    this.#cut = cut
    this.#finished = finished
  }

  /** Returns when the kernel has taken it all. */
  send(bytes: Buffer): number {
    const most = Math.max(1_000, this.rate * PIECE_MS)
    if (bytes.length > most) {
      // A slow connection brings a message in pieces, and not when the last byte is there.
      this.send(bytes.subarray(0, most))
      return this.send(bytes.subarray(most))
    }
    const now = this.#time.now()
    this.#busyUntil = Math.max(this.#busyUntil, now) + bytes.length / this.rate
    const at = Math.max(this.#last, this.#busyUntil + this.#delay())
    this.#last = at
    const takenAt = Math.max(now, this.#busyUntil - this.buffer / this.rate)
    const message: Message = { bytes, at, takenAt }
    this.#queue.push(message)
    // The kernel copies a message when it has room. The sender must not use its memory for others before.
    const given = takenAt > now ? Buffer.from(bytes) : bytes
    const take = () => {
      if (!this.#queue.includes(message)) return
      message.bytes = Buffer.from(bytes)
      if (!given.equals(bytes) && this.#isOpen()) this.spoilt = true
      this.seen.push(message.bytes)
    }
    if (takenAt > now) this.#time.after(takenAt - now, take)
    else take()
    this.#time.after(at - now, () => this.flush())
    return takenAt
  }

  /** The sender has closed: what its kernel has taken still arrives, and then the news. `orderly`: all of it does. */
  finish(orderly: boolean): void {
    const now = this.#time.now()
    if (!orderly) this.#queue = this.#queue.filter(({ bytes, takenAt }) => bytes && takenAt <= now)
    const last = this.#queue.at(-1)
    const at = Math.max(now + this.#delay(), last?.at ?? 0)
    this.#queue.push({ bytes: undefined, at, takenAt: now })
    this.#time.after(at - now, () => this.flush())
  }

  /** Delivers what is due, unless the direction is stalled. */
  flush(): void {
    while (!this.stalled && this.#queue.length > 0 && this.#queue[0].at <= this.#time.now()) {
      const { bytes } = this.#queue.shift()!
      if (!bytes) {
        this.#finished()
        return
      }
      const passing = bytes.subarray(0, Math.min(bytes.length, this.left))
      this.left -= passing.length
      if (passing.length > 0) this.#deliver(passing)
      if (passing.length < bytes.length) {
        this.#queue = []
        this.#cut()
        return
      }
    }
  }
}

interface End {
  onData: (chunk: Buffer) => void
  onClose: (error: Error | undefined) => void
  early: Buffer[]
  closed: boolean
}

/** A connection between a client and the agent, as a path for each. */
export class Connection {
  readonly client: Path
  readonly agent: Path
  readonly up: Pipe
  readonly down: Pipe
  readonly #time: VirtualTime
  readonly #takes: () => number
  readonly #ends: [End, End]

  /** `delay`: of each message, in ms. `takes`: until the kernel has taken one. */
  constructor(time: VirtualTime, delay: () => number, takes: () => number = () => 0) {
    this.#time = time
    this.#takes = takes
    const end = (): End => ({ onData: () => {}, onClose: () => {}, early: [], closed: false })
    const [client, agent] = [end(), end()]
    this.#ends = [client, agent]
    const deliver = (to: End) => (bytes: Buffer) => {
      if (to.closed) return
      to.onData(bytes)
    }
    const pipe = (from: End, to: End) =>
      new Pipe(time, delay, deliver(to), {
        cut: () => this.cut(),
        finished: () => {
          this.#close(to, undefined)
          time.after(delay(), () => this.#close(from, undefined))
        },
        isOpen: () => !from.closed,
      })
    this.up = pipe(client, agent)
    this.down = pipe(agent, client)
    this.client = this.#path(client, this.up)
    this.agent = this.#path(agent, this.down)
  }

  /** Both ends hear of it, as after a reset. */
  cut(): void {
    for (const end of this.#ends) this.#close(end, new Error('cut'))
  }

  get over(): boolean {
    return this.#ends.every(({ closed }) => closed)
  }

  #close(end: End, error: Error | undefined): void {
    if (end.closed) return
    end.closed = true
    this.#time.after(0, () => end.onClose(error))
  }

  #path(end: End, out: Pipe): Path {
    let taken = 0
    return {
      framing: plainFraming,
      send: (message, done) => {
        if (end.closed) return
        const left = out.send(message)
        // A kernel that is full takes a message late: the other end may have answered it before that is told.
        taken = Math.max(taken, left, this.#time.now() + this.#takes())
        this.#time.after(taken - this.#time.now(), done)
      },
      start: (onData, onClose) => {
        end.onData = onData
        end.onClose = onClose
      },
      end: () => out.finish(true),
      destroy: (error) => {
        this.#close(end, error)
        out.finish(false)
      },
    }
  }
}

/** The path behind its greeting, as the agent's door hands it on; throws if there is none. */
export function behindGreeting(path: Path): Path {
  let missing = GREETING.length
  return {
    ...path,
    start: (onData, onClose) =>
      path.start((chunk) => {
        if (missing > 0) {
          const part = chunk.subarray(0, missing)
          const at = GREETING.length - missing
          if (!part.equals(GREETING.subarray(at, at + part.length))) throw new Error('no greeting')
          missing -= part.length
          chunk = chunk.subarray(part.length)
        }
        if (chunk.length > 0) onData(chunk)
      }, onClose),
  }
}
