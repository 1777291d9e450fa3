// What a reader of one connection says of the requests that it sees pass by.
import type { BodyTaker } from '../../wire/http/framing.ts'
import type { HeaderField } from '../../wire/http/hpack.ts'

export interface RequestHeadSeen {
  protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  method: string
  path: string
  host: string
  headers: readonly HeaderField[]
}

/** A request under way. The reader counts the bytes of its bodies, and gives what they say to whoever keeps it. */
export interface SeenRequest {
  readonly method: string
  bytesIn: number
  bytesOut: number
  /** Of the request and of its answer; undefined where nobody asked for bodies. */
  readonly bodyIn?: BodyTaker
  readonly bodyOut?: BodyTaker
}

/**
 * How it ended: answered; answered and then no HTTP any more; given up by one side while the connection went on; or
 * over with its connection.
 */
export type Outcome = 'answered' | 'upgraded' | 'cancelled' | 'cut'

/** What readers tell. */
export interface Sink {
  /** Milliseconds of a clock that only goes ahead. */
  now(): number
  /** `began`: when its first byte came. */
  begin(began: number, head: RequestHeadSeen): SeenRequest
  /** Its answer began; again for trailers, whose `status` is undefined. */
  answer(request: SeenRequest, status: number | undefined, headers: readonly HeaderField[]): void
  end(request: SeenRequest, outcome: Outcome): void
  /** Nothing more can be read of this connection, with why. */
  over(why: string): void
}

/** Reads one connection. Each call may throw; then nothing more is read of it. Chunks are looked at during the call only. */
export interface Reader {
  /** It is not HTTP any more: nothing is left to read. */
  readonly finished: boolean
  fromCaller(chunk: Uint8Array): void
  fromProgram(chunk: Uint8Array): void
  /** The local program sends nothing more. */
  programEnded(): void
  closed(): void
}
