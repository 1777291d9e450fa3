// From what an upstream sent to the answer for the client: the name completed and shortened again, how long it may be
// kept, and the answers that kt gives by itself.

import type { IpAddress } from '../wire/address.ts'
import { buildAnswer, EDE, type ExtendedError, withCname } from './build.ts'
import { type AnswerScan, FLAG_AA, MAX_NAME, nameWire, RCODE, scanAnswer, TYPE } from './message.ts'
import type { OwnAnswer } from './names.ts'

const OWN_S = 3600
// It may depend on what is known of the cluster's namespaces.
const OWN_NEGATIVE_S = 10

const LOOPBACK = new Map<number, Uint8Array>([
  [TYPE.A, Uint8Array.of(127, 0, 0, 1)],
  [TYPE.AAAA, Uint8Array.of(...new Array<number>(15).fill(0), 1)],
])

/** The answer to a question, without OPT record; `seconds` is how long it may be kept. */
export interface Resolved {
  message: Uint8Array
  scan: Pick<AnswerScan, 'ttlOffsets' | 'rcode'>
  seconds: number
  /** The row of the decision table. */
  rule: string
  /** As that of a CacheEntry. */
  network?: number
}

/** Nobody could answer. */
export class ResolveError extends Error {
  readonly extended: ExtendedError

  constructor(extended: ExtendedError) {
    super(extended.text)
    this.name = 'ResolveError'
    this.extended = extended
  }
}

/** What an upstream answered. */
export interface Exchange {
  message: Uint8Array
  scan: AnswerScan
}

/** The question with its name completed; undefined if that is too long for a name. Without a suffix it is the same array. */
export function completed(question: Uint8Array, suffix: string): Uint8Array | undefined {
  if (suffix === '') return question
  const tail = nameWire(suffix)
  if (!tail || question.length - 5 + tail.length > MAX_NAME) return undefined
  const full = new Uint8Array(question.length - 1 + tail.length)
  full.set(question.subarray(0, question.length - 5))
  full.set(tail, question.length - 5)
  full.set(question.subarray(question.length - 4), full.length - 4)
  return full
}

export function shortAnswer(
  answer: Exchange,
  full: Uint8Array,
  question: Uint8Array,
  seconds: number,
  rule: string,
): Resolved {
  const message = withCname(answer.message, full.length, question, seconds)
  const scan = message && scanAnswer(message)
  if (!message || !scan)
    throw new ResolveError({ code: EDE.INVALID_DATA, text: 'the cluster sent an answer that cannot be handed on' })
  message[2] &= ~FLAG_AA // AA: nobody is authoritative for the short name
  return { message, scan, seconds, rule }
}

/** RFC 2308 5, RFC 1035 3.2.1: seconds an answer may be kept. */
export function lifetime(scan: AnswerScan, negative: number): number {
  if (scan.truncated) return 0
  if (scan.rcode === RCODE.NXDOMAIN || (scan.rcode === RCODE.NOERROR && scan.answers === 0))
    return Math.min(scan.negativeTtl ?? 0, negative)
  return scan.rcode === RCODE.NOERROR ? Math.min(scan.minTtl ?? 0, scan.negativeTtl ?? Infinity) : 0
}

/** `machine` is an address of IPv4. */
export function ownAnswer(
  question: Uint8Array,
  type: number,
  kind: OwnAnswer,
  rule: string,
  machine: IpAddress | undefined,
): Resolved {
  const rcode = kind === 'nxdomain' ? RCODE.NXDOMAIN : RCODE.NOERROR
  const ofMachine = type === TYPE.A ? machine?.bytes : undefined
  const address = kind === 'loopback' ? LOOPBACK.get(type) : kind === 'machine' ? ofMachine : undefined
  const message = buildAnswer(question, rcode, address ? [address] : [], OWN_S)
  return { message, scan: scanAnswer(message)!, seconds: kind === 'nxdomain' ? OWN_NEGATIVE_S : OWN_S, rule }
}
