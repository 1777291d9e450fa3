// How an answer leaves the server: shaped for the client that asked, with an OPT record if it sent one, cut to what it takes.

import type { Clock } from '../base/clock.ts'
import { EDE, type ExtendedError, OPT_LEN, truncate, writeOpt } from './build.ts'
import { type CacheEntry, writeAnswer } from './cache.ts'
import type { DnsCounters } from './interfaces.ts'
import { FLAG_CD, FLAG_QR, FLAG_RA, FLAG_RD, HEADER_LEN, putU16, type QueryView, RCODE, u16 } from './message.ts'

/** The largest answer over UDP. The path stays inside this machine, but an answer of many fragments is better sent over TCP. */
const MOST_UDP = 4096
const MAX_MESSAGE = 65_535

export interface Client {
  transport: 'udp' | 'tcp'
  /** What it is given is valid during the call only. */
  reply: (answer: Uint8Array) => void
}

export class Replies {
  readonly #clock: Clock
  readonly #counters: DnsCounters
  readonly #scratch = new Uint8Array(MAX_MESSAGE + 1024)
  #closed = false

  constructor(clock: Clock, counters: DnsCounters) {
    this.#clock = clock
    this.#counters = counters
  }

  /** No client hears anything from now on. */
  close(): void {
    this.#closed = true
  }

  /** `to.nameStart` is where the client's question starts in `buffer`. */
  entry(entry: CacheEntry, buffer: Uint8Array, to: QueryView, client: Client): void {
    const now = this.#clock.now()
    const stale = now >= entry.freshUntil && entry.freshUntil > entry.storedAt
    if (stale) this.#counters.stale++
    const length = writeAnswer(entry, buffer, to.nameStart, to, now, this.#scratch)
    const code = entry.rcode === RCODE.NXDOMAIN ? EDE.STALE_NXDOMAIN : EDE.STALE_ANSWER
    this.#send(length, to, client, entry.rcode >> 4, stale ? { code, text: '' } : undefined)
  }

  /** An error with the question repeated if it could be read. */
  error(rcode: number, buffer: Uint8Array, to: QueryView, client: Client, extended?: ExtendedError): void {
    const scratch = this.#scratch
    const question = buffer.subarray(to.nameStart, to.questionEnd)
    scratch.fill(0, 0, HEADER_LEN)
    putU16(scratch, 0, to.id)
    scratch[2] = FLAG_QR | (to.flags2 & (0x78 | FLAG_RD)) // the opcode is repeated
    scratch[3] = FLAG_RA | (to.flags3 & FLAG_CD) | (rcode & 15)
    scratch[5] = question.length > 0 ? 1 : 0
    scratch.set(question, HEADER_LEN)
    this.#send(HEADER_LEN + question.length, to, client, rcode >> 4, extended)
  }

  // Puts the OPT record behind a message of `length` octets in the scratch, cuts it to the client's size, and sends it.
  #send(
    length: number,
    to: QueryView,
    { transport, reply }: Client,
    rcodeHigh: number,
    extended: ExtendedError | undefined,
  ): void {
    if (this.#closed) return
    const scratch = this.#scratch
    const most = transport === 'tcp' ? MAX_MESSAGE : Math.max(512, Math.min(to.udpSize, MOST_UDP)) // RFC 6891 6.2.3
    const room = most - (to.edns ? OPT_LEN + (extended ? 6 + 3 * extended.text.length : 0) : 0)
    if (length > room) length = truncate(scratch, length, room)
    if (to.edns) {
      putU16(scratch, 10, u16(scratch, 10) + 1)
      length = writeOpt(scratch, length, rcodeHigh, to.dnssecOk, extended)
    }
    reply(scratch.subarray(0, length))
  }
}
