// Who may resume a line: both ends hold a key that the client gave to the agent inside the SSH session. Each proves it for
// one attempt, whose counter only grows, so that an attempt that was overheard cannot be repeated.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { offsetAt, offsetBytes } from './frames.ts'

export const ID_BYTES = 16
export const KEY_BYTES = 32
const PROOF_BYTES = 32
const OFFSET_BYTES = 6

export interface Attempt {
  /** Of the line. */
  id: Buffer
  counter: number
  /** The next byte that who sends this expects. */
  received: number
}

/** What an attempt is for: a path that carries the line alone, or a second one beside that. */
export type Purpose = 'resume' | 'join'

type Prover = 'client' | 'agent' | 'client joins' | 'agent joins'

const prover = (who: 'client' | 'agent', purpose: Purpose): Prover => (purpose === 'join' ? `${who} joins` : who)

function proof(key: Buffer, who: Prover, { id, counter, received }: Attempt): Buffer {
  const hmac = createHmac('sha256', key).update(`kt line 1 ${who}\n`).update(id)
  return hmac.update(offsetBytes(counter)).update(offsetBytes(received)).digest()
}

function proves(given: Buffer, key: Buffer, who: Prover, attempt: Attempt): boolean {
  return given.length === PROOF_BYTES && timingSafeEqual(given, proof(key, who, attempt))
}

/** Body of RESUME or JOIN. */
export function resumeBody(key: Buffer, attempt: Attempt, purpose: Purpose = 'resume'): Buffer {
  const { id, counter, received } = attempt
  return Buffer.concat([
    id,
    offsetBytes(counter),
    offsetBytes(received),
    proof(key, prover('client', purpose), attempt),
  ])
}

/** What a RESUME or JOIN says; undefined if it is none. Whether it is true is for `isProven`. */
export function readResume(body: Buffer): { attempt: Attempt; proof: Buffer } | undefined {
  if (body.length !== ID_BYTES + 2 * OFFSET_BYTES + PROOF_BYTES) return undefined
  const attempt = {
    id: Buffer.from(body.subarray(0, ID_BYTES)),
    counter: offsetAt(body, ID_BYTES)!,
    received: offsetAt(body, ID_BYTES + OFFSET_BYTES)!,
  }
  return { attempt, proof: body.subarray(ID_BYTES + 2 * OFFSET_BYTES) }
}

export function isProven(resume: { attempt: Attempt; proof: Buffer }, key: Buffer, purpose: Purpose): boolean {
  return proves(resume.proof, key, prover('client', purpose), resume.attempt)
}

/** Body of RESUMED or JOINED, the agent's answer to the attempt with this counter. */
export function resumedBody(key: Buffer, attempt: Attempt, purpose: Purpose): Buffer {
  return Buffer.concat([offsetBytes(attempt.received), proof(key, prover('agent', purpose), attempt)])
}

/** What the agent has received, if its answer is to the attempt with `id` and `counter`; else undefined. */
export function readResumed(
  body: Buffer,
  key: Buffer,
  { id, counter }: Pick<Attempt, 'id' | 'counter'>,
  purpose: Purpose,
): number | undefined {
  const received = offsetAt(body, 0)
  if (received === undefined) return undefined
  const attempt = { id, counter, received }
  return proves(body.subarray(OFFSET_BYTES), key, prover('agent', purpose), attempt) ? received : undefined
}
